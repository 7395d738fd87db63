"""Whether the threads get on: by what they have done, not by whether they are there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from monitor.progress import DEADLINES, Progress


class Thread:
    """A thread whose calls end when the test says so."""

    def __init__(self) -> None:
        self.calls: list[asyncio.Future[Any]] = []

    def __call__(self, *_: object, **__: object) -> Awaitable[Any]:
        self.calls.append(asyncio.get_running_loop().create_future())
        return self.calls[-1]


class Watch:
    def __init__(self) -> None:
        self.now = 0.0
        self.progress = Progress(lambda: self.now)


LONG = DEADLINES["store"] + 1


async def test_idle_thread_is_no_trouble() -> None:
    watch, thread = Watch(), Thread()
    call = watch.progress.watched("store", thread)(len, ())
    thread.calls[0].set_result(3)
    assert await call == 3
    await asyncio.sleep(0)
    watch.now += 10 * LONG
    assert (watch.progress.stalled(), watch.progress.pending()) == ("", {})


async def test_thread_that_is_busy_for_too_long_is_named() -> None:
    watch, thread = Watch(), Thread()
    watch.progress.watched("store", thread)(len, ())
    watch.now += LONG - 2
    assert watch.progress.stalled() == ""
    watch.now += 2
    assert watch.progress.stalled() == f"store has done nothing for {LONG:.0f} s"
    assert watch.progress.pending() == {"store": 1}


async def test_queue_that_moves_is_no_trouble_however_long_it_is() -> None:
    watch, thread = Watch(), Thread()
    store = watch.progress.watched("store", thread)
    for _ in range(5):
        store(len, ())
    for call in thread.calls:
        watch.now += LONG - 2
        call.set_result(None)
        await asyncio.sleep(0)
        assert watch.progress.stalled() == ""


@pytest.mark.parametrize("end", ["raises", "is cancelled"])
async def test_call_that_fails_is_done(end: str) -> None:
    watch, thread = Watch(), Thread()
    call = watch.progress.watched("store", thread)(len, ())
    if end == "raises":
        thread.calls[0].set_exception(ValueError("no"))
        with pytest.raises(ValueError, match="no"):
            await call
    else:
        asyncio.ensure_future(call).cancel()
    await asyncio.sleep(0)
    watch.now += LONG
    assert watch.progress.stalled() == ""


def test_ticks_that_stop_coming_are_seen() -> None:
    watch = Watch()
    watch.progress.note("tick")
    watch.now += DEADLINES["tick"] + 1
    assert watch.progress.stalled() == "tick has done nothing for 61 s"
    watch.progress.note("tick")
    assert watch.progress.stalled() == ""
