"""The monitor as a process: one tick a second that polls what is due and delivers what waits, signals, systemd.

It reads the clock and decides nothing: what a tick does is `app.Monitor`'s, when a feed is due is the store's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from monitor.app import ANSWER, Monitor
from monitor.config import Config, changed
from monitor.errors import ConfigError, StateError
from monitor.log import set_up as set_up_log
from monitor.probes import Probes
from monitor.progress import Progress

log = structlog.get_logger()

TICK = 1.0  # seconds
#: Between two looks at whether the clock was put back, by more than this.
CLOCK = 5.0  # seconds
TIDY = 3600.0  # seconds
REVIEW = 60.0  # seconds
SWEEP = 3600.0  # seconds
LEARN = 86400.0  # seconds
LOOK = 5.0  # seconds
#: So long nothing is begun after the database could not be read or written: polls that are not written down stay due.
STATE_WAIT = 30.0  # seconds
#: Between two looks at how far a start is, and the time that systemd is asked for if it got on.
START_LOOK, START_MORE = 10.0, 300  # seconds
#: A post in flight is finished before we go; systemd waits 30 s.
LAST_POST = 8.0  # seconds
#: What is finished before we go, since it reaches out and writes down what came of it; the rest is done again, or not begun.
_FINISHED = frozenset({"deliver", "sweep", "canary", "try again"})


async def serve(
    open_monitor: Callable[[Probes, Progress], AbstractAsyncContextManager[Monitor]],
    env: Mapping[str, str],
    reread: Callable[[], Config] | None = None,
) -> None:
    """Open a monitor and have it work until SIGTERM or SIGINT.

    A thread may be loading a model, or at work with one, even then; nothing stops it, and nothing of it is wanted: the caller
    had better end the process.

    reread: reads the configuration again; None: it stays as it is.

    Raises: what opening raises.
    """
    progress, probes, stop = Progress(), Probes(), _stopped_by(signal.SIGTERM, signal.SIGINT)
    async with AsyncExitStack() as stack:
        notify(env, f"STATUS={probes.starting}")
        opened = open_monitor(probes, progress)
        opening = asyncio.ensure_future(opened.__aenter__())
        stopping = asyncio.ensure_future(stop.wait())
        telling = asyncio.create_task(_tell_of_start(env, probes, progress))
        await asyncio.wait([opening, stopping], return_when=asyncio.FIRST_COMPLETED)
        telling.cancel()
        stopping.cancel()
        if not opening.done():
            log.info("stopped", because="told to, before it was ready")
            return
        monitor = await opening
        stack.push_async_exit(opened)
        if not stop.is_set():
            await run(monitor, env, probes, progress, reread)


async def _tell_of_start(env: Mapping[str, str], probes: Probes, progress: Progress) -> None:
    """Tell systemd how far a start is, and have it wait on while it gets on: another model reads all open items first."""
    before = 0
    while True:
        await asyncio.sleep(START_LOOK)
        if progress.done > before:
            before = progress.done
            notify(env, f"EXTEND_TIMEOUT_USEC={START_MORE * 1_000_000}\nSTATUS={probes.starting}")


def _stopped_by(*numbers: signal.Signals) -> asyncio.Event:
    stop = asyncio.Event()
    for number in numbers:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def run(
    monitor: Monitor,
    env: Mapping[str, str],
    probes: Probes | None = None,
    progress: Progress | None = None,
    reread: Callable[[], Config] | None = None,
) -> None:
    """Work until SIGTERM or SIGINT; SIGHUP reads the rules again, and so does a change of their files if it is wanted; SIGUSR1
    puts into the log what is being done.

    probes: told how we are. progress: of the monitor's threads. reread: reads the configuration again.
    """
    stop = _stopped_by(signal.SIGTERM, signal.SIGINT)
    work = _Work(monitor, env, progress or Progress(), reread)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, work.reload)
    loop.add_signal_handler(signal.SIGUSR1, work.start, "dump", work.dump)
    if probes:
        probes.metrics, probes.healthy, probes.ready = monitor.metrics, work.health, work.readiness
    # one job that asks SQLite what is due, not a job a feed: a tenth of the cost, and a restart forgets nothing
    scheduler = AsyncIOScheduler(timezone="UTC", job_defaults={"misfire_grace_time": None, "coalesce": True})
    scheduler.add_job(work.tick, "interval", seconds=TICK)
    scheduler.add_job(work.tidy, "interval", seconds=TIDY)
    scheduler.add_job(work.review, "interval", seconds=REVIEW)
    scheduler.add_job(work.sweep, "interval", seconds=SWEEP)
    scheduler.add_job(work.beat, "interval", seconds=monitor.config.heartbeat.every.total_seconds())
    scheduler.add_job(work.learn, "interval", seconds=LEARN)
    if monitor.config.watch_rules:
        scheduler.add_job(work.look, "interval", seconds=LOOK)
    await monitor.spread_out()
    scheduler.start()
    following = asyncio.create_task(follow_clock(scheduler, time.time))
    work.start("listen", monitor.listen)
    notify(env, "READY=1\nSTATUS=running")
    log.info("running")
    try:
        await work.tick()
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), timeout=_watchdog_seconds(env))
            if work.is_well():
                notify(env, "WATCHDOG=1")
    finally:
        notify(env, "STOPPING=1")
        if probes:  # what they would ask is about to be closed
            probes.metrics, probes.ready = None, _stopping
        following.cancel()
        # its own shutdown cancels running jobs: stop it first, then let the post in flight finish
        scheduler.pause()
        await work.drain()
        scheduler.shutdown(wait=False)
        log.info("stopped")


async def _stopping() -> dict[str, str]:
    return {"stop": "it was told to stop"}


async def follow_clock(scheduler: AsyncIOScheduler, clock: Callable[[], float]) -> None:
    """Have no job wait for a time of day that a clock put back has yet to come to: apscheduler knows no other time.

    clock: seconds, as `time.time`.
    """
    loop = asyncio.get_running_loop()
    ahead = clock() - loop.time()
    while True:
        await asyncio.sleep(CLOCK)
        # who looked at a clock that was wrong for a moment, and is right again, waits for as long as it was wrong
        scheduler.wakeup()
        before, ahead = ahead, clock() - loop.time()
        if ahead < before - CLOCK:
            log.warning("clock", problem="it was put back: what is done again and again begins anew", by=before - ahead)
            for job in scheduler.get_jobs():
                job.reschedule("interval", seconds=job.trigger.interval.total_seconds())


class _Work:
    """What is being done beside the tick, at most one of each kind, so that a slow poll never holds up a delivery."""

    def __init__(
        self, monitor: Monitor, env: Mapping[str, str], progress: Progress, reread: Callable[[], Config] | None
    ) -> None:
        self._monitor = monitor
        self._reread = reread
        self._env = env
        self._progress = progress
        progress.note("tick")
        self._polls: set[asyncio.Task[Any]] = set()
        self._others: dict[str, asyncio.Task[Any]] = {}
        #: somebody asked for a reload while there was one
        self._again = False
        #: something failed that should never fail: systemd's watchdog is starved and restarts us
        self._broken = ""
        self._unwell = False
        #: what the database said when it failed, and since when it does; when to try again, by the loop's clock
        self._trouble = self._since = ""
        self._try_again_at = 0.0

    async def tick(self) -> None:
        """Begin what is due, and return at once. Feeds in flight are not polled again, so ticks may overlap.

        A coroutine, though it awaits nothing: the scheduler would run a plain function in a thread.
        """
        self._progress.note("tick")
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
        self.start("status", self._tell_systemd)

    async def sweep(self) -> None:
        """Begin to read back what stands in the channels. The first time was before the first delivery."""
        self.start("sweep", self._monitor.sweep)

    async def beat(self) -> None:
        """Begin to tell the dead-man's switch that all is well; what failed here once is not well."""
        if not (self._broken or self._trouble):
            self.start("heartbeat", self._monitor.beat)

    async def learn(self) -> None:
        """Begin to learn what is ordinary now."""
        self.start("learn", self._monitor.learn_anew)

    def health(self) -> dict[str, str]:
        """Give what says whether a restart would help: each check, with what is wrong."""
        return {"work": self._broken, "progress": self._progress.stalled()}

    def is_well(self) -> bool:
        """Whether a restart would not help; what says that it would is logged once."""
        health = self.health()
        if any(health.values()) and not self._unwell:
            log.error("unwell", **health)
        self._unwell = any(health.values())
        return not self._unwell

    async def readiness(self) -> dict[str, str]:
        """Give each check of whether we do our work, with what is wrong."""
        health = self.health()
        found = await self._monitor.readiness(trouble=self._trouble, stalled=health["progress"])
        # it may be known only since we asked
        return {"work": health["work"], **found, "database": self._trouble or found["database"]}

    async def dump(self) -> None:
        """Put into the log what is being done, and where every thread is."""
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        frames = sys._current_frames()  # noqa: SLF001 - documented, and the one way to see other threads
        status = "unknown: the database does not answer"
        with contextlib.suppress(TimeoutError, StateError):
            status = await asyncio.wait_for(self._monitor.status(), ANSWER)
        log.info(
            "state",
            polls=len(self._polls),
            doing=sorted(self._others),
            pending=self._progress.pending(),
            trouble=self._trouble,
            status=status,
            threads={
                names.get(ident, str(ident)): " < ".join(
                    f"{one.name} ({Path(one.filename).name}:{one.lineno})"
                    for one in reversed(traceback.extract_stack(frame)[-4:])
                )
                for ident, frame in frames.items()
            },
        )

    async def _tell_systemd(self) -> None:
        if self._trouble:
            return
        status = await self._monitor.status()
        if not self._trouble:  # a database that is locked takes half a minute to say so
            notify(self._env, f"STATUS={status}")

    async def look(self) -> None:
        """Begin a look at the topic files."""
        if not self._trouble:
            self.start("look", self._look)

    async def _look(self) -> None:
        if "reload" not in self._others and await self._monitor.rules_changed():
            self.reload(asked=False)

    def reload(self, *, asked: bool = True) -> None:
        """Begin to read the rules again. Who asks while they are being read may mean what was written since: once more then."""
        if "reload" in self._others:
            self._again = self._again or asked
            return
        self._again = False
        if asked and self._reread:
            _reread_configuration(self._monitor.config, self._reread)
        self.start("reload", lambda: _reload(self._monitor, self._env, asked=asked))
        self._others["reload"].add_done_callback(lambda _: self.reload() if self._again else None)

    def start(self, name: str, begin: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        if name not in self._others:
            task = asyncio.get_running_loop().create_task(begin())
            self._others[name] = task
            task.add_done_callback(lambda _: self._others.pop(name, None))
            task.add_done_callback(self._done)

    async def drain(self) -> None:
        """Give up polls (nothing of them is written yet) and what can be done again, and wait for the post in flight."""
        self._monitor.stop_sending()
        for task in (*self._polls, *(task for name, task in self._others.items() if name not in _FINISHED)):
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
        self._broken = f"a fault of ours: {error}"
        log.error("failed", error=str(error), exc_info=error)

    def _note_trouble(self, error: StateError) -> None:
        self._try_again_at = asyncio.get_running_loop().time() + STATE_WAIT
        for poll in self._polls:
            poll.cancel()  # none of them could be written down
        if not self._trouble:
            self._trouble, self._since = str(error), f"{datetime.now(UTC):%H:%M}"
            log.error("state", problem=self._words)
            self._monitor.note_trouble(self._words)
        notify(self._env, f"STATUS={self._words}")  # once more: a reload may have said something else since

    @property
    def _words(self) -> str:
        return f"since {self._since} UTC nothing is polled or sent: {self._trouble}"

    async def _try_again(self) -> None:
        """Do the work of a tick, in which all is written that could not be: if none of it fails, the trouble is over.

        Raises: StateError.
        """
        before = self._try_again_at
        # of a database that is locked, the work of a tick would not know in time
        await self._monitor.try_writing()
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


def _reread_configuration(before: Config, reread: Callable[[], Config]) -> None:
    """Take over how much is logged, and say what else is other than at the start: it waits for the next one."""
    try:
        now = reread()
    except ConfigError as error:
        for problem in error.problems:
            log.error("configuration", problem=str(problem))
        log.error("configuration kept", reason="it would not start: the one that it began with stays in force")
        return
    set_up_log(now.log.level, now.log.format)
    if left := [name for name in changed(before, now) if not name.startswith("log.")]:
        log.warning("configuration", changed=left, because="takes effect at the next start: systemctl restart")


async def _reload(monitor: Monitor, env: Mapping[str, str], *, asked: bool) -> None:
    # by its monotonic clock systemd knows which reload this is: sd_notify(3)
    begun, done = (f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1_000}\n", "READY=1\n") if asked else ("", "")
    notify(env, f"{begun}STATUS=reading the rules again")
    try:
        problems = await monitor.reload(asked=asked)
    except Exception:
        if done:
            notify(env, "READY=1")  # what is wrong, the next line says
        raise
    refused = any(not problem.warning for problem in problems)
    for problem in problems:
        (log.warning if problem.warning else log.error)("rules", problem=str(problem))
    if refused:
        log.error("rules kept", reason="a topic file is wrong, or fails its tests: the last good set stays in force")
    notify(env, f"{done}STATUS=rules kept, a topic file is wrong" if refused else f"{done}STATUS=running")


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
