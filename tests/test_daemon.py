"""The process: ticks, signals, systemd. With real models: marked `model`. Its sudden end is in test_crashes.py."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any

import make
import pytest
import structlog
from fakes import Answer, FakeFetch, FeedServer, Systemd
from home import Clock, Home, at_folder, open_home
from slack_server import FakeSlack
from world import SHIPS, TROOPS, WEATHER, WIRE

from monitor import daemon
from monitor.config import Config, Heartbeat, Log, Ops, Polling
from monitor.daemon import _watchdog_seconds, notify
from monitor.database import FILE
from monitor.errors import ConfigError, FetchError, Level, Problem, StateError
from monitor.model import Alert, Feed
from monitor.probes import Probes
from monitor.progress import DEADLINES, Progress
from monitor.sample_feeds import SampleServer
from monitor.store import Store

# -- systemd --------------------------------------------------------------------------------------


def test_systemd_is_told_at_a_path(tmp_path: Path) -> None:
    systemd = Systemd(str(tmp_path / "notify"))
    notify({"NOTIFY_SOCKET": str(tmp_path / "notify")}, "READY=1")
    assert systemd.heard() == ["READY=1"]


def test_systemd_is_told_in_the_abstract_namespace() -> None:
    name = f"monitor-test-{os.getpid()}"
    systemd = Systemd(f"\0{name}")
    notify({"NOTIFY_SOCKET": f"@{name}"}, "STOPPING=1")
    assert systemd.heard() == ["STOPPING=1"]


@pytest.mark.parametrize("env", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nowhere/notify"}])
def test_nobody_listens_and_nothing_happens(env: dict[str, str]) -> None:
    notify(env, "READY=1")


MINE = str(os.getpid())
#: environment -> seconds between two words to the watchdog
WATCHDOGS = [
    ({}, 30.0),
    ({"WATCHDOG_USEC": "120000000"}, 60.0),
    ({"WATCHDOG_USEC": "120000000", "WATCHDOG_PID": MINE}, 60.0),
    ({"WATCHDOG_USEC": "120000000", "WATCHDOG_PID": "1"}, 30.0),
    ({"WATCHDOG_USEC": "soon"}, 30.0),
    ({"WATCHDOG_USEC": "-1"}, 30.0),
    ({"WATCHDOG_USEC": "0"}, 30.0),
    ({"WATCHDOG_USEC": ""}, 30.0),
]


@pytest.mark.parametrize(("env", "seconds"), WATCHDOGS)
def test_watchdog_is_fed_at_half_its_time(env: dict[str, str], seconds: float) -> None:
    assert _watchdog_seconds(env) == seconds


# -- ticks and signals, with a monitor that only counts -------------------------------------------


SHORTLY = timedelta(seconds=0.05)


@dataclass
class FakeMonitor:
    """Counts what the daemon asks of it."""

    asked: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    #: seconds that each takes
    poll_takes: float = 0.0
    post_takes: float = 0.0
    hub_takes: float = 0.0
    reload_takes: float = 0.0
    #: how often topic files change
    changes: int = 0
    bug: Exception | None = None
    config: Config = field(default_factory=Config)

    async def poll_due(self) -> None:
        self.asked["polls begun"] += 1
        await asyncio.sleep(self.poll_takes)
        self.asked["polls done"] += 1

    async def deliver(self) -> None:
        self.asked["posts begun"] += 1
        if self.bug:
            raise self.bug
        await asyncio.sleep(self.post_takes)
        self.asked["posts done"] += 1

    async def reload(self, *, asked: bool = True) -> list[Problem]:
        self.asked["reloads asked for" if asked else "reloads"] += 1
        await asyncio.sleep(self.reload_takes)
        return self.problems

    async def rules_changed(self) -> bool:
        return self.changes > self.asked["reloads"]

    async def tidy(self) -> None:
        self.asked["tidied"] += 1

    async def spread_out(self) -> None:
        self.asked["spread out"] += 1

    async def review(self) -> None:
        self.asked["reviews"] += 1

    async def subscribe(self) -> None:
        self.asked["subscriptions"] += 1
        await asyncio.sleep(self.hub_takes)

    async def tend_canary(self) -> None:
        self.asked["canaries"] += 1

    async def sweep(self) -> None:
        self.asked["sweeps"] += 1

    async def beat(self) -> None:
        self.asked["beats"] += 1

    async def listen(self) -> None:
        self.asked["listens"] += 1
        await asyncio.Event().wait()

    def stop_sending(self) -> None:
        self.asked["stops"] += 1

    def note_trouble(self, words: str) -> None:
        self.asked["troubles"] += bool(words)

    async def try_writing(self) -> None:
        self.asked["tries to write"] += 1

    async def status(self) -> str:
        return "running: 3 feeds; 0 sent"

    async def metrics(self) -> tuple[str, bytes]:
        return "text/plain", b"feeds 3\n"

    async def readiness(self, *, trouble: str, stalled: str) -> dict[str, str]:
        return {"database": trouble, "progress": stalled}


async def run_for(
    monitor: FakeMonitor, seconds: float, tmp_path: Path, *signals: signal.Signals, progress: Progress | None = None
) -> list[str]:
    """Run the daemon, send it the signals, and after so many seconds SIGTERM; what systemd heard."""
    systemd = Systemd(str(tmp_path / "notify"))
    env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "40000"}
    work = asyncio.create_task(daemon.run(monitor, env, None, progress))  # type: ignore[arg-type]  # it counts, and that is all
    await asyncio.sleep(0.05)
    for number in signals:
        os.kill(os.getpid(), number)
    await asyncio.sleep(seconds)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(work, 5)
    no_handlers()
    return systemd.heard()


def no_handlers() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        asyncio.get_running_loop().remove_signal_handler(number)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "TICK", 0.03)


async def test_each_tick_polls_and_delivers(tmp_path: Path) -> None:
    monitor = FakeMonitor()
    await run_for(monitor, 0.2, tmp_path)
    assert monitor.asked["polls done"] >= 3
    assert monitor.asked["posts done"] >= 3


async def test_slow_poll_holds_up_no_delivery(tmp_path: Path) -> None:
    monitor = FakeMonitor(poll_takes=60)
    await run_for(monitor, 0.2, tmp_path)
    assert monitor.asked["posts done"] >= 3


async def test_deliveries_do_not_overlap(tmp_path: Path) -> None:
    monitor = FakeMonitor(post_takes=0.15)
    await run_for(monitor, 0.05, tmp_path)
    assert monitor.asked["posts begun"] == 1


async def test_sigterm_waits_for_the_post_in_flight(tmp_path: Path) -> None:
    monitor = FakeMonitor(post_takes=0.4)
    await run_for(monitor, 0.0, tmp_path)
    assert (monitor.asked["posts begun"], monitor.asked["posts done"]) == (1, 1)


async def test_sigterm_lets_no_other_post_begin(tmp_path: Path) -> None:
    monitor = FakeMonitor()
    await run_for(monitor, 0.0, tmp_path)
    assert monitor.asked["stops"] == 1


async def test_sigterm_does_not_wait_for_polls(tmp_path: Path) -> None:
    monitor = FakeMonitor(poll_takes=60)
    await run_for(monitor, 0.0, tmp_path)
    assert monitor.asked["polls done"] == 0


async def reloaded(reread: Callable[[], Config]) -> list[Any]:
    """What is logged at SIGHUP, once the configuration is other than at the start."""
    with structlog.testing.capture_logs() as logged:
        work = asyncio.create_task(daemon.run(FakeMonitor(), {}, None, None, reread))  # type: ignore[arg-type]  # it counts
        await asyncio.sleep(0.05)
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(work, 5)
        no_handlers()
    return [event for event in logged if event["event"].startswith("configuration")]


async def test_settings_that_need_a_restart_are_named_at_sighup(monkeypatch: pytest.MonkeyPatch) -> None:
    levels: list[str] = []
    monkeypatch.setattr(daemon, "set_up_log", lambda level, _style: levels.append(level))
    other = Config(ops=Ops(channel="C0OPS"), log=Log(level="debug"))
    [said] = await reloaded(lambda: other)
    assert (said["changed"], levels) == (["ops.channel"], ["debug"])
    assert await reloaded(Config) == []


async def test_broken_configuration_at_sighup_changes_nothing() -> None:
    def broken() -> Config:
        raise ConfigError([Problem("monitor.toml", 3, 'unknown key "sate"; did you mean "state"?')])

    problem, kept = await reloaded(broken)
    assert problem["problem"] == 'monitor.toml:3: unknown key "sate"; did you mean "state"?'
    assert kept["event"] == "configuration kept"


async def test_sigterm_does_not_wait_for_what_can_be_done_again(tmp_path: Path) -> None:
    monitor = FakeMonitor(reload_takes=60)
    await run_for(monitor, 0.05, tmp_path, signal.SIGHUP)
    assert monitor.asked["reloads asked for"] == 1


async def test_sigterm_does_not_wait_for_a_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "REVIEW", 0.03)
    monitor = FakeMonitor(hub_takes=60)
    await run_for(monitor, 0.1, tmp_path)
    assert monitor.asked["subscriptions"] == 1


async def test_feeds_and_hubs_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "REVIEW", 0.03)
    monitor = FakeMonitor()
    await run_for(monitor, 0.2, tmp_path)
    assert min(monitor.asked["reviews"], monitor.asked["subscriptions"]) >= 1


async def test_channels_canary_and_heartbeat_are_looked_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "REVIEW", 0.03)
    monkeypatch.setattr(daemon, "SWEEP", 0.03)
    monitor = FakeMonitor(config=Config().model_copy(update={"heartbeat": Heartbeat.model_construct(every=SHORTLY)}))
    await run_for(monitor, 0.2, tmp_path)
    assert min(monitor.asked[what] for what in ("canaries", "sweeps", "beats")) >= 1


async def test_heart_stops_after_a_bug(tmp_path: Path) -> None:
    heartbeat = Heartbeat.model_construct(every=SHORTLY)
    monitor = FakeMonitor(bug=ZeroDivisionError("a bug"), config=Config().model_copy(update={"heartbeat": heartbeat}))
    await run_for(monitor, 0.3, tmp_path)
    assert monitor.asked["beats"] <= 1


async def test_overdue_feeds_are_spread_out_once_before_the_first_poll(tmp_path: Path) -> None:
    monitor = FakeMonitor()
    await run_for(monitor, 0.1, tmp_path)
    assert (monitor.asked["spread out"], next(iter(monitor.asked))) == (1, "spread out")


async def test_systemd_hears_of_the_beginning_and_the_end(tmp_path: Path) -> None:
    words = await run_for(FakeMonitor(), 0.1, tmp_path)
    assert (words[0], words[-1]) == ("READY=1\nSTATUS=running", "STOPPING=1")


async def test_watchdog_is_fed(tmp_path: Path) -> None:
    words = await run_for(FakeMonitor(), 0.2, tmp_path)
    assert words.count("WATCHDOG=1") >= 3


async def test_watchdog_is_starved_after_a_bug(tmp_path: Path) -> None:
    words = await run_for(FakeMonitor(bug=ZeroDivisionError("a bug")), 0.2, tmp_path)
    assert words.count("WATCHDOG=1") <= 1


async def test_watchdog_is_starved_while_a_thread_does_not_get_on(tmp_path: Path) -> None:
    """The ticks go on, and the store has a call that never ends."""
    now = [0.0]
    progress = Progress(lambda: now[0])
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    progress.watched("store", lambda *_, **__: never)(len, ())
    now[0] += DEADLINES["store"] + 1
    with structlog.testing.capture_logs() as logged:
        words = await run_for(FakeMonitor(), 0.2, tmp_path, progress=progress)
    assert "WATCHDOG=1" not in words
    said = [event["progress"] for event in logged if event["event"] == "unwell"]
    assert said == ["store has done nothing for 121 s"]


async def test_systemd_hears_once_a_minute_how_we_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "REVIEW", 0.03)
    assert "STATUS=running: 3 feeds; 0 sent" in await run_for(FakeMonitor(), 0.2, tmp_path)


async def test_sigusr1_logs_what_is_being_done(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logged:
        await run_for(FakeMonitor(poll_takes=60), 0.1, tmp_path, signal.SIGUSR1)
    [state] = [event for event in logged if event["event"] == "state"]
    assert (state["status"], state["trouble"], state["pending"]) == ("running: 3 feeds; 0 sent", "", {})
    assert state["polls"] >= 1
    assert "daemon.py" in state["threads"]["MainThread"]


def _nothing() -> None:
    """A call that is done at once."""


async def served(monitor: FakeMonitor, folder: Path, wait: float = 0.0, **load: Any) -> list[str]:
    """Serve a monitor that takes its time to open, and tell it to stop after so many seconds."""
    systemd = Systemd(str(folder / "notify"))

    @contextlib.asynccontextmanager
    async def opened(probes: Probes, progress: Progress) -> AsyncIterator[FakeMonitor]:
        for _ in range(load.get("calls", 0)):
            await progress.watched("engine", asyncio.to_thread)(_nothing)
            probes.starting = "reading, 1 of 2"
        await asyncio.sleep(load.get("takes", 0.0))
        if "error" in load:
            raise load["error"]
        yield monitor
        monitor.asked["closed"] += 1

    env = {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "40000"}
    work = asyncio.create_task(daemon.serve(opened, env))  # type: ignore[arg-type]  # it counts, and that is all
    await asyncio.sleep(wait)
    if not work.done():
        os.kill(os.getpid(), signal.SIGTERM)
    try:
        await asyncio.wait_for(work, 5)
        return systemd.heard()
    finally:
        no_handlers()


async def test_monitor_that_was_opened_is_closed(tmp_path: Path) -> None:
    monitor = FakeMonitor()
    words = await served(monitor, tmp_path, 0.2)
    assert (monitor.asked["closed"], words[0]) == (1, "STATUS=loading the models")


async def test_sigterm_while_the_models_load_ends_at_once(tmp_path: Path) -> None:
    monitor = FakeMonitor()
    words = await served(monitor, tmp_path, 0.1, takes=60)
    assert (words, monitor.asked.total()) == (["STATUS=loading the models"], 0)


async def test_start_that_gets_on_is_given_time_and_says_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "START_LOOK", 0.01)
    words = await served(FakeMonitor(), tmp_path, 0.3, takes=60, calls=1)
    assert words == ["STATUS=loading the models", "EXTEND_TIMEOUT_USEC=300000000\nSTATUS=reading, 1 of 2"]


async def test_what_opening_raises_comes_out(tmp_path: Path) -> None:
    with pytest.raises(FetchError):
        await served(FakeMonitor(), tmp_path, 0.1, error=FetchError("dns"))


async def test_sighup_reads_the_rules_again(tmp_path: Path) -> None:
    monitor = FakeMonitor()
    await run_for(monitor, 0.05, tmp_path, signal.SIGHUP)
    assert monitor.asked["reloads asked for"] == 1


async def test_sighup_during_a_reload_is_not_lost(tmp_path: Path) -> None:
    monitor = FakeMonitor(reload_takes=0.1)
    hups = [signal.SIGHUP] * 5
    systemd = asyncio.create_task(run_for(monitor, 0.4, tmp_path, signal.SIGHUP))
    await asyncio.sleep(0.1)
    for number in hups:
        os.kill(os.getpid(), number)
    await systemd
    assert monitor.asked["reloads asked for"] == 2


async def test_change_of_topic_files_reads_them_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "LOOK", 0.03)
    monitor = FakeMonitor(changes=2)
    await run_for(monitor, 0.3, tmp_path)
    assert (monitor.asked["reloads"], monitor.asked["reloads asked for"]) == (2, 0)


async def test_change_of_topic_files_is_not_looked_for_if_nobody_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "LOOK", 0.03)
    monitor = FakeMonitor(changes=2, config=Config(watch_rules=False))
    await run_for(monitor, 0.2, tmp_path)
    assert monitor.asked["reloads"] == 0


#: what is wrong with the rules -> what systemd hears at the end
RELOADS = [
    ([], "READY=1\nSTATUS=running"),
    ([Problem("a.toml", 1, "no tests", Level.WARNING)], "READY=1\nSTATUS=running"),
    ([Problem("a.toml", 1, "unknown key")], "READY=1\nSTATUS=rules kept, a topic file is wrong"),
]


@pytest.mark.parametrize(("problems", "status"), RELOADS)
async def test_systemd_hears_how_a_reload_went(tmp_path: Path, problems: list[Problem], status: str) -> None:
    words = reload_words(await run_for(FakeMonitor(problems=problems), 0.05, tmp_path, signal.SIGHUP))
    assert words == [RELOADING, status]


RELOADING = "RELOADING=1\nMONOTONIC_USEC=…\nSTATUS=reading the rules again"


def reload_words(words: list[str]) -> list[str]:
    """What systemd heard of how we are after the first such word, but for what it hears each minute."""
    said = [word for word in words if "STATUS=" in word and not word.startswith("STATUS=running:")]
    return [re.sub(r"USEC=\d+", "USEC=…", word) for word in said[1:]]


async def test_systemd_knows_by_its_own_clock_which_reload_it_hears_of(tmp_path: Path) -> None:
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000
    words = "\n".join(await run_for(FakeMonitor(), 0.05, tmp_path, signal.SIGHUP))
    assert before <= int(words.partition("MONOTONIC_USEC=")[2].split()[0]) <= time.monotonic_ns() // 1_000


async def test_systemd_hears_the_end_of_a_reload_that_failed_too(tmp_path: Path) -> None:
    class Refusing(FakeMonitor):
        async def reload(self, **_: bool) -> list[Problem]:  # type: ignore[override]  # it refuses anything
            raise StateError("the database cannot be written: database is locked")

    words = await run_for(Refusing(), 0.05, tmp_path, signal.SIGHUP)
    said = words[words.index("READY=1") :]
    assert re.fullmatch(r"STATUS=since \d\d:\d\d UTC nothing is polled or sent: .* database is locked", said[1])


async def test_systemd_does_not_hear_that_all_is_well_from_who_asked_before_it_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "REVIEW", 0.03)

    class Locked(FakeMonitor):
        """A database that takes a while to say that it is locked; then who waited for it is answered."""

        async def review(self) -> None:
            await asyncio.sleep(0.05)
            raise StateError("the database cannot be written: database is locked")

        async def status(self) -> str:
            await asyncio.sleep(0.1)
            return "running: 3 feeds; 0 sent"

    words = await run_for(Locked(), 0.3, tmp_path)
    assert [word for word in words if word.startswith("STATUS=running")] == []
    assert any(word.startswith("STATUS=since") for word in words)


async def test_systemd_asked_for_no_reload_where_files_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "LOOK", 0.03)
    words = reload_words(await run_for(FakeMonitor(changes=1), 0.2, tmp_path))
    assert words == ["STATUS=reading the rules again", "STATUS=running"]


# -- polling what is due, with a real monitor between fakes ----------------------------------------


class SlowFetch(FakeFetch):
    """A net in which the feeds of some hosts do not answer before the test lets them."""

    def __init__(self, *slow: str) -> None:
        super().__init__()
        self.answers = asyncio.Event()
        #: those being asked now, and how many were, at most: of one host, in all
        self.asking: Counter[str] = Counter()
        self.most_of_a_host = 0
        self.most = 0
        self._slow = slow

    async def fetch(self, feed: Feed, *asked: Any, **named: Any) -> Any:
        host = feed.url.split("/")[2]
        self.asking[host] += 1
        self.most_of_a_host = max(self.most_of_a_host, self.asking[host])
        self.most = max(self.most, self.asking.total())
        try:
            if host in self._slow:
                await self.answers.wait()
            return await super().fetch(feed, *asked, **named)
        finally:
            self.asking[host] -= 1

    def polls(self) -> Counter[str]:
        return Counter(url for url, _ in self.requests)


def feeds_of(host: str, count: int) -> list[Feed]:
    return [make.feed(url=f"https://{host}/{n}") for n in range(count)]


@contextlib.asynccontextmanager
async def ticking(home: Home, happened: Callable[[], bool]) -> AsyncIterator[None]:
    """Tick like the daemon, whose ticks overlap, until something has happened; then let the slow ones answer."""
    polls = []
    async with asyncio.timeout(20):
        while not happened():
            polls.append(asyncio.create_task(home.poll()))
            await asyncio.sleep(0.01)
        yield
    assert isinstance(home.collector.fetch, SlowFetch)
    home.collector.fetch.answers.set()
    await asyncio.gather(*polls)


FEW = Polling(concurrency=4, per_host=2)


async def test_host_with_many_slow_feeds_holds_up_no_other(tmp_path: Path) -> None:
    """The fifty stand first."""
    many, others = feeds_of("many.example", 50), [feed for n in range(3) for feed in feeds_of(f"h{n}.example", 1)]
    net = SlowFetch("many.example")

    def others_are_done() -> bool:
        return net.asking["many.example"] == 2 and net.polls() == Counter(feed.url for feed in others)

    async with open_home(tmp_path, *many, *others, fetch=net, polling=FEW) as home, ticking(home, others_are_done):
        assert await home.poll() == []
    assert (net.most_of_a_host, net.most) == (2, 4)


async def test_feeds_of_a_busy_host_are_polled_in_their_turn(tmp_path: Path) -> None:
    many, net = feeds_of("many.example", 10), SlowFetch()
    async with open_home(tmp_path, *many, fetch=net, polling=FEW) as home:
        for _ in range(5):
            assert len(await home.poll()) == 2
        assert (await home.poll(), net.polls()) == ([], Counter(feed.url for feed in many))


async def test_feed_in_flight_is_not_polled_again(tmp_path: Path) -> None:
    net = SlowFetch("slow.example")
    async with open_home(tmp_path, *feeds_of("slow.example", 1), fetch=net) as home:
        async with ticking(home, lambda: net.asking["slow.example"] == 1):
            for _ in range(5):
                home.clock.wait(hours=1)
                assert await home.poll() == []
        assert net.polls() == {"https://slow.example/0": 1}


async def test_slow_feed_keeps_no_place_but_its_own(tmp_path: Path) -> None:
    """What was polled in one tick with it is done, and makes room."""
    feeds = [feed for n in range(6) for feed in feeds_of(f"h{n}.example", 1)]
    net = SlowFetch("h0.example")
    two = Polling(concurrency=2, per_host=2)
    async with (
        open_home(tmp_path, *feeds, fetch=net, polling=two) as home,
        ticking(home, lambda: len(net.polls()) == 5),
    ):
        assert (net.asking["h0.example"], net.most) == (1, 2)


async def test_no_more_feeds_are_polled_at_once_than_allowed(tmp_path: Path) -> None:
    hosts = [f"h{n}.example" for n in range(12)]
    net = SlowFetch(*hosts)
    async with open_home(tmp_path, *(feeds_of(host, 1)[0] for host in hosts), fetch=net, polling=FEW) as home:
        async with ticking(home, lambda: net.asking.total() == 4):
            for _ in range(3):
                assert await home.poll() == []
        for _ in range(2):
            assert len(await home.poll()) == 4
        assert (len(net.polls()), net.most) == (12, 4)


async def test_feed_whose_poll_failed_has_left_its_place(tmp_path: Path) -> None:
    net = SlowFetch()
    net.script("https://a.example/0", FetchError("timeout"))
    async with open_home(tmp_path, *feeds_of("a.example", 1), fetch=net, polling=FEW) as home:
        for _ in range(6):
            await home.poll()
            home.clock.wait(hours=7)
        assert net.polls() == {"https://a.example/0": 6}


async def test_one_pass_polls_all_that_is_due_however_many_a_host_has(tmp_path: Path) -> None:
    due, net = feeds_of("many.example", 12), SlowFetch()
    async with open_home(tmp_path, *due, fetch=net, polling=FEW) as home:
        later = make.feed(url="https://later.example/")
        await home.ask(lambda store: store.add_feed(later, home.clock()))
        await home.ask(lambda store: store.put_off({later.url: home.clock() + timedelta(minutes=1)}))
        await home.monitor.poll_all(only_due=True)
        assert net.polls() == Counter(feed.url for feed in due)
        await home.monitor.poll_all()
        assert net.polls()[later.url] == 1


async def test_overdue_feeds_are_spread_over_the_time_after_a_start(tmp_path: Path) -> None:
    async with open_home(tmp_path, *feeds_of("a.example", 3), fetch=SlowFetch()) as home:
        later = home.clock() + timedelta(minutes=5)
        await home.ask(lambda store: store.put_off({"https://a.example/1": later}))
        await home.monitor.spread_out()
        times = {state.feed.url: state.next_poll for state in await home.ask(Store.feeds)}
        assert times == {
            "https://a.example/0": home.clock(),
            "https://a.example/1": later,
            "https://a.example/2": home.clock() + timedelta(seconds=0.5),
        }


# -- what ops are told ----------------------------------------------------------------------------

OLD = [(f"Report {n} from the archive", f"Of {n} things nobody heard.") for n in range(12)]
STORM = (
    "Wire: storm — 13 items are held back: much that is old became new at once. "
    f"Tell them: monitor feeds release {WIRE.url} · forget them: monitor feeds drop {WIRE.url}"
)


@contextlib.asynccontextmanager
async def stormy(folder: Path, clock: Clock) -> AsyncIterator[Home]:
    """A feed known for an hour has just brought items of the day before, of which the breaker took hold."""
    net = FakeFetch()
    async with open_home(folder, WIRE, clock=clock, fetch=net) as home:
        net.script(WIRE.url, make.rss(WEATHER, published=clock() - timedelta(hours=1)))
        await home.poll()
        clock.wait(hours=1)
        net.script(WIRE.url, make.rss(*OLD, TROOPS, published=clock() - timedelta(days=1)))
        await home.poll()
        yield home


async def test_storm_is_told_to_ops_once_and_once_that_it_is_over(tmp_path: Path) -> None:
    clock = Clock()
    async with stormy(tmp_path, clock) as home:
        assert await home.review() == [STORM]
        for _ in range(3):
            clock.wait(hours=1)
            await home.poll()
            assert await home.review() == []
        at_folder(tmp_path, lambda store: store.drop(WIRE.url))
        assert await home.review() == [f"Wire: no longer storm, since {clock():%H:%M} UTC"]
        clock.wait(days=1)
        assert await home.review() == []
        assert (await home.ask(Store.ailments), home.sink.messages[2:]) == ([], [])


async def test_held_items_are_told_after_somebody_released_them_in_another_process(tmp_path: Path) -> None:
    clock = Clock(datetime.now(UTC) - timedelta(hours=2))  # the other process goes by the real one
    (tmp_path / "monitor.toml").write_text('state = "state"\n', encoding="utf-8")
    async with stormy(tmp_path / "state", clock) as home:
        assert await home.review() == [STORM]
        words = ["-m", "monitor", "--config", str(tmp_path / "monitor.toml"), "feeds", "release", WIRE.url]
        release = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=subprocess.PIPE)
        said, _ = await release.communicate()
        assert (release.returncode, said.decode()) == (0, f"13 items of {WIRE.url} will be judged at its next poll\n")
        clock.now = datetime.now(UTC)
        await home.poll()
        assert await home.review() == [f"Wire: no longer storm, since {clock():%H:%M} UTC"]
        assert [m.alert.item.title for m in home.sink.messages if isinstance(m.alert, Alert)] == [TROOPS[0]]
        clock.wait(hours=1)
        await home.poll()
        assert (await home.review(), len(home.sink.messages)) == ([], 3)


async def test_root_says_that_its_story_is_over_once_the_news_has_moved_on(tmp_path: Path) -> None:
    clock, fetch = Clock(), FakeFetch()
    async with open_home(tmp_path, WIRE, clock=clock, fetch=fetch) as home:
        for articles, hours in (((WEATHER,), 1), ((TROOPS,), 71), ((TROOPS, WEATHER), 2), ((TROOPS, SHIPS), 1)):
            fetch.script(WIRE.url, make.rss(*articles, published=clock() - timedelta(minutes=5)))
            await home.poll()
            await home.monitor.deliver()
            clock.wait(hours=hours)
        assert home.sink.edits == []
        for _ in range(2):
            await home.monitor.tidy()
            await home.monitor.deliver()
        [edit] = home.sink.edits
        assert (edit.thread, edit.growth and edit.growth.closed) == ("ts1", True)


async def test_restart_tells_nothing_twice(tmp_path: Path) -> None:
    clock = Clock()
    async with stormy(tmp_path, clock) as home:
        assert len(await home.review()) == 1
    async with open_home(tmp_path, clock=clock, fetch=FakeFetch()) as home:
        assert await home.review() == []
        at_folder(tmp_path, lambda store: store.drop(WIRE.url))
    async with open_home(tmp_path, clock=clock, fetch=FakeFetch()) as home:
        assert len(await home.review()) == 1


async def test_what_ops_were_not_told_before_a_kill_is_told_after_it(tmp_path: Path) -> None:
    clock = Clock()
    async with stormy(tmp_path, clock) as home:
        await home.monitor.review()
    async with open_home(tmp_path, clock=clock, fetch=FakeFetch()) as home:
        assert await home.monitor.deliver() == 1
        assert await home.review() == []


async def test_review_that_finds_nothing_new_writes_nothing(tmp_path: Path) -> None:
    clock = Clock()
    async with stormy(tmp_path, clock) as home:
        gazette = make.feed(url="https://a.example/", title="A gazette that was added later, and fails for days")
        await home.ask(lambda store: store.add_feed(gazette, clock()))
        for days in (9, 5, 1):
            ago = clock() - timedelta(days=days)
            await home.ask(lambda store, ago=ago: store.commit_failed_poll(gazette, "timeout", 1.0, ago, ago))
        await home.review()
        clock.wait(hours=1)
        await home.review()
        with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as watcher:
            version = "PRAGMA data_version"
            before = watcher.execute(version).fetchone()
            clock.wait(minutes=1)
            assert await home.review() == []
            assert watcher.execute(version).fetchone() == before


async def test_removed_feed_ails_nobody(tmp_path: Path) -> None:
    async with stormy(tmp_path, Clock()) as home:
        await home.review()
        at_folder(tmp_path, lambda store: store.remove_feed(WIRE.url))
        assert (await home.review(), await home.ask(Store.ailments)) == ([], [])


async def test_outage_is_told_once_and_its_end_once_and_no_feed_is_charged(tmp_path: Path) -> None:
    feeds = [feed for n in range(6) for feed in feeds_of(f"h{n}.example", 1)]
    net, clock = FakeFetch(), Clock()
    async with open_home(tmp_path, *feeds, clock=clock, fetch=net) as home:
        for feed in feeds:
            net.script(feed.url, make.rss(WEATHER))
        await home.monitor.poll_all()
        for feed in feeds:
            net.script(feed.url, FetchError("dns", weight=0.25))
        told = []
        for _ in range(5):
            clock.wait(minutes=3)
            await home.monitor.poll_all()
            told += await home.review()
        assert told == ["our own network: outage — most hosts cannot be reached: no feed is charged for it"]
        assert {state.failures for state in await home.ask(Store.feeds)} == {0.0}
        for feed in feeds:
            net.script(feed.url, make.rss(WEATHER))
        clock.wait(minutes=3)
        await home.monitor.poll_all()
        assert await home.review() == [f"our own network: no longer outage, since {clock():%H:%M} UTC"]


# -- the real process, with real models -----------------------------------------------------------

ROOT = Path(__file__).parents[1]
RULES = ("north-korean-troops.toml", "brics-clear.toml")
#: One sample outlet in English and the engine that reads it: a start in ten seconds, and all that a process does is done.
OUTLET = "/harbour-wire"
#: Beside it, two that tell one event.
FRONT = ("North Korean soldiers in Russia will reach the front soon", "So says Seoul's spy agency, and Kyiv agrees.")
FRONT_RETOLD = (
    "Seoul: North Korean soldiers in Russia soon at the front",
    "The spy agency told lawmakers so; Kyiv agrees.",
)
SETTINGS = """\
state = "state"
rules = "rules"
[polling]
allow_private = ["127.0.0.1"]
concurrency = 1
[embedding]
engines = ["minilm"]
[alerts]
max_age = "3650d"
backfill = "3650d"
"""
SLACK = """\
channel = "C0NEWS"
[slack]
base_url = "{url}"
settle = "0s"
"""


class Process:
    """A `monitor run` whose two streams are read in threads."""

    def __init__(self, folder: Path, **environment: str) -> None:
        hidden = ("SLACK_BOT_TOKEN", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "MONITOR_CONFIG")
        inherited = {name: value for name, value in os.environ.items() if name not in hidden}
        self.process = subprocess.Popen(  # noqa: S603 - ours
            [sys.executable, "-m", "monitor", "--config", str(folder / "monitor.toml"), "run"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder,
            env=inherited | {"NO_PROXY": "*"} | environment,
        )  # fmt: skip
        self.out: Queue[str] = Queue()
        self.talk: Queue[str] = Queue()
        for stream, queue in ((self.process.stdout, self.out), (self.process.stderr, self.talk)):
            Thread(target=self._read, args=(stream, queue), daemon=True).start()

    def _read(self, stream: Any, queue: Queue[str]) -> None:
        with stream:
            for line in stream:
                queue.put(line)

    def hears(self, queue: Queue[str], word: str, seconds: float = 60) -> str:
        """Wait for a line with this word in it."""
        end = time.monotonic() + seconds
        heard = []
        while (left := end - time.monotonic()) > 0:
            try:
                heard.append(queue.get(timeout=left))
            except Empty:
                break
            if word in heard[-1]:
                return heard[-1]
        raise AssertionError(f"never said {word!r}, but: {''.join(heard)}")

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)


def set_up(folder: Path, feeds: list[Feed], more: str = "", knows: Path | None = None) -> Path:
    """A folder with a configuration, two topics and feeds.

    knows: a folder whose daemon embedded all the texts before, to spare the time.
    """
    (folder / "rules").mkdir(parents=True)
    for name in RULES:
        shutil.copy(ROOT / "rules" / name, folder / "rules")
    (folder / "monitor.toml").write_text(SETTINGS + more, encoding="utf-8")
    store = Store.open(folder / "state")
    for feed in feeds:
        store.add_feed(feed, datetime.now(UTC))
    store.close()
    if knows:
        with contextlib.closing(sqlite3.connect(folder / "state" / FILE)) as connection:
            connection.execute("ATTACH ? AS other", (str(knows / "state" / FILE),))
            connection.execute("INSERT INTO vectors SELECT * FROM other.vectors")
            connection.commit()
    return folder


def until_sent(folder: Path, seconds: float = 60) -> dict[str, int]:
    """Wait until every feed was polled and nothing waits in the outbox; its counts."""
    store = Store.open(folder / "state")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.1)
        counts = store.outbox_counts()
        if all(feed.last_success for feed in store.feeds()) and set(counts) == {"sent"}:
            break
    store.close()
    return counts


def transcript(folder: Path) -> list[str]:
    lines = (folder / "state" / "transcript.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["id"] for line in lines]


def outbox(folder: Path) -> list[str]:
    store = Store.open(folder / "state")
    ids = [delivery.alert.id for delivery in store.deliveries()]
    store.close()
    return ids


@pytest.fixture(scope="module")
def feeds() -> Iterator[list[Feed]]:
    with SampleServer(0, edition=2) as samples, FeedServer() as server:
        urls = [server.serve(f"/{n}", Answer(make.rss(article))) for n, article in enumerate((FRONT, FRONT_RETOLD))]
        others = [make.feed(url=url, title=title) for url, title in zip(urls, ("Wire", "Gazette"), strict=True)]
        yield [feed for feed in samples.feeds() if feed.url.endswith(OUTLET)] + others


@dataclass
class Seen:
    """What a day in the life of a daemon showed."""

    folder: Path
    first_alert: str = ""
    second: tuple[int, str] = (0, "")
    refused: str = ""
    kept: str = ""
    #: path -> what was answered
    probed: dict[str, str] = field(default_factory=dict)
    ready: list[str] = field(default_factory=list)
    exit_code: int = -1
    seconds_to_exit: float = 0


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory, feeds: list[Feed]) -> Seen:
    """Start, alert, be started a second time, read a broken topic, be told to stop."""
    probes = tmp_path_factory.mktemp("probes") / "http"
    folder = set_up(tmp_path_factory.mktemp("day"), feeds, f'[probes]\nlisten = "unix:{probes}"\n')
    seen = Seen(folder)
    systemd = Systemd(str(folder / "notify"))
    monitor = Process(folder, NOTIFY_SOCKET=str(folder / "notify"))
    seen.first_alert = monitor.hears(monitor.out, "●")
    second = Process(folder)
    seen.second = second.process.wait(60), second.hears(second.talk, "another monitor")
    until_sent(folder)
    seen.probed = {path: asked(probes, path) for path in ("/healthz", "/readyz", "/metrics")}
    mistake = 'titel = "BRICS Clear"\ndescription = "The payment system of BRICS."\n'
    (folder / "rules" / "brics-clear.toml").write_text(mistake, encoding="utf-8")
    monitor.process.send_signal(signal.SIGHUP)
    seen.refused = monitor.hears(monitor.talk, "brics-clear.toml:1")
    seen.kept = monitor.hears(monitor.talk, "rules kept")
    began = time.monotonic()
    seen.exit_code = monitor.end(signal.SIGTERM)
    seen.seconds_to_exit = time.monotonic() - began
    seen.ready = systemd.heard()
    return seen


def asked(path: Path, target: str) -> str:
    """What is answered at a Unix socket, head and all."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(path))
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: monitor\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(65_536), b"")).decode()


@pytest.mark.model
def test_alerts_come_on_stdout(day: Seen) -> None:
    assert day.first_alert.startswith("● ")


@pytest.mark.model
def test_every_alert_stands_in_the_transcript_once(day: Seen) -> None:
    assert sorted(transcript(day.folder)) == sorted(outbox(day.folder))
    assert len(transcript(day.folder)) > 1


@pytest.mark.model
def test_who_watches_is_answered(day: Seen) -> None:
    assert day.probed["/healthz"].endswith("\r\n\r\nok work\nok progress\n")
    assert day.probed["/readyz"].startswith("HTTP/1.1 200")
    lines = day.probed["/metrics"].splitlines()
    assert f'news_monitor_outbox{{state="sent"}} {len(outbox(day.folder))}.0' in lines
    assert 'news_monitor_polls_total{outcome="new"} 3.0' in lines
    assert any(line.startswith("process_resident_memory_bytes ") for line in lines)


@pytest.mark.model
def test_second_instance_on_the_same_state_ends_with_75(day: Seen) -> None:
    assert day.second[0] == 75


@pytest.mark.model
def test_broken_topic_is_named_with_its_line(day: Seen) -> None:
    assert "titel" in day.refused


@pytest.mark.model
def test_broken_topic_leaves_the_last_good_set_in_force(day: Seen) -> None:
    assert "the last good set stays in force" in day.kept


@pytest.mark.model
def test_sigterm_ends_well(day: Seen) -> None:
    assert day.exit_code == 0


@pytest.mark.model
def test_sigterm_ends_soon(day: Seen) -> None:
    assert day.seconds_to_exit < daemon.LAST_POST


@pytest.mark.model
def test_systemd_hears_the_real_process_begin_reload_and_end(day: Seen) -> None:
    assert day.ready[0] == "STATUS=loading the models"
    assert day.ready[-1] == "STOPPING=1"
    assert reload_words(day.ready) == [
        "READY=1\nSTATUS=running", RELOADING, "READY=1\nSTATUS=rules kept, a topic file is wrong"
    ]  # fmt: skip


@pytest.mark.model
def test_killed_process_repeats_nothing_and_loses_nothing(tmp_path: Path, feeds: list[Feed], day: Seen) -> None:
    folder = set_up(tmp_path / "killed", feeds, knows=day.folder)
    first = Process(folder)
    first.hears(first.out, "●")
    assert first.end(signal.SIGKILL) == -signal.SIGKILL
    second = Process(folder)
    second.hears(second.talk, "running")
    time.sleep(0.7)
    second.end(signal.SIGKILL)
    last = Process(folder)
    assert set(until_sent(folder)) == {"sent"}
    last.end(signal.SIGTERM)
    assert sorted(transcript(folder)) == sorted(outbox(folder))
    # what is told does not depend on how often it died
    assert sorted(outbox(folder)) == sorted(outbox(day.folder))


@pytest.mark.model
def test_slack_gets_every_alert_and_replies_in_threads(tmp_path: Path, feeds: list[Feed], day: Seen) -> None:
    with FakeSlack() as slack:
        folder = set_up(tmp_path / "slack", feeds, SLACK.format(url=slack.url), knows=day.folder)
        monitor = Process(folder, SLACK_BOT_TOKEN=slack.token)
        assert set(until_sent(folder)) == {"sent"}
        monitor.end(signal.SIGTERM)
        assert sorted(slack.delivery_ids()) == sorted(outbox(folder))
        [root] = [message for message in slack.messages if FRONT[0] in message["text"]]
        [reply] = [message for message in slack.messages if FRONT_RETOLD[0] in message["text"]]
        assert (root.get("thread_ts"), reply["thread_ts"]) == (None, root["ts"])
