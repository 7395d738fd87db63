"""The database cannot be written: the disk is full, at each write in turn; another process holds it; it may only be read.

Nothing is lost, nothing is posted without a committed claim, and what waited goes out once when there is room again.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import signal
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import make
import pytest
from fakes import FakeFetch, FakeSink, Landed, Systemd
from home import open_home
from structlog.testing import capture_logs
from world import GAZETTE, NOTHING, SHIPS, TROOPS, TROOPS_AGAIN, TROOPS_RETOLD, WIRE, World

from monitor import daemon
from monitor.database import LOCK, Lock, trouble
from monitor.errors import BusyError, MaybeAccepted, NotAccepted, StateError
from monitor.model import Delivery, DeliveryState
from monitor.rulings import split
from monitor.store import Store

SETTLE = timedelta(seconds=60)


class FillingStore(Store):
    """A store whose disk is full at one of its writes, counted from 1, and from then on until there is `room`.

    The statements of that write are done before, and it is SQLite that says no: it has to take them back.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        #: what wrote, in order, from `fill` on
        self.writes: list[str] = []
        self.full_at = 0
        self.full = False

    def fill(self, write: int) -> None:
        """Let the disk be full at this write; at none, for 0."""
        self._connection.execute("CREATE TABLE filler (bytes BLOB)")
        self.writes, self.full_at = [], write

    def room(self) -> None:
        self.full = False
        self._connection.execute("PRAGMA max_page_count = 1000000")

    @contextlib.contextmanager
    def _writing(self, *, durably: bool = True) -> Iterator[None]:
        with super()._writing(durably=durably):
            yield
            self.writes.append(sys._getframe(2).f_code.co_name)  # noqa: SLF001 - the name of what writes
            self.full |= len(self.writes) == self.full_at
            if self.full:
                [pages] = self._connection.execute("PRAGMA page_count").fetchone()
                self._connection.execute(f"PRAGMA max_page_count = {pages}")
                self._connection.execute("INSERT INTO filler VALUES (zeroblob(1000000))")


class ClaimedSink(FakeSink):
    """Refuses what was not claimed before it was sent, bytes and all."""

    store: Store

    def send(self, delivery: Delivery) -> str:
        claimed = {d.alert.id: d.message for d in self.store.deliveries(DeliveryState.SENDING)}
        assert claimed == {delivery.alert.id: delivery.message}
        return super().send(delivery)


@dataclass
class Day:
    """A day on which one write finds the disk full, what comes after it too, and there is room again after a while."""

    world: World
    store: FillingStore
    sink: ClaimedSink
    #: what the database said, each time
    said: list[str] = field(default_factory=list)

    async def until_it_works(self, step: Callable[[], Awaitable[Any]]) -> None:
        """Do a step as the daemon does: again and again, while the database cannot be written."""
        for attempt in range(4):
            if attempt == 2:
                self.store.room()
            try:
                await step()
            except StateError as error:
                self.said.append(str(error))
                self.world.wait(seconds=30)
            else:
                return
        raise AssertionError(f"still, though there is room: {self.said}")

    async def rule(self) -> None:
        """Somebody takes what was told last out of its story."""
        [timeline] = [t for t in self.store.timelines() if any(x.item.title == TROOPS_RETOLD[0] for x in t.tellings)]
        items = [telling.item.id for telling in timeline.tellings if telling.item.title == TROOPS_RETOLD[0]]
        self.store.rule([timeline.story.id], lambda t, d: split(t[0], items, d, "ann", self.world.now), self.world.now)


async def live(full_at: int) -> Day:
    lost, refused = MaybeAccepted("the answer was lost"), NotAccepted("429", retry_after=5)
    world = World(settle=SETTLE)
    store, sink = FillingStore.in_memory(), ClaimedSink(None, refused, Landed(lost), lost)
    for feed in (WIRE, GAZETTE):
        store.add_feed(feed, world.now)
    store.fill(full_at)
    sink.store = world.store = store
    world.sink = sink
    day = Day(world, store, sink)
    for feed, articles in (
        (WIRE, [NOTHING]),
        (GAZETTE, [NOTHING]),
        (WIRE, [TROOPS, SHIPS]),
        (GAZETTE, [TROOPS_RETOLD]),
    ):
        await day.until_it_works(partial(world.publish, feed, *articles))
        await day.until_it_works(world.deliver)
    await day.until_it_works(day.rule)
    await day.until_it_works(partial(world.publish, WIRE, TROOPS_AGAIN))
    for _ in range(6):
        world.wait(seconds=90)
        await day.until_it_works(world.deliver)
    return day


TELLS = sorted(title for title, _ in (TROOPS, SHIPS, TROOPS_RETOLD, TROOPS_AGAIN))
#: what is written on such a day
WRITES = ["commit_poll", "claim", "settle", "rule"]


async def test_day_has_every_kind_of_write() -> None:
    day = await live(0)
    assert (day.said, set(WRITES) - set(day.store.writes)) == ([], set())


async def test_whenever_the_disk_is_full_everything_goes_out_once_when_there_is_room() -> None:
    writes = len((await live(0)).store.writes)
    for full_at in range(1, writes + 1):
        day = await live(full_at)
        told = sorted(message.alert.item.title for message in day.sink.messages)
        at = f"full at write {full_at} of {writes}, {day.store.writes[full_at - 1]}"
        assert (told, set(day.store.outbox_counts())) == (TELLS, {"sent"}), at
        assert set(day.said) == {"the database cannot be written: database or disk is full. Make room on the disk"}, at


# -- the daemon, with a database that refuses ------------------------------------------------------


class SpoiltStore(Store):
    """A store whose database can be made to refuse, and mended; `refused` is how often it did."""

    refused = 0

    @contextlib.contextmanager
    def _writing(self, *, durably: bool = True) -> Iterator[None]:
        try:
            with super()._writing(durably=durably):
                yield
        except StateError:
            self.refused += 1
            raise

    def fill(self) -> None:
        """Let it grow no further."""
        [pages] = self._connection.execute("PRAGMA page_count").fetchone()
        self._connection.execute(f"PRAGMA max_page_count = {pages}")

    def forbid(self) -> None:
        self._connection.execute("PRAGMA query_only = ON")

    def lock(self) -> None:
        """Let another process hold the write lock for longer than we wait."""
        self._connection.execute("PRAGMA busy_timeout = 1")
        [(_, _, file), *_] = self._connection.execute("PRAGMA database_list")
        self._other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        self._other.execute("BEGIN IMMEDIATE")

    def mend(self) -> None:
        self._connection.execute("PRAGMA max_page_count = 1000000")
        self._connection.execute("PRAGMA query_only = OFF")
        if hasattr(self, "_other"):
            self._other.close()


#: what is wrong with the database -> what is said of it
WRONG = {
    "full": (SpoiltStore.fill, "the database cannot be written: database or disk is full. Make room on the disk"),
    "read-only": (
        SpoiltStore.forbid,
        "the database cannot be written: attempt to write a readonly database. Make it, and its folder, writable",
    ),
    "locked": (SpoiltStore.lock, "the database cannot be written: database is locked"),
}


async def until(happened: Callable[[], object]) -> None:
    for _ in range(2_000):
        if happened():
            return
        await asyncio.sleep(0.01)
    raise TimeoutError


@dataclass
class Seen:
    """What a daemon said while its database refused, and then."""

    noted: list[str] = field(default_factory=list)
    logged: list[Any] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)


async def go_through(spoil: Callable[[SpoiltStore], None], folder: Path) -> Seen:
    """Run the daemon until its database has refused three times, mend it, and run on until all is told."""
    net, seen = FakeFetch(), Seen()
    net.script(WIRE.url, make.rss(NOTHING))
    async with open_home(folder, WIRE, fetch=net, kind=SpoiltStore) as home:
        home.monitor.note_trouble = seen.noted.append
        systemd = Systemd(str(folder / "notify"))
        env = {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "20000"}
        await home.poll()
        with capture_logs() as seen.logged:
            running = asyncio.create_task(daemon.run(home.monitor, env))
            await until(lambda: systemd.words)
            await home.ask(spoil)  # type: ignore[arg-type]  # as `kind` says
            home.clock.wait(hours=1)
            # more than there is room for in what the database holds
            net.script(WIRE.url, make.rss((TROOPS[0], "Seoul says so. " * 2_000), published=home.clock()))
            await until(lambda: home.collector.memory.refused >= 3)  # type: ignore[attr-defined]  # as `kind` says
            assert home.sink.messages == []
            await home.ask(SpoiltStore.mend)  # type: ignore[arg-type]  # as above
            await until(lambda: len(home.sink.messages) == 2)
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(running, 5)
        seen.heard = systemd.heard()
        seen.told = [message.message.text for message in home.sink.messages if message.message]
    return seen


@pytest.fixture(params=WRONG.values(), ids=WRONG.keys())
async def wrong(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Seen, str]:
    monkeypatch.setattr(daemon, "TICK", 0.01)
    monkeypatch.setattr(daemon, "STATE_WAIT", 0.3)
    spoil, said = request.param
    return await go_through(spoil, tmp_path), said


async def test_daemon_says_once_that_its_database_refuses_and_once_that_it_does_not(wrong: tuple[Seen, str]) -> None:
    seen, said = wrong
    began, over = [line for line in seen.logged if line["event"] == "state"]
    assert re.fullmatch(rf"since \d\d:\d\d UTC nothing is polled or sent: {said}.*", began["problem"])
    assert over["problem"].startswith("over: from ")
    assert seen.noted == [began["problem"], ""]
    assert [word for word, _ in groupby(word for word in seen.heard if word.startswith("STATUS"))] == [
        f"STATUS={began['problem']}",
        "STATUS=running",
    ]


async def test_ops_are_told_of_it_when_it_is_over(wrong: tuple[Seen, str]) -> None:
    seen, said = wrong
    alert, notice = sorted(seen.told, key=lambda text: "itself" in text)
    assert TROOPS[0] in alert
    assert re.search(rf"from \d\d:\d\d to \d\d:\d\d UTC nothing was polled or sent: {said}", notice)


async def test_watchdog_is_fed_though_the_database_refuses(wrong: tuple[Seen, str]) -> None:
    seen, _ = wrong
    assert seen.heard[-2:] == ["WATCHDOG=1", "STOPPING=1"]


# -- what can be said of it elsewhere ---------------------------------------------------------------


def test_trouble_is_read_by_others_while_it_lasts(tmp_path: Path) -> None:
    with Lock(tmp_path) as lock:
        lock.note("nothing is polled or sent")
        during = trouble(tmp_path)
        with pytest.raises(BusyError, match=rf"process {os.getpid()}\)"):
            Lock(tmp_path)
        lock.note("")
        after = trouble(tmp_path)
    assert (during, after) == ("nothing is polled or sent", "")


def test_trouble_is_seen_where_nobody_could_write_it_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(path: Path, *_: int) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    with Lock(tmp_path):
        before = trouble(tmp_path)
        monkeypatch.setattr(os, "open", read_only)  # a disk that is so wants root: tests/faults.py
        assert (before, "is read-only" in trouble(tmp_path)) == ("", True)


def test_trouble_of_a_process_that_died_is_over(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text("4999999\nnothing is polled or sent", encoding="utf-8")
    assert trouble(tmp_path) == ""


def test_lock_that_a_full_disk_does_not_take_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / LOCK).symlink_to("/dev/full")
    with pytest.raises(StateError, match="No space left on device"):
        Lock(tmp_path)
