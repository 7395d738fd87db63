"""Builds the real monitor from a configuration: the only place that chooses implementations."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import random
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import ParamSpec, TextIO, TypeVar

import structlog

from monitor import heap
from monitor.audit import SPAN, Auditor, sweep
from monitor.canary import Aviary, tend
from monitor.config import (
    Config,
    SinkOptions,
    channel_problems,
    opinion_key,
    shipped,
    sink_names,
    sink_secrets,
    slack_app_token,
    slack_channels,
    slack_token,
)
from monitor.config import FeedOptions as ConfiguredFeed
from monitor.database import FILE, Lock
from monitor.decode import decode
from monitor.digest import Schedule
from monitor.errors import (
    ConfigError,
    Level,
    Misconfigured,
    OpinionError,
    Problem,
    StateError,
)
from monitor.fetch import FeedOptions, Fetcher, FetchPolicy
from monitor.gate import Gate
from monitor.health import notice, review
from monitor.hearing import Hearing, hear, note_link
from monitor.heartbeat import Heartbeat
from monitor.isolate import Isolated
from monitor.judges import CrossEncoderJudge, EndpointJudge
from monitor.kept_vectors import KeptVectors
from monitor.learning import (
    TERMINAL_CHANNEL,
    Learning,
    Report,
    learning_of_state,
    now,
    open_learning,
    own_items,
    policy_for,
    policy_of,
    silent,
    vectors,
)
from monitor.match import Matcher, read_ahead, topic_texts
from monitor.metrics import Telemetry
from monitor.model import (
    Document,
    Feed,
    FeedState,
    Notice,
    PollOutcome,
    PublisherRules,
    Topic,
    Validators,
    Vector,
    Vitals,
)
from monitor.opinion import Borderline
from monitor.parse import parse
from monitor.pipeline import (
    Asking,
    Clock,
    Collector,
    Courier,
    InThread,
    Judge,
    Parse,
    Sink,
    backfill,
    collect_all,
    deliver,
    reopen,
)
from monitor.probes import Probes, answering, process_metrics
from monitor.progress import Progress
from monitor.publishers import Publishers, load_publishers
from monitor.push import Pushes, open_pushes
from monitor.readiness import readiness, status_line
from monitor.retention import START, Mark, Step
from monitor.rules import address, check_topics, load_topics, owner_of
from monitor.schedule import Pace, spread_out
from monitor.send import SlackSink, TerminalSink
from monitor.sinks import AppriseSink, Router, WebhookSink
from monitor.socket_mode import SocketMode
from monitor.spool import Spool
from monitor.store import Store
from monitor.stories import Openness
from monitor.survey import Surveyor
from monitor.sweep import LATE
from monitor.terms import forget_dictionaries
from monitor.text import host_of, longest_prefix, sink_of
from monitor.toml import parse_clock, parse_quiet_hours, parse_zone
from monitor.trial import run_tests, texts_of_tests
from monitor.watch import REFUSED, Watch, snapshot

P = ParamSpec("P")
T = TypeVar("T")

log = structlog.get_logger()

TRANSCRIPT = "transcript.jsonl"

#: The fact in which stands what publishers' answers say of our clock.
CLOCK = "clock"
#: Feeds are overdue, and none was polled for so long.
UNWELL = timedelta(minutes=15)
#: The first sweep may hold up alerts for so long, and then they go out all the same.
FIRST_SWEEP = 60.0  # seconds

#: Who asks how we are does not wait longer for the database.
ANSWER = 5.0  # seconds

#: What the models are tried with: a text for each of the shipped ones.
WARM_UP = ("News of the day", "Новости дня")
#: Of what is wrong with topic files, so many lines are told.
TOLD_PROBLEMS = 12
#: Near misses are kept a month: so long a rule author may ask why an item kept silent.
MISSES_KEPT = timedelta(days=31)


#: The store's thread is held for so long at a time, about, to let go of old rows.
STEP = 0.01  # seconds
#: Rows in the first step; then as many as that time takes, within these.
_FEW, _LEAST, _MOST = 50, 5, 2_000


def as_many(count: int, took: float) -> int:
    """How many rows the next step may have, if so many took so long; at most twice as many."""
    return max(_LEAST, min(_MOST, 2 * count, int(count * STEP / max(took, 1e-9))))


def _timed(step: Step, before: datetime, mark: Mark, count: int) -> tuple[Mark | None, float]:
    began = time.perf_counter()
    return step(before, mark, count), time.perf_counter() - began


# -- asking "what if" ----------------------------------------------------------------------------


def open_judge(
    config: Config, learning: Learning, topics: Sequence[Topic], *, cached: bool = False, report: Report = silent
) -> Judge:
    """The pure steps for asking "what if": topics learnt, no story open, nobody told.

    cached: judge as the monitor of this state would: against its own items too, and embedding no topic text that it knows.
    A state is not made for asking.
    """
    if cached:
        learning = learning_of_state(config, learning)
    known: Mapping[str, Vector] = {}
    if cached:
        there = (config.state / FILE).exists()
        with contextlib.closing(Store.open(config.state)) if there else contextlib.nullcontext() as store:
            known = vectors(topic_texts(topics), learning, store, report)
    return Judge(learning.matcher(topics, known), learning.background, config.alerts.story_window, policy_of(config))


def _gate(config: Config, topics: Mapping[str, Topic]) -> Gate:
    """What may go when, by the configuration and these topics."""
    alerts = config.alerts
    quiet_hours = parse_quiet_hours(alerts.quiet_hours) if alerts.quiet_hours else None
    return Gate(parse_zone(alerts.timezone), quiet_hours, alerts.daily_budget or None, topics)


def _addresses(config: Config, topics: Iterable[Topic]) -> dict[str, str]:
    """Where topic files are shown, if somebody said so."""
    template = config.alerts.rules_url
    return {topic.id: address(topic, template) for topic in topics} if template else {}


# -- the monitor ----------------------------------------------------------------------------------


class Monitor:
    """A monitor at work on one state. Made by `open_monitor`."""

    def __init__(
        self,
        config: Config,
        store: Store,
        learning: Learning,
        judge: Judge,
        collector: Collector,
        courier: Courier,
        pushes: Pushes | None = None,
        auditor: Auditor | None = None,
        aviary: Aviary | None = None,
        heartbeat: Heartbeat | None = None,
        socket: SocketMode | None = None,
        watch: Watch | None = None,
        note_trouble: Callable[[str], None] = lambda _words: None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """auditor: None where channels cannot be read back. aviary, heartbeat: None where nobody wants one. socket: None where
        alerts bear no buttons. watch: None where rules are read again only when asked. note_trouble: puts what keeps us from
        our work where `status` finds it; empty for nothing. env: where tokens are looked for again.
        """
        self.config = config
        self.note_trouble = note_trouble
        self.judge = judge
        self._store = store
        self._learning = learning
        self._collector = collector
        self._kept = KeptVectors(store, collector.in_store, collector.in_engine, collector.clock)
        self._courier = courier
        self._pushes = pushes
        self._auditor = auditor
        self._aviary = aviary
        self._heartbeat = heartbeat
        self._socket = socket
        self._env = env or {}
        self._watch = watch
        #: why the last beat failed; empty if it did not
        self._missed = ""
        self._swept = False
        self._clock_noted = ""
        #: the feeds that are being polled, and since when
        self._in_flight: dict[str, datetime] = {}
        self._stopping = False

    @property
    def learning(self) -> Learning:
        """What topics are learnt with now."""
        return self._learning

    async def poll_due(self) -> list[PollOutcome]:
        """Poll the feeds whose time has come, as many as there is room for, and that are not being polled."""
        room = self.config.polling.concurrency - len(self._in_flight)
        if room <= 0:
            return []
        # enough of each host for its places, though those in flight are due as well until their polls are written down
        each = 2 * self.config.polling.per_host
        limit = each * self.config.polling.concurrency
        due = await self._collector.in_store(self._store.due_feeds, self._collector.clock(), limit, each)
        return await self._poll(self._choose(due))

    def _choose(self, due: Sequence[FeedState]) -> list[FeedState]:
        """Choose what to poll now: a feed that would only wait for its turn at its host must not take another's place."""
        at_host = Counter(map(host_of, self._in_flight))
        chosen: list[FeedState] = []
        for state in due:
            host = host_of(state.feed.url)
            if len(chosen) + len(self._in_flight) >= self.config.polling.concurrency:
                break
            if state.feed.url not in self._in_flight and at_host[host] < self.config.polling.per_host:
                chosen.append(state)
                at_host[host] += 1
        return chosen

    async def poll_all(self, *, only_due: bool = False) -> list[PollOutcome]:
        """Poll every feed on the list, or every one that is due, however long it takes."""
        in_store, clock = self._collector.in_store, self._collector.clock
        asked = in_store(self._store.due_feeds, clock()) if only_due else in_store(self._store.feeds)
        return await self._poll(await asked)

    async def backfill(self, span: timedelta) -> int:
        """Judge again what was seen within `span` and told nobody, by the topics as they are now; how many are told."""
        return await backfill(span, self.judge, self._collector)

    async def spread_out(self) -> None:
        """Give the feeds that are overdue at a start their times, evenly over the next interval."""
        in_store, clock = self._collector.in_store, self._collector.clock
        overdue = await in_store(self._store.overdue, clock())
        await in_store(self._store.put_off, spread_out(overdue, clock(), self.config.polling.interval))

    async def subscribe(self) -> None:
        """Ask hubs to push what they offer, if the configuration says where they reach us."""
        if self._pushes:
            await self._pushes.renew()

    async def review(self) -> None:
        """Look at the health of all feeds, and tell ops what began and what is over."""
        await self._collector.in_store(turn_back, self._store, self._collector.clock())
        await self._collector.in_store(self._review)

    def _review(self) -> None:
        now, states = self._collector.clock(), self._store.feeds()
        self._note_clock(now)
        before = self._store.ailments()
        found = review(before, states, self._collector.reachability.outage_since, now)
        if set(found.ailments) == set(before):
            return
        for ailment in found.began:
            log.warning("ailment", feed=ailment.feed_url, condition=ailment.condition.value, because=ailment.because)
        for ailment in found.over:
            log.warning("ailment over", feed=ailment.feed_url, condition=ailment.condition.value)
        names = {state.feed.url: state.feed.name for state in states}
        channel = self.config.ops.channel
        told = notice(found, names, channel, now) if channel else None
        self._store.commit_review(found.ailments, told, now)

    def _note_clock(self, now: datetime) -> None:
        """Remember, once an hour or when it changed, by how much our clock is ahead of the publishers'."""
        ahead = self._collector.skew.ahead
        if ahead is None:
            return
        noted = f"{now:%Y-%m-%dT%H} {ahead / timedelta(seconds=10):.0f}"
        if noted != self._clock_noted:
            self._store.remember(CLOCK, json.dumps({"at": now.isoformat(), "ahead": ahead.total_seconds()}))
            self._clock_noted = noted

    async def deliver(self) -> int:
        """Send all that may be sent now; how many messages were accepted.

        The first time channels are read back before: the database may be older than what was told.
        """
        if not self._swept:
            try:
                await asyncio.wait_for(self.sweep(), FIRST_SWEEP)
            except TimeoutError:
                log.error("sweep", problem=f"not done in {FIRST_SWEEP:g} s: what we do not remember may be told again")
            # not before: what cannot be written down now is to be swept the next time
            self._swept = True
        return await deliver(self._courier, lambda: not self._stopping)

    async def tell_ops(self, text: str) -> None:
        """Put a notice to ops into the outbox, if they have a channel."""
        channel, now = self.config.ops.channel, self._collector.clock()
        if channel:
            notice = Notice(str(uuid.uuid5(uuid.NAMESPACE_URL, f"{channel}|{now}|{text}")), channel, text, now)
            await self._collector.in_store(self._store.queue, notice, now)

    async def sweep(self) -> None:
        """Read back what stands in the channels, and mend what can be mended."""
        if self._auditor is None:
            return
        for channel in await self.channels(self._auditor.clock() - SPAN):
            if not self._stopping:
                await sweep(channel, self._auditor, first=not self._swept)

    async def tend_canary(self) -> None:
        """See to the daily canary, if there is to be one."""
        if self._aviary:
            await tend(self._aviary)

    async def listen(self) -> None:
        """Take down what people say by buttons, until cancelled; return at once if there are none."""
        if self._socket is None:
            await self.ask(lambda store: store.keep_link(None))
            return
        edges = Hearing(self._store, self._collector.in_store, self._socket.answer, self._collector.clock)
        await self._socket.listen(functools.partial(hear, edges=edges), functools.partial(note_link, edges=edges))

    async def beat(self) -> None:
        """Tell the dead-man's switch that all is well, if it is."""
        if self._heartbeat is None:
            return
        is_well: bool = await self._collector.in_store(self._is_well)
        if is_well:
            missed = await self._heartbeat.beat()
            if missed != self._missed:
                (log.warning if missed else log.info)("heartbeat", problem=missed)
            self._missed = missed

    def _is_well(self) -> bool:
        """Whether feeds are polled, and nothing that could be sent waits."""
        now = self._collector.clock()
        polls = not self._store.overdue(now - UNWELL) or self._store.polled_since(now - UNWELL)
        waiting = self._waiting_since(now)
        return polls and not (waiting and now - waiting > LATE)

    def _waiting_since(self, now: datetime) -> datetime | None:
        """Since when the oldest delivery waits that could be sent; None if there is none."""
        gap = self.config.alerts.reply_gap
        return waiting_since(self._store, gap, now)

    async def metrics(self) -> tuple[str, bytes]:
        """Give Prometheus's content type and text.

        Raises: StateError.
        """
        numbers = await self._collector.in_store(self._store.numbers, self._collector.clock())
        return self._collector.telemetry.exposition(numbers, process_metrics())

    async def readiness(self, *, trouble: str, stalled: str) -> dict[str, str]:
        """Give each check of whether we do our work with what is wrong; see `readiness.readiness`."""
        in_store, now = self._collector.in_store, self._collector.clock()

        def look() -> tuple[Vitals, datetime | None]:
            return self._store.vitals(now), self._waiting_since(now)

        try:
            vitals, waiting = await asyncio.wait_for(in_store(look), ANSWER)
        except TimeoutError:
            return {"database": trouble or f"it does not answer within {ANSWER:g} s"}
        except StateError as error:
            return {"database": str(error)}
        return readiness(vitals, trouble=trouble, stalled=stalled, waiting_since=waiting)

    async def try_writing(self) -> None:
        """Write something down. Raises: StateError."""
        await self._collector.in_store(self._store.remember, "written", self._collector.clock().isoformat())

    async def status(self) -> str:
        """Say in a line how we are, for systemd."""
        in_store = self._collector.in_store
        line = status_line(await in_store(self._store.vitals, self._collector.clock()))
        return f"{line}; topic files are wrong" if await in_store(self._store.fact, REFUSED) else line

    async def channels(self, since: datetime) -> list[str]:
        """Slack's channels that are told of anything: those of the topics, of ops, and those that were told of late."""
        told = await self.ask(lambda store: store.told_channels(since))
        named = slack_channels(self.config, self.judge.matcher.topics.values())
        return sorted({*named, *(channel for channel in told if not sink_of(channel))})

    def stop_sending(self) -> None:
        """Let the post in flight be the last one."""
        self._stopping = True

    async def ask(self, question: Callable[[Store], T]) -> T:
        """Ask the store something, in its thread: `await monitor.ask(Store.totals)`."""
        return await self._collector.in_store(question, self._store)

    async def rules_changed(self) -> bool:
        """Tell whether topic files are others than were read last, and stand still."""
        if self._watch is None:
            return False
        return self._watch.changed(await asyncio.to_thread(snapshot, self.config.rules))

    async def reload(self, *, asked: bool = True) -> list[Problem]:
        """Read the rules again: all of them hold from the next poll on, or, if any is wrong or fails a test, none does.

        Ops are told once what is wrong, and once that it is mended. asked: by a person, who may have mended what blocked alerts
        as well: tokens are read again, and they are tried again.
        """
        if asked:
            await self._renew_tokens()
            await self._collector.in_store(self._store.unblock_all, self._collector.clock())
        seen = await asyncio.to_thread(snapshot, self.config.rules)
        problems = await self._read_rules()
        await self._tell_of_rules(problems)
        if self._watch:
            self._watch.read = seen  # not if we did not get as far as here: then the next look finds them changed again
        return problems

    async def _read_rules(self) -> list[Problem]:
        in_store, in_engine = self._collector.in_store, self._collector.in_engine
        topics, found = check_topics(self.config.rules, sink_names(self.config), self.config.rules_policy.asked())
        problems = [problem for problem in found if problem.level is Level.ERROR]
        if slack := _slack(self._courier.sink):
            await _check_slack(slack, slack_channels(self.config, topics), self._courier.in_sender)
            problems += channel_problems(self.config, topics)
        if problems:
            return problems
        learning = self._learning
        matcher = await self._kept.matcher(topics, learning)
        vectors = await self._kept.of(texts_of_tests(topics), learning)
        judge = Judge(matcher, learning.background, self.config.alerts.story_window, self.judge.policy)
        for topic in topics:
            problems += await in_engine(_failures, topic, judge, vectors)
        if problems:
            return problems
        if self._learning is not learning:  # what is ordinary was learnt anew meanwhile
            matcher = await self._kept.matcher(topics, self._learning)
        # in the store's thread, where items are judged: no item meets two sets of topics
        await in_store(self.judge.learn, matcher)
        await in_engine(_give_memory_back)
        log.info("rules", topics=len(topics), folders=list(map(str, self.config.rules)))
        return []

    async def _tell_of_rules(self, problems: Sequence[Problem]) -> None:
        """Tell ops of another set of problems than they know of. Without their lines, which move while somebody mends."""
        in_store = self._collector.in_store
        wrong = "\n".join(sorted({f"{problem.path}: {problem.message}" for problem in problems}))
        if wrong == await in_store(self._store.fact, REFUSED):
            return
        await self.tell_ops(self._refusal(problems))
        await in_store(self._store.remember, REFUSED, wrong)

    def _refusal(self, problems: Sequence[Problem]) -> str:
        topics = self.judge.matcher.topics.values()
        if not problems:
            return f"the topic files are well again: topics in force: {len(topics)}"
        known = {topic.path: topic.owner for topic in topics}
        lines = ["topic files are wrong: the topics that were in force stay in force until they are mended"]
        for problem in problems[:TOLD_PROBLEMS]:
            owner = owner_of(Path(problem.path)) or known.get(problem.path, "")
            lines.append(f"{problem} (owner: {owner})" if owner else str(problem))
        left = len(problems) - TOLD_PROBLEMS
        return "\n".join([*lines, *([f"and {left} more: monitor rules check"] if left > 0 else [])])

    async def _renew_tokens(self) -> None:
        """Read Slack's tokens again; where one is no good, those that were read before stay in use."""
        slack = _slack(self._courier.sink)
        try:
            token, app_token = slack_token(self.config, self._env), slack_app_token(self.config, self._env)
        except ConfigError as error:
            log.error("slack", problem=f"the tokens that were read before stay in use: {error}")
            return
        if slack and token:
            await self._courier.in_sender(slack.renew, token.get_secret_value())
            if self._socket and app_token:
                self._socket.renew(app_token.get_secret_value(), token.get_secret_value())

    async def tidy(self) -> None:
        """Have the messages that opened stories say which of them fell silent, and let go of what is not needed any more."""
        in_store = self._collector.in_store
        await in_store(self._close_stories)
        await in_store(self.judge.stories.forget)
        await self._let_go()
        await self._collector.in_engine(heap.give_back)

    async def _let_go(self) -> None:
        """Let go of old rows a few at a time, so that polls and alerts come in between.

        Measured, as the age of open stories is, from the newest item: a pause takes nothing away.
        """
        in_store, store, kept = self._collector.in_store, self._store, self.config.retention
        newest = await in_store(store.newest)
        if newest is None:
            return
        before = await in_store(store.let_go_counts)
        # what an open story is compared by is never let go
        open_until = newest - self.judge.stories.span - timedelta(days=1)
        items, vectors = (min(newest - span, open_until) for span in (kept.items, kept.vectors))
        steps: Sequence[tuple[Step, datetime]] = (
            (store.let_go_items, items),
            (store.let_go_misses, newest - MISSES_KEPT),
            (store.let_go_vectors, vectors),
            (store.let_go_opinions, items),
            (store.forget_names, items),
            (store.shrink, items),
        )
        for step, until in steps:
            mark: Mark | None = START
            count = _FEW
            while mark is not None and not self._stopping:
                after, took = await in_store(_timed, step, until, mark, count)
                mark = after
                count = as_many(count, took)
        (verdicts, stories), (verdicts_before, stories_before) = await in_store(store.let_go_counts), before
        if gone := sum(verdicts.values()) - sum(verdicts_before.values()):
            log.info("let go", items=gone, stories=stories - stories_before)

    def _close_stories(self) -> None:
        newest = self._store.newest()
        if newest is None:
            return
        topics = self.judge.matcher.topics.values()
        windows = {topic.id: topic.story.window for topic in topics if topic.story.window}
        openness = Openness(newest, self.config.alerts.story_window, windows)
        silent = [timeline.story.id for timeline in self._store.told_and_open() if not openness.is_open(timeline)]
        self._store.close_stories(silent, self._collector.clock())

    async def learn_anew(self) -> None:
        """Learn from the monitor's own recent items what is ordinary now, and the topics against that."""
        in_store, in_engine = self._collector.in_store, self._collector.in_engine
        own = await in_store(own_items, self._store, self._learning.embedder.id, self._collector.clock)
        learning = await in_engine(self._learning.among, own)
        before = self.judge.matcher
        topics = list(before.topics.values())
        matcher = await self._kept.matcher(topics, learning)
        if self.judge.matcher is not before:
            return  # the rules were read again meanwhile: the next time will do
        self._learning = learning
        await in_store(self._change_background, matcher)
        log.info("learnt anew", own_items=len(own), background=len(learning.background))
        del before, topics, own  # what was learnt before can only be given back when nobody holds it
        await in_engine(_give_memory_back)

    def _change_background(self, matcher: Matcher) -> None:
        self.judge.learn(matcher, self._learning.background)
        reopen(self.judge, self._store, self._learning.embedder.id)

    async def _poll(self, states: Sequence[FeedState]) -> list[PollOutcome]:
        self._in_flight |= dict.fromkeys((state.feed.url for state in states), self._collector.clock())
        return await collect_all(
            states, self.judge, self._collector, self.config.polling.concurrency, self._note_polled
        )

    def _note_polled(self, feed: Feed) -> None:
        began = self._in_flight.pop(feed.url)
        if self._pushes:
            self._pushes.note_polled(feed.url, began)


@asynccontextmanager
async def open_monitor(
    config: Config,
    env: Mapping[str, str],
    stream: TextIO,
    *,
    colour: bool = False,
    clock: Clock = now,
    draw: Callable[[], float] = random.random,
    probes: Probes | None = None,
    progress: Progress | None = None,
) -> AsyncIterator[Monitor]:
    """Open everything, in the order in which a failure is cheapest: lock, database, rules, sink, engines, network.

    probes: what is answered to those who watch us, from now on. progress: told of what the threads do.

    Raises: BusyError, StateError, ConfigError, EngineError.
    """
    heap.keep_little()
    async with AsyncExitStack() as stack:
        # not in this frame, which stays: what is learnt first would stay with it once it is learnt anew
        yield await _open_monitor(stack, config, env, stream, colour, clock, draw, probes, progress)


async def _open_monitor(
    stack: AsyncExitStack,
    config: Config,
    env: Mapping[str, str],
    stream: TextIO,
    colour: bool,
    clock: Clock,
    draw: Callable[[], float],
    probes: Probes | None,
    progress: Progress | None,
) -> Monitor:
    lock = stack.enter_context(Lock(config.state))
    if probes and config.probes.listen:
        address = await stack.enter_async_context(answering(probes, config.probes.listen))
        log.info("probes", listen=address)
    progress, telemetry = progress or Progress(), Telemetry()
    in_store, in_engine, in_parser, in_sender = (
        progress.watched(name, _one_thread(stack, name, finishes=name in ("store", "sender")))
        for name in ("store", "engine", "parser", "sender")
    )
    store = await in_store(Store.open, config.state)
    stack.push_async_callback(in_store, store.close)
    # a disk that is full, or may only be read, is told now and not after the models
    await in_store(store.remember, "opened", clock().isoformat())
    await in_store(turn_back, store, clock())
    seen = snapshot(config.rules)
    topics, are_well = _topics_at_start(config)
    sink, settle, channel = open_sink(config, env, stream, colour, topics, clock)
    if slack := _slack(sink):
        await _check_slack(slack, slack_channels(config, topics), in_sender)
    learning, _ = await asyncio.gather(in_engine(open_learning, config), in_parser(read_ahead, topics))
    # the first texts take the longest, and a model that fails at them is to fail now
    await in_engine(learning.embedder.embed, WARM_UP)
    own = await in_store(own_items, store, learning.embedder.id, clock)
    learning = await in_engine(learning.among, own)
    kept, report = KeptVectors(store, in_store, in_engine, clock), _told_to(probes)
    matcher = await kept.matcher(topics, learning, report)
    policy = policy_for(config, channel)
    judge = Judge(matcher, learning.background, config.alerts.story_window, policy, Spool)
    await kept.embed_again(judge.stories.span, learning, report)
    await in_store(reopen, judge, store, learning.embedder.id)
    doubts = await in_store(store.doubt_all_sending, clock(), settle)
    await in_store(store.unblock_all, clock())
    fetcher = await stack.enter_async_context(Fetcher(_fetch_policy(config, env)))
    pushes = None
    if config.websub.callback:
        pushes = await stack.enter_async_context(
            open_pushes(config.websub.callback, config.websub.listen, config.state, fetcher, store, in_store, clock)
        )
    collector = Collector(
        fetch=fetcher,
        parse=_parse_elsewhere(stack, config, in_parser),
        embed=learning.embedder,
        memory=store,
        in_store=in_store,
        in_engine=in_engine,
        clock=clock,
        draw=draw,
        pace_for=_paces(config, pushes),
        rules_for=_rules_for(_publishers(config)),
        note_news=pushes.note_news if pushes else lambda _feed, _now: None,
        asking=await _open_asking(stack, config, env, in_engine),
        telemetry=telemetry,
    )
    socket = await _open_socket(stack, config, env) if _slack(sink) else None
    courier = Courier(
        sink,
        store,
        in_store,
        in_sender,
        clock,
        settle,
        config.alerts.reply_gap,
        edit_gap=config.alerts.edit_gap,
        pace=config.slack.pace if _slack(sink) else timedelta(0),
        repeats=config.slack.on_unknown == "resend",
        ops=config.ops.channel,
        gate=lambda: _gate(config, judge.matcher.topics),
        digests=Schedule.of(config.digest.daily, config.digest.weekly, config.alerts.timezone),
        telemetry=telemetry,
        buttons=socket is not None,
        links=lambda: _addresses(config, judge.matcher.topics.values()),
    )
    auditor = None
    if slack := _slack(sink):
        auditor = Auditor(slack, store, in_store, in_sender, clock, config.feedback.words, config.alerts.reply_gap)
    log.info("open", state=str(config.state), topics=len(topics), model=learning.embedder.id, sink=sink.name,
             open_items=len(judge.stories), doubts=doubts)  # fmt: skip
    heartbeat = None
    if config.heartbeat.url:
        heartbeat = await stack.enter_async_context(Heartbeat(config.heartbeat.url))
    # what is wrong at a start, or was when we went, is told, or told to be mended, by a reload soon after
    are_known = are_well and not await in_store(store.fact, REFUSED)
    watch = Watch(seen if are_known else None) if config.watch_rules else None
    monitor = Monitor(
        config, store, learning, judge, collector, courier, pushes, auditor,
        _aviary(config, lambda: monitor.learning, store, sink, in_store, in_engine, in_sender, clock), heartbeat,
        socket, watch, lock.note, env,
    )  # fmt: skip
    await in_engine(_give_memory_back)
    return monitor


async def _open_socket(stack: AsyncExitStack, config: Config, env: Mapping[str, str]) -> SocketMode | None:
    """What hears of buttons; None if none are wanted, or their token is no good: alerts go out without them."""
    try:
        app_token, bot_token = slack_app_token(config, env), slack_token(config, env)
    except ConfigError as error:
        log.error("buttons", problem=str(error))
        return None
    if app_token is None or bot_token is None:
        return None
    socket = SocketMode(app_token.get_secret_value(), bot_token.get_secret_value(), config.slack.base_url)
    return await stack.enter_async_context(socket)


def _aviary(
    config: Config,
    learning: Callable[[], Learning],
    store: Store,
    sink: Sink,
    in_store: InThread,
    in_engine: InThread,
    in_sender: InThread,
    clock: Clock,
) -> Aviary | None:
    wanted = config.canary
    if not wanted.channel:
        return None
    return Aviary(
        wanted.channel, parse_clock(wanted.at), parse_zone(config.alerts.timezone), config.ops.channel, learning, store, sink,
        in_store, in_engine, in_sender, clock,
    )  # fmt: skip


# -- looking after it -----------------------------------------------------------------------------


def turn_back(store: Store, now: datetime) -> None:
    """See whether the clock was put back, so that what waits for a time waits no longer than it was to."""
    if ahead := store.turn_back(now):
        log.warning("clock", problem="it was put back: what waits for a time waits no longer for it", by=str(ahead))


def waiting_since(store: Store, reply_gap: timedelta, now: datetime) -> datetime | None:
    """Since when the oldest delivery waits that could be sent, or is tried in vain; None if there is none."""
    waiting = (
        row.free_since
        for channel in store.told_channels(now)
        for row in store.expected(channel, now, (), now, reply_gap)
    )
    return min(filter(None, (store.tried_since(), *waiting)), default=None)


def slack_problems(config: Config, env: Mapping[str, str], topics: Sequence[Topic]) -> list[str] | None:
    """What keeps us from Slack, each with what to do; None if there is no token.

    Raises: ConfigError.
    """
    token = slack_token(config, env)
    if token is None:
        return None
    unclear = [str(problem) for problem in channel_problems(config, topics)]
    return unclear + slack_sink(config, token.get_secret_value()).check(slack_channels(config, topics))


# -- the edges -----------------------------------------------------------------------------------


@asynccontextmanager
async def open_surveyor(config: Config, env: Mapping[str, str], clock: Clock = now) -> AsyncIterator[Surveyor]:
    """Open what it takes to look at feeds as the monitor would, without its state.

    Raises: ConfigError.
    """
    async with AsyncExitStack() as stack:
        parse_there = _parse_elsewhere(stack, config, _one_thread(stack, "parser"))
        fetcher = await stack.enter_async_context(Fetcher(_fetch_policy(config, env)))
        yield Surveyor(fetcher, parse_there, _rules_for(_publishers(config)), clock)


async def read_page(config: Config, env: Mapping[str, str], url: str) -> str:
    """Fetch a page as feeds are fetched, and give its text.

    Raises: ConfigError, FetchError.
    """
    async with Fetcher(_fetch_policy(config, env)) as fetcher:
        answer = await fetcher.fetch(Feed(url), Validators())
    return decode(answer.body, answer.headers)[0] if isinstance(answer, Document) else ""


def _parse_elsewhere(stack: AsyncExitStack, config: Config, in_parser: InThread) -> Parse:
    """Parse in a process that is killed when a document takes too long."""
    parser = stack.enter_context(Isolated(config.polling.parse_timeout.total_seconds()))
    return lambda *document: in_parser(parser.call, parse, *document)


def _one_thread(stack: AsyncExitStack, name: str, *, finishes: bool = True) -> InThread:
    """finishes: whether what it has to do is waited for at the end."""
    executor = ThreadPoolExecutor(1, thread_name_prefix=name)
    stack.callback(executor.shutdown, wait=finishes, cancel_futures=not finishes)

    def call(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        return asyncio.get_running_loop().run_in_executor(executor, functools.partial(function, *args, **kwargs))

    return call


def _give_memory_back() -> None:
    """Let go of what only learning needs, a hundred megabytes. In the engines' thread, where topics are learnt."""
    forget_dictionaries()
    heap.give_back()


def _topics_at_start(config: Config) -> tuple[list[Topic], bool]:
    """The good topics, and whether all are: one bad file must not keep the others from watching."""
    topics, problems = load_topics(config.rules, sink_names(config))
    for problem in problems:
        (log.warning if problem.warning else log.error)("rules", problem=str(problem))
    return topics, not problems


def _failures(topic: Topic, judge: Judge, vectors: Mapping[str, Vector]) -> list[Problem]:
    return [
        Problem(topic.path, trial.line, f"the test “{trial.name}” fails: {trial.because}")
        for trial in run_tests([topic], judge, vectors)
        if not trial.passed
    ]


def open_sink(
    config: Config, env: Mapping[str, str], stream: TextIO, colour: bool, topics: Iterable[Topic], clock: Clock
) -> tuple[Router, timedelta, str]:
    """The sinks, how long their doubts take to settle, and the channel of topics that name none."""
    token, named = slack_token(config, env), {one.name: _open_named(one, env, clock) for one in config.sink}
    if token is None:
        terminal = TerminalSink(stream, config.state / TRANSCRIPT, colour)
        return Router(terminal, named), timedelta(0), config.alerts.channel or TERMINAL_CHANNEL
    if problems := channel_problems(config, list(topics)):
        raise ConfigError(problems)
    return Router(slack_sink(config, token.get_secret_value()), named), config.slack.settle, config.alerts.channel


def slack_sink(config: Config, token: str) -> SlackSink:
    return SlackSink(token, config.slack.base_url, config.slack.timeout.total_seconds())


def _open_named(options: SinkOptions, env: Mapping[str, str], clock: Clock) -> Sink:
    url, secret = sink_secrets(options, env)
    if options.kind == "webhook":
        return WebhookSink(options.name, url.get_secret_value(), secret.get_secret_value(), clock)
    try:
        return AppriseSink(options.name, url.get_secret_value())
    except Misconfigured as error:
        raise ConfigError([Problem(options.url, None, str(error))]) from None


def _slack(sink: Sink) -> SlackSink | None:
    """Slack, if that is where alerts go that name no other sink."""
    main = sink.main if isinstance(sink, Router) else sink
    return main if isinstance(main, SlackSink) else None


async def _check_slack(sink: SlackSink, channels: list[str], in_sender: InThread) -> None:
    """Say what is in the way of telling these channels; what they are told waits, and the others go on."""
    for problem in await in_sender(sink.check, channels):
        log.error("slack", problem=problem)


def _told_to(probes: Probes | None) -> Report:
    """What a start is at, told to those who wait for it."""

    def report(doing: str, done: int, of: int) -> None:
        if probes:
            probes.starting = f"{doing}, {done} of {of}"

    return report


async def _open_asking(
    stack: AsyncExitStack, config: Config, env: Mapping[str, str], in_engine: InThread
) -> Asking | None:
    """Who gives second opinions, if the configuration wants any. A model that does not load is told, and asked in vain."""
    wanted = config.opinion
    key, timeout = opinion_key(config, env), wanted.timeout.total_seconds()
    policy = Borderline(wanted.below, wanted.above)
    if wanted.kind == "endpoint":
        endpoint = EndpointJudge(
            wanted.base_url, wanted.model, key=key.get_secret_value() if key else "", timeout=timeout
        )
        return Asking(await stack.enter_async_context(endpoint), policy, wanted.daily_budget)
    if wanted.kind == "cross-encoder":
        judge = CrossEncoderJudge(wanted.model, threshold=wanted.threshold, timeout=timeout, in_engine=in_engine)
        try:
            await in_engine(judge.load)
        except OpinionError as error:
            log.error("second opinion", problem=str(error))
        return Asking(judge, policy, wanted.daily_budget)
    return None


def _publishers(config: Config) -> Publishers:
    """What is known of publishers; what is wrong with one of them loses that one alone."""
    publishers, problems = load_publishers(config.polling.publishers or shipped("publishers.toml"))
    for problem in problems:
        (log.warning if problem.warning else log.error)("publishers", problem=str(problem))
    return publishers


def _rules_for(publishers: Publishers) -> Callable[[Feed], PublisherRules]:
    return lambda feed: publishers.rules_for(feed.url)


def _paces(config: Config, pushes: Pushes | None) -> Callable[[Feed], Pace]:
    """How often each feed is polled: by its own rhythm, or as the configuration says of it by name."""
    polling = config.polling
    usual = Pace(polling.interval, min(polling.floor, polling.interval), polling.ceiling)
    chosen = {options.url: options.interval for options in config.feed if options.interval}

    def pace_for(feed: Feed) -> Pace:
        prefix = longest_prefix(feed.url, chosen)
        interval = chosen[prefix] if prefix else None
        if interval:
            return Pace(interval, interval, interval)
        return replace(usual, stretch=pushes.stretch(feed)) if pushes else usual

    return pace_for


def _fetch_policy(config: Config, env: Mapping[str, str]) -> FetchPolicy:
    polling = config.polling
    return FetchPolicy(
        user_agent=polling.user_agent,
        connect_timeout=polling.connect_timeout.total_seconds(),
        read_timeout=polling.read_timeout.total_seconds(),
        total_timeout=polling.total_timeout.total_seconds(),
        max_bytes=polling.max_bytes,
        per_host=polling.per_host,
        host_gap=polling.host_gap.total_seconds(),
        allow_private=frozenset(polling.allow_private),
        options=tuple(_fetch_options(options, env) for options in config.feed),
    )


def _fetch_options(options: ConfiguredFeed, env: Mapping[str, str]) -> FeedOptions:
    missing = [value[1:] for value in options.headers.values() if value.startswith("$") and value[1:] not in env]
    if missing:
        message = f"the environment has no {', '.join(missing)}, which a header of [[feed]] {options.url} is taken from"
        raise ConfigError([Problem("the configuration", None, message)])
    return FeedOptions(
        prefix=options.url,
        headers={
            name: env[value[1:]].strip() if value.startswith("$") else value for name, value in options.headers.items()
        },
        user_agent=options.user_agent or "",
        proxy=options.proxy,
        tls=options.tls,
    )
