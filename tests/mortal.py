"""A monitor that dies at a moment of one's choice, and is started again until nothing waits. No wait is real.

As a program, this file is the processes that die: `python mortal.py FOLDER URL FAULT...`. For each fault and each moment it
prints what stood in the outbox at last, a JSON object a line. FakeSlack is at the URL; what it is to do, and what time it
is, goes out the same way, and is answered by a byte on stdin (test_crashes.py).
"""

from __future__ import annotations

import asyncio
import functools
import gc
import http.client
import json
import logging
import mmap
import os
import shutil
import struct
import sys
from collections.abc import Callable, Coroutine
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any

import make
import structlog
from fakes import FakeEmbedder, FakeFetch, background, no_rules, parse_here, usual_pace
from slack_server import FakeSlack
from world import (
    GAZETTE,
    NOTHING,
    SHIPS,
    SHIPS_TOPIC,
    TOPICS,
    TROOPS,
    TROOPS_RETOLD,
    TROOPS_TOPIC,
    WIRE,
    at_once,
    learn,
)  # fmt: skip

from monitor.decide import Policy
from monitor.digest import Schedule
from monitor.gate import Gate
from monitor.model import Alert, Delivery, DeliveryState, Mode, Notify
from monitor.pipeline import Collector, Courier, Judge, Sink, collect_all, deliver
from monitor.send import SlackSink, TerminalSink
from monitor.store import Store

DIED = 137
SETTLE = timedelta(seconds=60)
#: When a process delivers, each so long after the one before: at its start, when a doubt has settled, when it was looked at
#: a second time, after Retry-After.
ROUNDS = [timedelta(0), SETTLE, timedelta(seconds=10), timedelta(minutes=1)]
#: Of the two topics one is told at once, the other in a digest, which is due in between.
GATE = Gate(topics={topic.id: topic for topic in (TROOPS_TOPIC, replace(SHIPS_TOPIC, notify=Notify(mode=Mode.DIGEST)))})
DIGESTS = Schedule(daily=(make.NOW + timedelta(minutes=1)).time())
#: A dead process is started again so soon, and so often.
RESTART, RESTARTS = timedelta(seconds=5), 6

#: Faults beside FakeSlack's.
TERMINAL = "terminal"  # alerts go there, and not to Slack; the process polls as well
POLLING = "polling"  # none, but the process polls as well
UNREADABLE = "unreadable"  # the first answer is lost, and the channel cannot be read before the restart
REFUSED = "refused"  # the first connection is
#: Nothing answers in time. The wait is spared: it is we who stop listening, to a Slack that does this.
HANGS = {"accept_then_hang": "ok", "drop_hang": "drop"}


class Reaper:
    """Counts moments, and ends the process at one of them; at none, for 0."""

    def __init__(self, moment: int) -> None:
        self._moment = moment
        self._passed = 0

    def tick(self) -> None:
        self._passed += 1
        if self._passed == self._moment:
            os._exit(DIED)

    def statement(self, sql: str) -> None:
        """At both ends of a transaction, and once inside: to die at another statement is to die at the next of these."""
        if sql.startswith(("BEGIN", "COMMIT", "INSERT INTO outbox")):
            self.tick()


class SharedClock:
    """The time, in memory that all processes share; whoever moves it tells FakeSlack."""

    def __init__(self, steer: Callable[..., None]) -> None:
        self._memory = mmap.mmap(-1, 8)
        self._steer = steer

    def __call__(self) -> datetime:
        [seconds] = struct.unpack("d", self._memory[:])
        return datetime.fromtimestamp(seconds, UTC)

    def set(self, now: datetime, **more: object) -> None:
        self._memory[:] = struct.pack("d", now.timestamp())
        self._steer(now=now.timestamp(), **more)


class MortalStore(Store):
    def listen(self, reaper: Reaper) -> None:
        self._connection.execute("PRAGMA synchronous = OFF")  # the process dies here, not the machine
        self._connection.set_trace_callback(reaper.statement)

    def readdress(self, channel: str) -> None:
        self._connection.execute("UPDATE outbox SET channel = ?", (channel,))


class MortalFetch(FakeFetch):
    def __init__(self, reaper: Reaper) -> None:
        super().__init__()
        self._reaper = reaper

    async def fetch(self, *asked: Any, **named: Any) -> Any:
        answer = await super().fetch(*asked, **named)
        self._reaper.tick()
        return answer


class MortalSink:
    """A real sink, with a moment before it sends and one after, and one at each answer of Slack's that nobody has read."""

    name = "mortal"

    def __init__(self, sink: Sink, reaper: Reaper, fault: str) -> None:
        self._sink = sink
        self._reaper = reaper
        #: of ours, until the first message
        self._fault = fault
        connect, response = http.client.HTTPConnection.connect, http.client.HTTPConnection.getresponse

        def mortal_connect(connection: http.client.HTTPConnection) -> None:
            if self._fault == REFUSED:
                raise ConnectionRefusedError
            connect(connection)

        def mortal_response(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
            try:
                answer = response(connection)
            finally:
                reaper.tick()
            if self._fault in HANGS:
                answer.close()
                raise TimeoutError
            return answer

        self._undo = connect, response
        http.client.HTTPConnection.connect = mortal_connect  # type: ignore[method-assign]  # in processes of our own
        http.client.HTTPConnection.getresponse = mortal_response  # type: ignore[method-assign]  # as above

    def send(self, delivery: Delivery) -> str:
        self._reaper.tick()
        try:
            return self._sink.send(delivery)
        finally:
            self._fault = ""
            self._reaper.tick()

    def edit(self, delivery: Delivery) -> None:
        self._reaper.tick()
        self._sink.edit(delivery)
        self._reaper.tick()

    def find(self, delivery: Delivery) -> str | None:
        return self._sink.find(delivery)

    def close(self) -> None:
        http.client.HTTPConnection.connect, http.client.HTTPConnection.getresponse = self._undo  # type: ignore[method-assign]


async def live(folder: Path, sink: Sink, clock: SharedClock, channel: str, *, fault: str = "", moment: int = 0) -> bool:
    """One life of a monitor: open the state as `app` does, poll both feeds and alert this channel, if one is named,
    deliver; True if nothing waits any more."""
    reaper = Reaper(moment)
    settle = SETTLE if isinstance(sink, SlackSink) else timedelta(0)
    with closing(MortalStore.open(folder)) as store, closing(MortalSink(sink, reaper, fault)) as mortal:
        store.listen(reaper)
        store.doubt_all_sending(clock(), settle)
        store.unblock_all(clock())
        if channel:
            await poll(store, clock, MortalFetch(reaper), channel, edition=2)
        for wait in ROUNDS:
            clock.set(clock() + wait)
            await deliver(Courier(mortal, store, at_once, at_once, clock, settle, gate=lambda: GATE, digests=DIGESTS))
            if {row.state for row in store.latest_deliveries(100)} <= {DeliveryState.SENT, DeliveryState.BATCHED}:
                return True
    return False


async def poll(store: Store, clock: Callable[[], datetime], fetch: FakeFetch, channel: str, edition: int) -> None:
    policy = Policy(channel, max_age=timedelta(days=3), backfill=timedelta(0))
    judge = Judge(learn(TOPICS), background(), timedelta(hours=72), policy)
    judge.rebuild(store.members(judge.stories.span, FakeEmbedder().id))
    fetch.script(WIRE.url, make.rss(*[NOTHING, TROOPS, SHIPS][: 1 if edition == 1 else 3]))
    fetch.script(GAZETTE.url, make.rss(*[NOTHING, TROOPS_RETOLD][:edition]))
    collector = Collector(
        fetch, parse_here, FakeEmbedder(), store, at_once, at_once, clock, lambda: 0.5, usual_pace, no_rules
    )
    await collect_all(store.feeds(), judge, collector, concurrency=1)


# -- the program ----------------------------------------------------------------------------------


def main(folder: Path, url: str, faults: list[str]) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    gc.freeze()  # or the first collection in each of some thousand children would copy all the memory that they share
    clock = SharedClock(steer)
    clock.set(make.NOW)
    polled_once, polled_twice = folder / "polled once", folder / "polled twice"
    with closing(Store.open(polled_once)) as store:
        store.add_feed(WIRE, make.NOW)
        store.add_feed(GAZETTE, make.NOW)
        asyncio.run(poll(store, clock, FakeFetch(), make.CHANNEL, edition=1))
    shutil.copytree(polled_once, polled_twice)
    with closing(Store.open(polled_twice)) as store:
        asyncio.run(poll(store, clock, FakeFetch(), make.CHANNEL, edition=2))
    for number, fault in enumerate(faults):
        polls = fault in (TERMINAL, POLLING)
        for moment in count(1):
            state, channel = folder / f"{number}-{moment}", f"C{number:02}{moment:04}"
            shutil.copytree(polled_once if polls else polled_twice, state)
            with closing(MortalStore.open(state)) as store:
                store.readdress(channel)
            if not die(fault, moment, state, channel, url, clock):
                break  # it lived to its end: there are no more moments
            shutil.rmtree(state)


def die(fault: str, moment: int, state: Path, channel: str, url: str, clock: SharedClock) -> bool:
    """Live until a moment, then again until nothing waits, and tell what came of it; whether it did die."""
    polled, transcript = channel if fault in (TERMINAL, POLLING) else "", state / "transcript.jsonl"
    sink: Sink = SlackSink(FakeSlack.token, url)
    if fault == TERMINAL:
        sink = TerminalSink(StringIO(), transcript, colour=False)
    clock.set(make.NOW, fault=HANGS.get(fault, fault))
    died = in_child(functools.partial(live, state, sink, clock, polled, fault=fault, moment=moment)) == DIED
    # a digest that was due before anything was written down is not made: the next day's tells what it would have
    for wait in [RESTART] * RESTARTS + [timedelta(days=1)] * 2:
        clock.set(clock() + wait, fault="")
        if asyncio.run(live(state, sink, clock, polled)):
            break
    with closing(Store.open(state)) as store:
        rows = [
            {
                "id": row.alert.id,
                "kind": row.alert.kind,
                "parent": row.alert.parent if isinstance(row.alert, Alert) else "",
                "title": row.alert.item.title if isinstance(row.alert, Alert) else "",
                "state": row.state,
            }
            for row in store.latest_deliveries(100)
        ]
    told = [json.loads(line)["id"] for line in transcript.read_text().splitlines()] if transcript.exists() else []
    say({"fault": fault, "moment": moment, "channel": channel, "outbox": rows, "transcript": told})
    return died


def in_child(life: Callable[[], Coroutine[Any, Any, object]]) -> int:
    """Live in a process of its own; its exit code. What it cannot bear, the program cannot."""
    child = os.fork()
    if not child:
        try:
            asyncio.run(life())  # type: ignore[arg-type]  # a coroutine function, and no other
            os._exit(0)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            sys.stderr.flush()
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code not in (0, DIED):
        raise ChildProcessError(code)
    return code


def steer(**orders: object) -> None:
    """Tell FakeSlack what to do, and wait until it does."""
    say(orders)
    os.read(0, 1)


def say(what: dict[str, Any]) -> None:
    # one write: `print` may write the line's end apart
    os.write(1, f"{json.dumps(what)}\n".encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
