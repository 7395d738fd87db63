"""Watches whether the threads that do the work get on: systemd's watchdog, and /healthz, believe nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from monitor.pipeline import InThread

P = ParamSpec("P")
T = TypeVar("T")

#: Seconds that may pass, while something is to be done, without anything being done. The engine learns a pack of a thousand
#: topics in one call; a sender waits for an answer as long as its timeout says.
DEADLINES = {"tick": 60.0, "store": 120.0, "engine": 1_200.0, "sender": 180.0, "parser": 180.0}


class Progress:
    """Who has something to do, and since when it has done nothing of it. For one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: seconds since any moment; it never goes back."""
        self._clock = clock
        #: who -> calls that are not done, and when it last began with nothing to do, or was done with something
        self._pending: dict[str, int] = {}
        self._moved: dict[str, float] = {}
        #: calls that are done, of all threads
        self.done = 0

    def watched(self, who: str, in_thread: InThread) -> InThread:
        """The same thread, seen."""

        def call(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
            # at once, and not when it is awaited: some calls are never
            self._begin(who)
            done = asyncio.ensure_future(in_thread(function, *args, **kwargs))
            done.add_done_callback(lambda _: self._end(who))
            return done

        return call

    def note(self, who: str) -> None:
        """Take in a sign of life of something that always has to do."""
        self._pending[who] = 1
        self._moved[who] = self._clock()

    def stalled(self) -> str:
        """Who does not get on, and since when, in words; empty if all do."""
        now = self._clock()
        return ", ".join(
            f"{who} has done nothing for {now - self._moved[who]:.0f} s"
            for who, pending in self._pending.items()
            if pending and now - self._moved[who] > DEADLINES[who]
        )

    def pending(self) -> dict[str, int]:
        """Calls that are not done, by thread."""
        return {who: pending for who, pending in self._pending.items() if pending and who != "tick"}

    def _begin(self, who: str) -> None:
        if not self._pending.get(who):
            self._moved[who] = self._clock()
        self._pending[who] = self._pending.get(who, 0) + 1

    def _end(self, who: str) -> None:
        self._pending[who] -= 1
        self.done += 1
        self._moved[who] = self._clock()
