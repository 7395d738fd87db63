"""The sentence as code.

    For each feed that is due: fetch a document, parse it into items, keep the new ones, embed them, match them to topics,
    group them into stories, decide whether a story deserves an alert; write all of it down in one transaction.
    Then, apart from that: for each alert not yet delivered, render it, send it, write down the delivery.

`collect` is the first half for one feed, `deliver` the second for all that waits. They are the only places that catch what
the edges raise. The edges come in as arguments; which ones they are is `app`'s business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ParamSpec, Protocol, TypeVar

import structlog

from monitor.decide import Policy, decide
from monitor.errors import (
    FetchError,
    Misconfigured,
    NotAccepted,
    ParseError,
    SendError,
    StateError,
    Unacceptable,
)
from monitor.group import OpenStories
from monitor.match import Background, Matcher
from monitor.model import (
    AlertKind,
    Delivery,
    DeliveryState,
    Document,
    EmbeddedItem,
    Feed,
    FeedState,
    Item,
    Match,
    Member,
    Message,
    NotModified,
    PollOutcome,
    Record,
    Validators,
    Vector,
    Verdict,
)
from monitor.parse import parse
from monitor.render import render
from monitor.schedule import after_failure, after_success
from monitor.text import gist, script, text_hash

P = ParamSpec("P")
T = TypeVar("T")

log = structlog.get_logger()

#: Judgements as rare as this (decades: one in twenty ordinary items) are kept, so that `explain` can say what fell short.
KEPT_RARITY = 1.3
#: A doubtful alert counts as not sent when the channel lacks it twice, this far apart: what Slack shows can lag.
BETWEEN_READS = timedelta(seconds=10)
#: Waits between tries that were certainly not accepted, doubling, and their end.
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=1), timedelta(minutes=5)
#: Between looks at a channel that cannot be read.
UNREADABLE_WAIT = timedelta(minutes=1)

# -- the edges, as the pipeline sees them ---------------------------------------------------------


class Fetch(Protocol):
    async def fetch(self, feed: Feed, validators: Validators) -> Document | NotModified: ...


class Embed(Protocol):
    id: str

    def embed(self, texts: Sequence[str]) -> Vector: ...


class Sink(Protocol):
    name: str

    def send(self, delivery: Delivery) -> str: ...
    def find(self, delivery: Delivery) -> str | None: ...


class Memory(Protocol):
    """What the pipeline asks of the store."""

    def unseen(self, item_ids: Sequence[str]) -> set[str]: ...
    def vectors(self, text_hashes: Sequence[str], model: str) -> dict[str, Vector]: ...
    def members(self, span: timedelta, model: str) -> list[Member]: ...
    def roots(self, story_id: str) -> dict[str, str]: ...
    def commit_poll(
        self,
        feed: Feed,
        records: Sequence[Record],
        validators: Validators,
        model: str,
        next_poll: datetime,
        now: datetime,
    ) -> None: ...
    def commit_failed_poll(self, feed: Feed, cause: str, weight: float, next_poll: datetime, now: datetime) -> None: ...
    def next_queued(self, now: datetime) -> Delivery | None: ...
    def claim(self, delivery_id: str, message: Message, now: datetime) -> bool: ...
    def settle(
        self,
        delivery_id: str,
        state: DeliveryState,
        now: datetime,
        *,
        receipt: str = "",
        error: str = "",
        not_before: datetime | None = None,
    ) -> None: ...
    def doubtful(self, now: datetime, settle: timedelta) -> list[Delivery]: ...


class InThread(Protocol):
    """Runs a function in the one thread that owns what it touches."""

    def __call__(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]: ...


Clock = Callable[[], datetime]

# -- judging: match, group, decide ----------------------------------------------------------------


class Judge:
    """The pure steps between a vector and a decision, with what they compare with: the topics and the open stories."""

    def __init__(self, matcher: Matcher, background: Background, window: timedelta, policy: Policy) -> None:
        self.policy = policy
        self._window = window
        self._background = background
        self.stories = self.no_stories()
        self.learn(matcher)

    def learn(self, matcher: Matcher) -> None:
        """Judge with these topics from the next item on."""
        self.matcher = matcher
        self.stories.longest = self._longest()

    def _longest(self) -> timedelta:
        return max([self._window, *(t.story.window for t in self.matcher.topics.values() if t.story.window)])

    def judge(
        self,
        embedded: EmbeddedItem,
        matches: Sequence[Match],
        *,
        first_poll: bool,
        told: Callable[[str], Mapping[str, str]],
        now: datetime,
    ) -> Record:
        """Group and decide an item that the matcher has judged, and put it in its story.

        told: for a story's id, the channels that know it and their root alerts.
        """
        item = embedded.item
        windows = [self.matcher.topics[m.topic].story.window for m in matches if m.matched]
        window = max((w for w in windows if w), default=self._window)
        placement = self.stories.place(embedded, window)
        self.stories.add(Member(embedded, placement.story, placement.relation))
        decision = decide(
            item,
            matches,
            placement,
            self.stories.story(placement.story),
            self.matcher.topics,
            first_poll=first_poll,
            told=told(placement.story),
            policy=self.policy,
            now=now,
        )
        kept = tuple(match for match in matches if match.matched or match.score >= KEPT_RARITY)
        return Record(embedded, text_hash(gist(item.title, item.text)), kept, placement, decision)

    def no_stories(self, window: timedelta | None = None) -> OpenStories:
        """Make a set of stories with nothing in it."""
        return OpenStories(self._unit, window or self._window)

    def rebuild(self, members: Sequence[Member]) -> None:
        """Start from the stories that the store knows to be open."""
        self.stories = self.no_stories()
        self.stories.longest = self._longest()
        for member in members:
            self.stories.add(member)

    def _unit(self, embedded: EmbeddedItem) -> Vector:
        return self._background.unit(embedded.vector, script(gist(embedded.item.title, embedded.item.text)))


# -- collect: one feed, from the wire to the commit -----------------------------------------------


@dataclass(frozen=True, slots=True)
class Collector:
    """What collecting needs of the world."""

    fetch: Fetch
    embed: Embed
    memory: Memory
    #: the store's thread, the engines' thread, and one where a pathological document stalls nobody
    in_store: InThread
    in_engine: InThread
    in_parser: InThread
    clock: Clock
    #: 0 <= x < 1, drawn anew at each call
    draw: Callable[[], float]
    interval: timedelta
    ceiling: timedelta


async def collect(state: FeedState, judge: Judge, edges: Collector) -> PollOutcome:
    """Poll one feed and write down all that came of it."""
    feed = state.feed
    try:
        answer = await edges.fetch.fetch(feed, state.validators)
        parsed = await edges.in_parser(parse, answer, edges.clock()) if isinstance(answer, Document) else None
    except (FetchError, ParseError) as error:
        await _write_failure(state, error, edges)
        return PollOutcome.FAILED
    items = await _new_items(parsed.items, edges) if parsed else []
    vectors = await _vectors(items, edges)
    embedded = [EmbeddedItem(item, vectors[text_hash(gist(item.title, item.text))]) for item in items]
    records = await edges.in_store(_judge_and_commit, state, embedded, answer.validators, judge, edges)
    outcome = (
        answer.outcome if isinstance(answer, NotModified) else PollOutcome.NEW if items else PollOutcome.NOTHING_NEW
    )
    counts = {verdict.value: n for verdict in Verdict if (n := sum(r.decision.verdict is verdict for r in records))}
    log.info("poll", feed=feed.url, outcome=outcome.value, items=len(items), **({"verdicts": counts} if counts else {}))
    for warning in parsed.warnings if parsed else ():
        log.info("mended", feed=feed.url, warning=warning)
    return outcome


async def collect_all(
    states: Sequence[FeedState], judge: Judge, edges: Collector, concurrency: int
) -> list[PollOutcome]:
    """Poll feeds side by side, so many at a time; what goes wrong with one touches no other."""
    gate = asyncio.Semaphore(concurrency)

    async def guarded(state: FeedState) -> PollOutcome:
        async with gate:
            try:
                return await collect(state, judge, edges)
            except StateError:
                raise  # nothing can be written down, nor this
            except Exception as error:  # a fault of ours: loud, but the feed must not be asked again every second
                log.exception("poll", feed=state.feed.url, outcome=PollOutcome.FAILED.value, cause="our fault")
                await _write_failure(state, FetchError("our fault", str(error)), edges)
                return PollOutcome.FAILED

    outcomes = await asyncio.gather(*(guarded(state) for state in states), return_exceptions=True)
    # raised when all are done: whoever polls again must not meet one of these still at work
    for error in outcomes:
        if isinstance(error, BaseException):
            raise error
    return [outcome for outcome in outcomes if isinstance(outcome, PollOutcome)]


async def _write_failure(state: FeedState, error: FetchError | ParseError, edges: Collector) -> None:
    now = edges.clock()
    weight = error.weight if isinstance(error, FetchError) else 1.0
    again = after_failure(
        now,
        state.failures + weight,
        interval=edges.interval,
        ceiling=edges.ceiling,
        retry_after=error.retry_after,
        jitter=edges.draw(),
    )
    await edges.in_store(edges.memory.commit_failed_poll, state.feed, error.cause, weight, again, now)
    # once when it begins, or its cause changes: an operator reads this log
    say = log.warning if state.last_error != error.cause else log.debug
    say("poll", feed=state.feed.url, outcome=PollOutcome.FAILED.value, cause=error.cause, detail=str(error))


async def _new_items(items: Sequence[Item], edges: Collector) -> list[Item]:
    unseen = await edges.in_store(edges.memory.unseen, [item.id for item in items])
    # a story is told in the order of events, not of the document
    return sorted((item for item in items if item.id in unseen), key=lambda item: item.at)


async def _vectors(items: Sequence[Item], edges: Collector) -> dict[str, Vector]:
    texts = {text_hash(text): text for text in (gist(item.title, item.text) for item in items)}
    vectors = await edges.in_store(edges.memory.vectors, list(texts), edges.embed.id)
    missing = [key for key in texts if key not in vectors]
    if missing:
        made = await edges.in_engine(edges.embed.embed, [texts[key] for key in missing])
        vectors |= dict(zip(missing, made, strict=True))
    return vectors


def _judge_and_commit(
    state: FeedState, embedded: Sequence[EmbeddedItem], validators: Validators, judge: Judge, edges: Collector
) -> list[Record]:
    """In the store's thread, so that one poll's stories are settled before the next poll looks at them."""
    now = edges.clock()
    again = after_success(now, interval=edges.interval, jitter=edges.draw())
    fresh: dict[str, dict[str, str]] = {}

    def told(story: str) -> Mapping[str, str]:
        return edges.memory.roots(story) | fresh.get(story, {})

    records = []
    try:
        for one in embedded:
            record = judge.judge(
                one, judge.matcher.judge(one), first_poll=state.first_success is None, told=told, now=now
            )
            for alert in record.decision.alerts:
                if alert.kind is AlertKind.ROOT:
                    fresh.setdefault(alert.story, {})[alert.channel] = alert.id
            records.append(record)
        edges.memory.commit_poll(state.feed, records, validators, edges.embed.id, again, now)
    except BaseException:
        # what was put in stories was not written down: go back to what was
        judge.rebuild(edges.memory.members(judge.stories.span, edges.embed.id))
        raise
    return records


# -- deliver: what waits in the outbox ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Courier:
    """What delivering needs of the world."""

    sink: Sink
    memory: Memory
    in_store: InThread
    in_sender: InThread
    clock: Clock
    #: how long an answer that was lost may take to show in the channel; zero where the sink's word is final
    settle: timedelta


async def deliver(edges: Courier, go_on: Callable[[], bool] = lambda: True) -> int:
    """Send all that may be sent now, settling doubts first; how many messages were accepted.

    A channel that was told to wait waits; the others go on. `go_on` is asked before each message.
    """
    await _settle_doubts(edges)
    sent = 0
    while go_on() and (delivery := await edges.in_store(edges.memory.next_queued, edges.clock())):
        message = delivery.message or render(delivery.alert)
        now = edges.clock()
        if await edges.in_store(edges.memory.claim, delivery.alert.id, message, now):
            claimed = replace(
                delivery, message=message, state=DeliveryState.SENDING, attempt=delivery.attempt + 1, sending_at=now
            )
            sent += await _send(claimed, edges) is DeliveryState.SENT
    return sent


async def _send(delivery: Delivery, edges: Courier) -> DeliveryState:
    try:
        receipt = await edges.in_sender(edges.sink.send, delivery)
    except SendError as error:
        return await _write_refusal(delivery, error, edges)
    except Exception as error:  # a fault of ours: the post may be out, so it is in doubt like any lost answer
        await _settle(delivery, DeliveryState.UNKNOWN, edges, error=f"our fault: {error}")
        raise
    await _settle(delivery, DeliveryState.SENT, edges, receipt=receipt)
    return DeliveryState.SENT


async def _write_refusal(delivery: Delivery, error: SendError, edges: Courier) -> DeliveryState:
    now, state, not_before = edges.clock(), DeliveryState.UNKNOWN, None
    if isinstance(error, NotAccepted):
        wait = min(FIRST_WAIT * 2 ** min(delivery.attempt - 1, 10), LONGEST_WAIT)
        state, not_before = DeliveryState.QUEUED, now + max(wait, timedelta(seconds=error.retry_after or 0))
    elif isinstance(error, Misconfigured):
        state = DeliveryState.BLOCKED
    elif isinstance(error, Unacceptable):
        state = DeliveryState.DEAD
    await _settle(delivery, state, edges, error=str(error), not_before=not_before)
    return state


async def _settle_doubts(edges: Courier) -> None:
    """Read back what may or may not have been accepted: it is there, or after two looks it is not and is sent again."""
    for delivery in await edges.in_store(edges.memory.doubtful, edges.clock(), edges.settle):
        try:
            receipt = await edges.in_sender(edges.sink.find, delivery)
        except SendError as error:
            later = edges.clock() + max(UNREADABLE_WAIT, timedelta(seconds=error.retry_after or 0))
            await _settle(
                delivery, DeliveryState.UNKNOWN, edges, error=f"cannot be read back: {error}", not_before=later
            )
            continue
        if receipt is not None:
            await _settle(delivery, DeliveryState.SENT, edges, receipt=receipt)
        elif edges.settle and delivery.error != _ABSENT_ONCE:
            later = edges.clock() + BETWEEN_READS
            await _settle(delivery, DeliveryState.UNKNOWN, edges, error=_ABSENT_ONCE, not_before=later)
        else:
            await _settle(delivery, DeliveryState.QUEUED, edges, error="read back: it was not accepted")


_ABSENT_ONCE = "read back: not in the channel, looking again"


async def _settle(
    delivery: Delivery,
    state: DeliveryState,
    edges: Courier,
    *,
    receipt: str = "",
    error: str = "",
    not_before: datetime | None = None,
) -> None:
    await edges.in_store(
        edges.memory.settle,
        delivery.alert.id,
        state,
        edges.clock(),
        receipt=receipt,
        error=error,
        not_before=not_before,
    )
    say = log.info if state in (DeliveryState.SENT, DeliveryState.QUEUED) else log.warning
    say(
        "delivery",
        id=delivery.alert.id,
        channel=delivery.alert.channel,
        kind=delivery.alert.kind.value,
        topics=[match.topic for match in delivery.alert.matches],
        state=state.value,
        attempt=delivery.attempt,
        **({"error": error} if error else {}),
    )
