"""The monitor as a process: one tick a second that polls what is due and delivers what waits, signals, systemd.

It reads the clock and decides nothing: what a tick does is `app.Monitor`'s, when a feed is due is the store's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from typing import Any

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from monitor.app import Monitor
from monitor.errors import StateError

log = structlog.get_logger()

TICK = 1.0  # seconds
TIDY = 3600.0  # seconds
REVIEW = 60.0  # seconds
SWEEP = 3600.0  # seconds
LEARN = 86400.0  # seconds
#: So long nothing is begun after the database could not be read or written: polls that are not written down stay due.
STATE_WAIT = 30.0  # seconds
#: A post in flight is finished before we go; systemd waits 30 s.
LAST_POST = 10.0  # seconds


async def run(monitor: Monitor, env: Mapping[str, str]) -> None:
    """Work until SIGTERM or SIGINT; SIGHUP reads the rules again."""
    stop = asyncio.Event()
    work = _Work(monitor, env)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, work.start, "reload", lambda: _reload(monitor, env))
    # one job that asks SQLite what is due, not a job a feed: a tenth of the cost, and a restart forgets nothing
    scheduler = AsyncIOScheduler(timezone="UTC", job_defaults={"misfire_grace_time": None, "coalesce": True})
    scheduler.add_job(work.tick, "interval", seconds=TICK)
    scheduler.add_job(work.tidy, "interval", seconds=TIDY)
    scheduler.add_job(work.review, "interval", seconds=REVIEW)
    scheduler.add_job(work.sweep, "interval", seconds=SWEEP)
    scheduler.add_job(work.beat, "interval", seconds=monitor.config.heartbeat.every.total_seconds())
    scheduler.add_job(work.learn, "interval", seconds=LEARN)
    await monitor.spread_out()
    scheduler.start()
    notify(env, "READY=1")
    log.info("running")
    try:
        await work.tick()
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), timeout=_watchdog_seconds(env))
            if not work.broken:
                notify(env, "WATCHDOG=1")
    finally:
        notify(env, "STOPPING=1")
        # its own shutdown cancels running jobs: stop it first, then let the post in flight finish
        scheduler.pause()
        await work.drain()
        scheduler.shutdown(wait=False)
        log.info("stopped")


class _Work:
    """What is being done beside the tick, at most one of each kind, so that a slow poll never holds up a delivery."""

    def __init__(self, monitor: Monitor, env: Mapping[str, str]) -> None:
        self._monitor = monitor
        self._env = env
        self._polls: set[asyncio.Task[Any]] = set()
        self._others: dict[str, asyncio.Task[Any]] = {}
        #: something failed that should never fail: systemd's watchdog is starved and restarts us
        self.broken = False
        #: what the database said when it failed, and since when it does; when to try again, by the loop's clock
        self._trouble = self._since = ""
        self._try_again_at = 0.0

    async def tick(self) -> None:
        """Begin what is due, and return at once. Feeds in flight are not polled again, so ticks may overlap.

        A coroutine, though it awaits nothing: the scheduler would run a plain function in a thread.
        """
        if not self._trouble:
            self._begin()
        elif asyncio.get_running_loop().time() >= self._try_again_at:
            self.start("try again", self._try_again)

    def _begin(self) -> None:
        task = asyncio.get_running_loop().create_task(self._monitor.poll_due())
        self._polls.add(task)
        task.add_done_callback(self._polls.discard)
        task.add_done_callback(self._done)
        self.start("deliver", self._monitor.deliver)

    async def tidy(self) -> None:
        """Begin to let go of what is not needed any more."""
        self.start("tidy", self._monitor.tidy)

    async def review(self) -> None:
        """Begin a look at the feeds' health, at their hubs, and after the canary."""
        self.start("review", self._monitor.review)
        self.start("subscribe", self._monitor.subscribe)
        self.start("canary", self._monitor.tend_canary)

    async def sweep(self) -> None:
        """Begin to read back what stands in the channels. The first time was before the first delivery."""
        self.start("sweep", self._monitor.sweep)

    async def beat(self) -> None:
        """Begin to tell the dead-man's switch that all is well; what failed here once is not well."""
        if not (self.broken or self._trouble):
            self.start("heartbeat", self._monitor.beat)

    async def learn(self) -> None:
        """Begin to learn what is ordinary now."""
        self.start("learn", self._monitor.learn_anew)

    def start(self, name: str, begin: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        if name not in self._others:
            task = asyncio.get_running_loop().create_task(begin())
            self._others[name] = task
            task.add_done_callback(lambda _: self._others.pop(name, None))
            task.add_done_callback(self._done)

    async def drain(self) -> None:
        """Give up polls (nothing of them is written yet) and requests to hubs, and wait for the post in flight."""
        self._monitor.stop_sending()
        for task in (*self._polls, *(task for name, task in self._others.items() if name == "subscribe")):
            task.cancel()
        waiting = [*self._polls, *self._others.values()]
        if waiting:
            await asyncio.wait(waiting, timeout=LAST_POST)

    def _done(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled() or not (error := task.exception()):
            return
        if isinstance(error, StateError) and not error.permanent:
            self._note_trouble(error)
            return
        self.broken = True
        log.error("failed", error=str(error), exc_info=error)

    def _note_trouble(self, error: StateError) -> None:
        self._try_again_at = asyncio.get_running_loop().time() + STATE_WAIT
        if not self._trouble:
            self._trouble, self._since = str(error), f"{datetime.now(UTC):%H:%M}"
            words = f"since {self._since} UTC nothing is polled or sent: {error}"
            log.error("state", problem=words)
            notify(self._env, f"STATUS={words}")
            self._monitor.note_trouble(words)

    async def _try_again(self) -> None:
        """Do the work of a tick, in which all is written that could not be: if none of it fails, the trouble is over.

        Raises: StateError.
        """
        before = self._try_again_at
        self._begin()
        # alerts that keep pace may take long, and are as good a sign
        await asyncio.wait([*self._polls, self._others["deliver"]], timeout=STATE_WAIT)
        if self._try_again_at > before:
            return
        over = f"from {self._since} to {datetime.now(UTC):%H:%M} UTC nothing was polled or sent: {self._trouble}"
        await self._monitor.tell_ops(over)
        self._trouble = ""
        log.warning("state", problem=f"over: {over}")
        notify(self._env, "STATUS=running")
        self._monitor.note_trouble("")


async def _reload(monitor: Monitor, env: Mapping[str, str]) -> None:
    notify(env, "STATUS=reading the rules again")
    problems = await monitor.reload()
    refused = any(not problem.warning for problem in problems)
    for problem in problems:
        (log.warning if problem.warning else log.error)("rules", problem=str(problem))
    if refused:
        log.error("rules kept", reason="a topic file is wrong: the last good set stays in force")
    notify(env, "STATUS=rules kept, a topic file is wrong" if refused else "STATUS=running")


def notify(env: Mapping[str, str], state: str) -> None:
    """Tell systemd, if it asked: sd_notify(3), one datagram to $NOTIFY_SOCKET."""
    address = env.get("NOTIFY_SOCKET", "")
    if not address:
        return
    kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
    with socket.socket(socket.AF_UNIX, kind) as sock, contextlib.suppress(OSError):
        # a leading @ means Linux's abstract namespace
        sock.connect("\0" + address[1:] if address.startswith("@") else address)
        sock.sendall(state.encode())


def _watchdog_seconds(env: Mapping[str, str]) -> float:
    """How often to feed the watchdog: half of what sd_watchdog_enabled(3) gives; 30 where nobody asks."""
    asked = env.get("WATCHDOG_USEC", "")
    mine = env.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return (int(asked) / 2_000_000 if asked.isdecimal() and mine else 0.0) or 30.0
