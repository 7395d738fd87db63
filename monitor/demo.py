"""The main job, shown: the sample feeds are polled twice by the very code of `monitor run`, with the shipped topics."""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Protocol, TextIO

import click
from tabulate import tabulate

from monitor.app import Monitor, open_monitor
from monitor.config import load
from monitor.database import Lock
from monitor.errors import StateError
from monitor.model import Explained, Feed, PollOutcome, Verdict
from monitor.sample_feeds import SampleServer
from monitor.store import Store

#: When the two editions are polled: just after the last item of each.
FIRST_POLL = datetime(2024, 11, 17, 5, 0, tzinfo=UTC)
SECOND_POLL = datetime(2024, 11, 30, 6, 0, tzinfo=UTC)

#: One feed after the other, so that every demo tells the same; the samples go back seven weeks, and a reader has no ten
#: minutes to wait for the replies.
SETTINGS = """\
# Written by `monitor demo`. The sample feeds are served on this machine while the demo, or `monitor demo --serve`, runs.
state = "."
[polling]
allow_private = ["127.0.0.1"]
concurrency = 1
host_gap = "0s"

[alerts]
max_age = "3650d"
backfill = "3650d"
reply_gap = "0s"
"""


class Say(Protocol):
    def __call__(self, text: str, *, bold: bool = False, dim: bool = False) -> None: ...


async def run(state: Path, port: int, out: TextIO) -> None:
    """Poll both editions and tell what an analyst would get."""
    settings = prepare(state)
    config = load(settings, {})
    clock = _Clock(FIRST_POLL)
    colour = out.isatty()

    def say(text: str, *, bold: bool = False, dim: bool = False) -> None:
        out.write((click.style(text, bold=bold, dim=dim) if colour else text) + "\n")
        out.flush()

    with _serve(port) as server:
        say(f"Serving {len(server.outlets)} sample feeds at {server.base}; loading the models …", dim=True)
        async with open_monitor(config, {}, out, colour=colour, clock=clock, draw=lambda: 0.5) as monitor:
            feeds = server.feeds()
            for feed in feeds:
                await monitor.ask(partial(Store.add_feed, feed=feed, now=clock()))
            say("\nFIRST POLL — the morning of 17 November 2024. Seven weeks stand in the feeds.\n", bold=True)
            first = await _poll(monitor, feeds, say)
            await monitor.deliver()
            clock.jump(SECOND_POLL)
            server.edition = 2
            say(
                "\nSECOND POLL — thirteen days later. What is new, and what belongs to a story already told?\n",
                bold=True,
            )
            second = await _poll(monitor, feeds, say)
            await monitor.deliver()
            await _tell_held_back(monitor, say)
            await _sum_up(monitor, [*first, *second], say)
            await _suggest(monitor, settings, say)


def serve(state: Path, port: int) -> None:
    """Serve both editions until interrupted, for a monitor in another terminal; what a demo left in the state stays."""
    settings = prepare(state, keep=True)
    server = _serve(port)
    server.edition = 2
    store = Store.open(state)
    for feed in server.feeds():
        store.add_feed(feed, datetime.now(UTC))
    store.close()
    click.echo(f"serving {len(server.outlets)} feeds at {server.base}; now, in another terminal:", err=True)
    click.echo(f"monitor --config {settings} run")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        click.echo("stopped", err=True)


def prepare(state: Path, *, keep: bool = False) -> Path:
    """Make a state folder with its configuration, empty unless `keep`; refuse to empty one that a demo did not make.

    Raises: StateError.
    """
    settings = state / "monitor.toml"
    ours = settings.exists() and settings.read_text(encoding="utf-8") == SETTINGS
    if state.exists() and any(state.iterdir()) and not ours:
        raise StateError(f"{state} is not empty and no demo made it: name another folder with --state")
    if ours and not keep:
        with Lock(state):  # a demo or a monitor that still works on it must not lose it under its feet
            shutil.rmtree(state)
    state.mkdir(parents=True, exist_ok=True)
    settings.write_text(SETTINGS, encoding="utf-8")
    return settings


class _Clock:
    """The time as it was then, going on as real time does."""

    def __init__(self, start: datetime) -> None:
        self.jump(start)

    def jump(self, time_then: datetime) -> None:
        self._start, self._began = time_then, time.monotonic()

    def __call__(self) -> datetime:
        return self._start + timedelta(seconds=time.monotonic() - self._began)


def _serve(port: int) -> SampleServer:
    try:
        return SampleServer(port)
    except OSError:
        return SampleServer(0)  # somebody else has the port: any other will do


async def _poll(monitor: Monitor, feeds: list[Feed], say: Say) -> list[PollOutcome]:
    began = time.monotonic()
    outcomes = await monitor.poll_all()
    counts = {state.feed.url: state.items for state in await monitor.ask(Store.feeds)}
    for feed, outcome in zip(feeds, outcomes, strict=True):
        about = f"{feed.kind}, {feed.country}, {feed.language}"
        answer = "304 " if outcome is PollOutcome.NOT_MODIFIED else "200 "
        say(f"  {feed.name:<24} {about:<32} {answer}{outcome} ({counts[feed.url]} items so far)", dim=True)
    say(f"  {time.monotonic() - began:.0f} s to fetch, parse, embed, match, group and decide\n", dim=True)
    return outcomes


async def _tell_held_back(monitor: Monitor, say: Say) -> None:
    say("\nHELD BACK — the same text again: counted as one more source, told to nobody\n", bold=True)
    for known in await monitor.ask(lambda store: store.with_verdict(Verdict.COPY)):
        say(f"  {known.item.source}: {known.item.title}")
        say(f"    {known.because}", dim=True)


async def _sum_up(monitor: Monitor, outcomes: list[PollOutcome], say: Say) -> None:
    totals = await monitor.ask(Store.totals)
    verdicts = await monitor.ask(Store.verdict_counts)
    topics = await monitor.ask(Store.alerted_topics)
    polls = Counter(outcome.value for outcome in outcomes)
    rows = [
        ("feeds", totals["feeds"], ", ".join(f"{n} polls {outcome}" for outcome, n in polls.items())),
        ("items", totals["items"], "in English, Russian, Ukrainian and Chinese"),
        ("matches", totals["matched"], "items that a topic took"),
        ("stories", totals["told"], "that a channel was told of"),
        ("alerts", verdicts.get(Verdict.ALERT, 0), f"new messages, on {len(topics)} topics"),
        ("replies", verdicts.get(Verdict.REPLY, 0), "in the threads of stories told before"),
        ("held back", verdicts.get(Verdict.COPY, 0), "syndicated copies"),
        ("silent", verdicts.get(Verdict.NO_MATCH, 0), "no topic: look-alikes and other news"),
    ]
    say("\nIN SHORT\n", bold=True)
    say(tabulate(rows, tablefmt="plain"))


async def _suggest(monitor: Monitor, settings: Path, say: Say) -> None:
    told = await monitor.ask(lambda store: store.with_verdict(Verdict.REPLY))
    silent = await monitor.ask(lambda store: store.with_verdict(Verdict.NO_MATCH))
    silent.sort(key=_nearness, reverse=True)
    command = f"monitor --config {settings}"
    first = "" if shutil.which("monitor") else f" (first: . {sys.prefix}/bin/activate)"
    say(f"\nNEXT{first}\n", bold=True)
    rows = [
        *[(f"{command} explain {known.item.id[:8]}", "why this one went to a thread") for known in told[:1]],
        *[(f"{command} explain {known.item.id[:8]}", "why this one stayed silent") for known in silent[:1]],
        (f"{command} status", "what stands in the database"),
        ('monitor explain --text "Xi and Putin discuss a BRICS payment system"', "what the topics make of any text"),
        ("monitor rules test", "the tests inside the topic files"),
        ("monitor feeds import {shipped} && monitor run", "the real feeds"),
    ]
    say(tabulate(rows, tablefmt="plain"))


def _nearness(known: Explained) -> float:
    """How near a silent item came to alerting: the nearest misses are the most telling."""
    return max((match.score - match.bar for match in known.matches), default=0.0)
