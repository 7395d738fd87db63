"""The sentence as code.

    For each feed that is due: fetch a document, parse it into items, keep the new ones, embed them, match them to topics,
    group them into stories, decide whether a story deserves an alert; write all of it down in one transaction.
    Then, apart from that: for each alert not yet delivered, render it, send it, write down the delivery.

`collect` is the first half for one feed, `deliver` the second for all that waits. They are the only places that catch what
the edges raise. The edges come in as arguments; which ones they are is `app`'s business.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import ParamSpec, Protocol, TypeVar

import numpy as np
import structlog

from monitor.background import Background
from monitor.buttons import with_buttons
from monitor.decide import Policy, decide, decide_edit
from monitor.digest import BASELINE, Period, Schedule, compose, render_digest, spikes
from monitor.errors import (
    FetchError,
    Misconfigured,
    NotAccepted,
    OvertakenError,
    ParseError,
    RootGone,
    SendError,
    StateError,
    Unacceptable,
    Unreadable,
)
from monitor.gate import ONE_BY_ONE, Gate
from monitor.group import OpenStories
from monitor.language import identified
from monitor.match import Matcher, embedded_items, item_texts
from monitor.members import Texts
from monitor.metrics import Telemetry
from monitor.model import (
    Alert,
    AlertKind,
    Blockage,
    Decision,
    Delivery,
    DeliveryState,
    Digest,
    DigestKind,
    Document,
    EmbeddedItem,
    Feed,
    FeedState,
    Hold,
    Item,
    Match,
    Matter,
    Member,
    Message,
    Notice,
    NotModified,
    Opinion,
    Placement,
    Polled,
    PollOutcome,
    PublisherRules,
    Question,
    Record,
    Relation,
    Root,
    Severity,
    Silence,
    Spike,
    Telling,
    Thread,
    Told,
    Topic,
    TopicStatus,
    Validators,
    Vector,
    Verdict,
    Version,
)
from monitor.opinion import Borderline, Budget, SecondOpinion, apply, cache_key, candidates, no_opinion, question
from monitor.outage import Change, Reachability
from monitor.parse import MAX_ITEMS, ParsedFeed
from monitor.recognise import is_gap, is_material, is_suspect, recognise, storm, strangers
from monitor.render import by_itself, degraded, doubted, render, render_notice
from monitor.schedule import (
    REMEMBERED,
    Pace,
    after_failure,
    after_success,
    asked_pause,
    is_dead,
    learn_rhythm,
    usual_pause,
)
from monitor.skew import Skew, answered_at
from monitor.space import CompactSpace
from monitor.text import gist, host_of, sink_of, text_hash
from monitor.threads import rethread

P = ParamSpec("P")
T = TypeVar("T")

log = structlog.get_logger()

#: Validators lie, and redirects change their minds: so often a feed is asked as if for the first time.
FULL_EVERY = timedelta(days=1)
#: Texts that the engines are given at once: a feed of thousands must let others' news in between, and be seen to get on.
EMBEDDED_AT_ONCE = 256
#: Items that are judged and written down at once: some tenths of a second, in which nobody else is answered.
JUDGED_AT_ONCE = 100
#: A doubtful alert counts as not sent when the channel lacks it twice, this far apart: what Slack shows can lag.
BETWEEN_READS = timedelta(seconds=10)
#: Waits between tries that were certainly not accepted, doubling, and their end.
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=1), timedelta(minutes=5)
#: Between looks at a channel that cannot be read.
UNREADABLE_WAIT = timedelta(minutes=1)
#: A doubtful alert is sent again after this time if its channel may not be read, and after twice as long each time more.
REPEAT_AFTER = timedelta(minutes=15)

# -- the edges, as the pipeline sees them ---------------------------------------------------------


class Fetch(Protocol):
    async def fetch(self, feed: Feed, validators: Validators, *, address: str = "") -> Document | NotModified: ...


class Parse(Protocol):
    """`parse.parse`, in a place where a pathological document costs its deadline at most."""

    def __call__(
        self, document: Document, first_seen: datetime, rules: PublisherRules, known: Mapping[str, str], /
    ) -> Awaitable[ParsedFeed]: ...


class Embed(Protocol):
    id: str

    def embed(self, texts: Sequence[str]) -> Vector: ...


class Sink(Protocol):
    name: str

    def send(self, delivery: Delivery) -> str: ...
    def edit(self, delivery: Delivery) -> None: ...

    #: NotAccepted: it cannot be told, and a second message does no harm or was declared to
    def find(self, delivery: Delivery) -> str | None: ...


#: in which threads deliveries are to be told, now that a person has moved their items
Plan = Callable[[Sequence[Delivery], Sequence[Telling]], Mapping[str, Thread | None]]


class Memory(Protocol):
    """What the pipeline asks of the store."""

    def known(self, keys: Sequence[str]) -> dict[str, tuple[str, str]]: ...
    def are_let_go(self, names: Sequence[str]) -> set[str]: ...
    def contents(self, url: str, count: int) -> dict[str, str]: ...
    def versions(self, item_ids: Sequence[str]) -> dict[str, Version]: ...
    def held_items(self, url: str) -> list[Item]: ...
    def item_times(self, url: str, count: int) -> list[datetime]: ...
    def alerts_of(self, item_id: str) -> list[Alert]: ...
    def vectors(self, text_hashes: Sequence[str], model: str) -> dict[str, Vector]: ...
    def members(self, span: timedelta, model: str) -> Iterable[Member]: ...
    def opinions(self, keys: Sequence[str]) -> dict[str, Opinion]: ...
    def keep_opinions(self, opinions: Mapping[str, Opinion], now: datetime) -> None: ...
    def fact(self, key: str) -> str: ...
    def remember(self, key: str, value: str) -> None: ...
    def roots(self, story_id: str) -> dict[str, Root]: ...
    def untold(self, since: datetime) -> list[Item]: ...
    def latest_ruling(self) -> int: ...
    def commit_again(self, records: Sequence[Record], model: str, now: datetime, ruling: int | None = None) -> None: ...
    def commit_poll(self, polled: Polled, records: Sequence[Record], model: str, ruling: int | None = None) -> None: ...
    def forgive(self, weights: Mapping[str, float]) -> None: ...
    def commit_failed_poll(self, feed: Feed, cause: str, weight: float, next_poll: datetime, now: datetime) -> None: ...
    def next_queued(
        self, now: datetime, reply_gap: timedelta, *, pace: timedelta, edit_gap: timedelta
    ) -> Delivery | None: ...
    def until_paced(self, now: datetime, pace: timedelta) -> timedelta: ...
    def claim(
        self,
        delivery_id: str,
        message: Message,
        now: datetime,
        *,
        before: DeliveryState = DeliveryState.QUEUED,
        batch: Sequence[str] = (),
        seen: Delivery | None = None,
    ) -> bool: ...
    def settle(
        self,
        delivery_id: str,
        state: DeliveryState,
        now: datetime,
        *,
        receipt: str = "",
        error: str = "",
        not_before: datetime | None = None,
        over: Callable[[Blockage], Notice | None] = ...,
        plan: Plan = ...,
    ) -> None: ...
    def degrade(
        self, delivery_id: str, now: datetime, error: str, *, lowest: bool, plan: Plan = ...
    ) -> DeliveryState: ...
    def repeat(self, delivery_id: str, now: datetime, error: str, plan: Plan = ...) -> None: ...
    def lose_root(self, delivery_id: str, now: datetime, error: str, plan: Plan = ...) -> None: ...
    def block(self, channel: str, because: str, notice: Notice | None, now: datetime) -> bool: ...
    def doubt_all_sending(self, now: datetime, settle: timedelta) -> int: ...
    def doubtful(self, now: datetime, settle: timedelta) -> list[Delivery]: ...
    def delivery(self, delivery_id: str) -> Delivery | None: ...
    def silences(self, now: datetime) -> list[Silence]: ...
    def end_silences(self, now: datetime) -> None: ...
    def told(self, channel: str, since: datetime, topics: Sequence[str]) -> Told: ...
    def hold(self, holds: Mapping[str, Hold], now: datetime) -> list[str]: ...
    def over(self, now: datetime) -> dict[str, int]: ...
    def let_go(self, channel: str, now: datetime) -> None: ...
    def channels(self, since: datetime) -> list[str]: ...
    def story_times(self, since: datetime) -> dict[str, list[datetime]]: ...
    def first_taken(self) -> dict[str, datetime]: ...
    def write_digest(
        self,
        channel: str,
        since: datetime,
        compose: Callable[[Matter], tuple[Digest, Message] | None],
        now: datetime,
    ) -> Digest | None: ...


class InThread(Protocol):
    """Runs a function in the one thread that owns what it touches."""

    def __call__(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]: ...


Clock = Callable[[], datetime]

# -- judging: match, group, decide ----------------------------------------------------------------


class Judge:
    """The pure steps between a vector and a decision, with what they compare with: the topics and the open stories."""

    def __init__(
        self,
        matcher: Matcher,
        background: Background,
        window: timedelta,
        policy: Policy,
        texts: Callable[[], Texts] | None = None,
    ) -> None:
        """texts: makes what keeps the texts of open stories; in memory if None."""
        self.policy = policy
        self._window = window
        self._texts = texts
        self._space = CompactSpace(background)
        self.stories = self.no_stories()
        #: the latest of people's rulings on stories that the open ones heed
        self.ruling = 0
        self.learn(matcher)

    def learn(self, matcher: Matcher, background: Background | None = None) -> None:
        """Judge with these topics from the next item on; against another background, the stories are to be rebuilt."""
        self.matcher = matcher
        self._space = CompactSpace(background) if background else self._space
        self.stories.longest = self._longest()

    def _longest(self) -> timedelta:
        return max([self._window, *(t.story.window for t in self.matcher.topics.values() if t.story.window)])

    def judge(
        self,
        embedded: EmbeddedItem,
        matches: Sequence[Match],
        *,
        first_poll: bool,
        told: Callable[[str], Mapping[str, Root]],
        now: datetime,
    ) -> Record:
        """Group and decide an item that the matcher has judged, and put it in its story.

        told: for a story's id, the channels that know it, or will, and their roots (`Roots.told`).
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
        return Record(embedded, _text_key(item), tuple(matches), placement, decision)

    def judge_edit(
        self,
        embedded: EmbeddedItem,
        matches: Sequence[Match],
        before: Version,
        alerts: Sequence[Alert],
        *,
        told: Callable[[str], Mapping[str, Root]],
        now: datetime,
    ) -> Record | None:
        """Decide an edit of an item, which stays in its story; None if that story is over: it is history.

        alerts: those that told the item.
        """
        item = embedded.item
        if not self.stories.amend(embedded):
            return None
        placement = self.stories.placement_of(item.id)
        decision = decide_edit(
            item,
            before,
            matches,
            placement,
            self.stories.story(placement.story),
            self.matcher.topics,
            alerts=alerts,
            told=told(placement.story),
            policy=self.policy,
            now=now,
        )
        return Record(embedded, _text_key(item), tuple(matches), placement, decision, before)

    def judge_again(
        self,
        embedded: EmbeddedItem,
        matches: Sequence[Match],
        known: Version,
        *,
        told: Callable[[str], Mapping[str, Root]],
        span: timedelta,
        now: datetime,
    ) -> Record | None:
        """Decide an item of which nobody was told by the topics as they are now; None if its story is over.

        span: how old it may be, where its topic does not say.
        """
        item = embedded.item
        if not self.stories.is_open(item.id):
            return None
        placement = self.stories.placement_of(item.id)
        decision = decide(
            item,
            matches,
            placement,
            self.stories.story(placement.story),
            self.matcher.topics,
            first_poll=False,
            told=told(placement.story),
            policy=replace(self.policy, max_age=max(span, self.policy.max_age)),
            now=now,
        )
        return Record(embedded, _text_key(item), tuple(matches), placement, decision, known)

    def hold(self, item: Item, because: str) -> Record:
        """Put an item aside unjudged, in no open story, until a person decides."""
        unread = EmbeddedItem(item, np.zeros(0, dtype=np.float32))
        placement = Placement(item.id, Relation.ROOT, because="it is held back")
        decision = Decision(Verdict.HELD, because)
        return Record(unread, _text_key(item), (), placement, decision)

    def compare(self, one: EmbeddedItem, other: EmbeddedItem) -> str:
        """Say why two items would, or would not, be one story if nothing else were open."""
        earlier, later = sorted((one, other), key=lambda embedded: embedded.item.at)
        return self.stories.compare(later, earlier)

    def no_stories(self, window: timedelta | None = None) -> OpenStories:
        """Make a set of stories with nothing in it."""
        return OpenStories(self._space, window or self._window, self._texts)

    def rebuild(self, members: Iterable[Member], ruling: int = 0) -> None:
        """Start from the stories that the store knows to be open, as they were after this ruling."""
        self.ruling = ruling
        self.stories = self.no_stories()
        self.stories.longest = self._longest()
        for member in members:
            self.stories.add(member)


class Roots:
    """Which channels know a story, or will: those that are remembered, and those not yet written down."""

    def __init__(self, remembered: Callable[[str], Mapping[str, Root]], judge: Judge) -> None:
        """remembered: for a story's id, what is written down of it."""
        self._remembered = remembered
        self._judge = judge
        self._fresh: dict[str, dict[str, Root]] = {}

    def told(self, story: str) -> Mapping[str, Root]:
        return {**self._remembered(story), **self._fresh.get(story, {})}

    def note(self, record: Record) -> None:
        """Take in what a decision changes for the items that come after it."""
        decision, story = record.decision, record.placement.story
        if not (decision.alerts or decision.held or decision.released):
            return
        known = dict(self.told(story))
        known |= {alert.channel: Root(alert, held=True) for alert in decision.held}
        for channel, root in known.items():
            if root.alert.id in decision.released:
                # it goes out with the sources that the story has by now
                known[channel] = Root(replace(root.alert, independent=self._judge.stories.story(story).independent))
        for alert in decision.alerts:
            if alert.kind is AlertKind.ROOT:
                known[alert.channel] = Root(alert)
            elif alert.escalation:
                known[alert.channel] = replace(known[alert.channel], escalated=True)
        self._fresh[story] = known


def reopen(judge: Judge, memory: Memory, model: str) -> None:
    """Start from the stories that the store knows to be open, as people have left them. In the store's thread."""
    # first the number: a ruling in between is met again, and not missed
    ruling = memory.latest_ruling()
    judge.rebuild(memory.members(judge.stories.span, model), ruling)


def _heed_rulings(judge: Judge, memory: Memory, model: str) -> None:
    """Take note of what a person, beside us, did to stories since we last looked."""
    if memory.latest_ruling() != judge.ruling:
        reopen(judge, memory, model)
        log.info("rulings heeded", latest=judge.ruling, open_items=len(judge.stories))


def _text_key(item: Item) -> str:
    """The key under which the vector of an item is kept."""
    return text_hash(gist(item.title, item.text))


# -- collect: one feed, from the wire to the commit -----------------------------------------------


@dataclass(frozen=True, slots=True)
class Asking:
    """Who is asked for a second opinion, on what, and how often a day."""

    judge: SecondOpinion
    policy: Borderline
    daily_budget: int


@dataclass(frozen=True, slots=True)
class Collector:
    """What collecting needs of the world."""

    fetch: Fetch
    parse: Parse
    embed: Embed
    memory: Memory
    #: the store's thread, and the engines'
    in_store: InThread
    in_engine: InThread
    clock: Clock
    #: 0 <= x < 1, drawn anew at each call
    draw: Callable[[], float]
    pace_for: Callable[[Feed], Pace]
    rules_for: Callable[[Feed], PublisherRules]
    reachability: Reachability = field(default_factory=Reachability)
    skew: Skew = field(default_factory=Skew)
    #: told of each poll that found new items
    note_news: Callable[[Feed, datetime], None] = lambda _feed, _now: None
    #: None: nobody is
    asking: Asking | None = None
    telemetry: Telemetry = field(default_factory=Telemetry)


@dataclass(frozen=True, slots=True)
class _Findings:
    """What a document says that we did not know, and what becomes of it before any topic looks."""

    #: to be judged: new to us, or held until a person released it
    fresh: tuple[Item, ...] = ()
    #: changed by their publisher, so that it matters
    edits: tuple[tuple[Item, Version], ...] = ()
    #: held back by the storm breaker
    held: tuple[Item, ...] = ()
    why_held: str = ""
    #: what was held before, by id, of those in `fresh`
    released: Mapping[str, Version] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    #: known once, and let go
    offered_again: tuple[str, ...] = ()
    gap: bool = False

    @property
    def has_items(self) -> bool:
        return bool(self.fresh or self.edits or self.held)


async def collect(state: FeedState, judge: Judge, edges: Collector) -> PollOutcome:
    """Poll one feed and write down all that came of it."""
    feed, rules = state.feed, edges.rules_for(state.feed)
    full = state.full_fetch is None or edges.clock() - state.full_fetch >= FULL_EVERY
    validators = replace(state.validators, etag="", last_modified="") if full else state.validators
    try:
        answer = await edges.fetch.fetch(feed, validators, address="" if full else state.moved_to)
        edges.skew.note(host_of(feed.url), answered_at(answer.headers), edges.clock())
        parsed = await _parse(answer, rules, edges) if isinstance(answer, Document) else None
    except (FetchError, ParseError) as error:
        await _write_failure(state, error, edges)
        return PollOutcome.FAILED
    await _note_reached(feed, edges)
    findings = _Findings()
    if parsed or state.released:
        found = await edges.in_store(_find, parsed.items if parsed else (), state, edges.memory)
        # by the engines: it takes as long for a hundred items as a whole poll, and the loop must not wait
        findings = await edges.in_engine(_in_their_language, found) if found.has_items else found
    embedded = await _embed([*findings.fresh, *(item for item, _ in findings.edits)], edges)
    # what stood in a feed before us is not told: no opinion is worth its price
    opinions = await _second_opinions(embedded.values(), judge, edges) if state.first_success else {}
    records: list[Record] = []

    def commit_some(some: Sequence[Record], now: datetime) -> None:
        edges.memory.commit_again(some, edges.embed.id, now, judge.ruling)

    def commit_rest(rest: Sequence[Record], now: datetime) -> None:
        polled = _polled(state, answer, parsed, findings, [*records, *rest], full, judge, edges, now)
        edges.memory.commit_poll(polled, rest, edges.embed.id, judge.ruling)

    def judged(some: _Findings, commit: Callable[[Sequence[Record], datetime], None]) -> Awaitable[list[Record]]:
        return edges.in_store(_judge_and_commit, state, some, embedded, opinions, judge, edges, commit)

    left = findings
    # the poll itself is written down with the last of them: one that ends before is due again, and finds the others known
    while len(left.fresh) > JUDGED_AT_ONCE:
        some = _Findings(fresh=left.fresh[:JUDGED_AT_ONCE], released=left.released)
        records += await judged(some, commit_some)
        left = replace(left, fresh=left.fresh[JUDGED_AT_ONCE:])
    records += await judged(left, commit_rest)
    if findings.fresh:
        edges.note_news(feed, edges.clock())
    edges.telemetry.note_judged(records, first_poll=state.first_success is None, now=edges.clock())
    outcome = (
        answer.outcome if isinstance(answer, NotModified) else PollOutcome.NEW if records else PollOutcome.NOTHING_NEW
    )
    counts = {verdict.value: n for verdict in Verdict if (n := sum(r.decision.verdict is verdict for r in records))}
    # nine polls in ten bring nothing: an operator reads this log
    say = log.info if records else log.debug
    say("poll", feed=feed.url, outcome=outcome.value, items=len(records), **({"verdicts": counts} if counts else {}))
    for warning in parsed.warnings if parsed and records else ():
        log.info("mended", feed=feed.url, warning=warning)
    return outcome


async def _parse(document: Document, rules: PublisherRules, edges: Collector) -> ParsedFeed:
    known = await edges.in_store(edges.memory.contents, document.feed.url, MAX_ITEMS)
    return await edges.parse(document, edges.clock(), rules, known)


async def backfill(span: timedelta, judge: Judge, edges: Collector) -> int:
    """Judge again, by the topics as they are now, what was seen within `span` and told nobody; how many are told now."""
    items = await edges.in_store(edges.memory.untold, edges.clock() - span)
    embedded = await _embed(items, edges)
    opinions = await _second_opinions(embedded.values(), judge, edges)
    return await edges.in_store(_judge_again_and_commit, list(embedded.values()), opinions, span, judge, edges)


def _judge_again_and_commit(
    items: Sequence[EmbeddedItem], opinions: Mapping[str, Opinion], span: timedelta, judge: Judge, edges: Collector
) -> int:
    """In the store's thread, so that no poll decides meanwhile."""
    while True:
        try:
            return _backfill_once(items, opinions, span, judge, edges)
        except OvertakenError:
            continue  # a person ruled on stories meanwhile


def _backfill_once(
    items: Sequence[EmbeddedItem], opinions: Mapping[str, Opinion], span: timedelta, judge: Judge, edges: Collector
) -> int:
    memory, now = edges.memory, edges.clock()
    _heed_rulings(judge, memory, edges.embed.id)
    known = memory.versions([one.item.id for one in items])
    roots = Roots(memory.roots, judge)
    records: list[Record] = []
    for one in items:
        matches = [_considered(match, one.item, opinions, judge, edges.asking) for match in judge.matcher.judge(one)]
        record = judge.judge_again(one, matches, known[one.item.id], told=roots.told, span=span, now=now)
        if record:
            roots.note(record)
            records.append(record)
    memory.commit_again(records, edges.embed.id, now, judge.ruling)
    told = sum(bool(record.decision.alerts) for record in records)
    log.info("backfill", items=len(records), told=told)
    return told


async def collect_all(
    states: Sequence[FeedState],
    judge: Judge,
    edges: Collector,
    concurrency: int,
    done: Callable[[Feed], None] = lambda _feed: None,
) -> list[PollOutcome]:
    """Poll feeds side by side, so many at a time; what goes wrong with one touches no other.

    done: told of each feed as soon as its own poll is over, well or not.
    """
    gate = asyncio.Semaphore(concurrency)

    async def guarded(state: FeedState) -> PollOutcome:
        async with gate:
            try:
                outcome = await collect(state, judge, edges)
                edges.telemetry.note_poll(outcome)
                return outcome
            except StateError:
                raise  # nothing can be written down, nor this
            except Exception as error:  # a fault of ours: loud, but the feed must not be asked again every second
                log.exception("poll", feed=state.feed.url, outcome=PollOutcome.FAILED.value, cause="our fault")
                await _write_failure(state, FetchError("our fault", str(error)), edges)
                edges.telemetry.note_poll(PollOutcome.FAILED)
                return PollOutcome.FAILED

    polls = [asyncio.ensure_future(guarded(state)) for state in states]
    for state, poll in zip(states, polls, strict=True):
        poll.add_done_callback(partial(_call, done, state.feed))
    try:
        return list(await asyncio.gather(*polls))
    except BaseException:
        # nothing can be written down of the others either; a locked database would have each of them wait to learn it
        for poll in polls:
            poll.cancel()
        # whoever polls again must not meet one of these still at work
        await asyncio.gather(*polls, return_exceptions=True)
        raise


def _call(done: Callable[[Feed], None], feed: Feed, _poll: asyncio.Future[PollOutcome]) -> None:
    """Also of a poll that was given up before it began."""
    done(feed)


async def _write_failure(state: FeedState, error: FetchError | ParseError, edges: Collector) -> None:
    now, feed, reachability = edges.clock(), state.feed, edges.reachability
    change = reachability.note(host_of(feed.url), feed.url, reached=not error.unreached, weight=error.weight, now=now)
    if change is Change.BEGAN:
        log.warning("outage", reason="most hosts cannot be reached: no feed is charged for it until that ends")
        await edges.in_store(edges.memory.forgive, reachability.charged())
    weight = 0.0 if reachability.outage_since and error.unreached else error.weight
    again = after_failure(
        now,
        state.failures + weight,
        dead=is_dead(error.cause, state.failing_since, now),
        usual=usual_pause(state.rhythm, edges.pace_for(feed), now),
        ceiling=edges.pace_for(feed).ceiling,
        retry_after=error.retry_after,
        jitter=edges.draw(),
    )
    await edges.in_store(edges.memory.commit_failed_poll, feed, error.cause, weight, again, now)
    # once when it begins, or its cause changes: an operator reads this log
    say = log.warning if state.last_error != error.cause and not reachability.outage_since else log.debug
    say("poll", feed=feed.url, outcome=PollOutcome.FAILED.value, cause=error.cause, detail=str(error))


async def _note_reached(feed: Feed, edges: Collector) -> None:
    change = edges.reachability.note(host_of(feed.url), feed.url, reached=True, weight=0.0, now=edges.clock())
    if change is Change.ENDED:
        log.warning("outage over")


def _find(items: Sequence[Item], state: FeedState, memory: Memory) -> _Findings:
    """Tell what is new in a document; in the store's thread, because it asks the store several times."""
    held_before = memory.held_items(state.feed.url) if state.released else []
    known = memory.known([item.id for item in items])
    known |= memory.known([key for item in items if item.id not in known for key in item.keys])
    gone = memory.are_let_go([item.id for item in items if item.id not in known])
    # what it said is not known any more, and so it never changed
    known |= {name: (name, "") for name in gone}
    recognised = recognise(items, known, memory.versions(strangers(items, known)))
    changed = [sighting.item for sighting in recognised.known if sighting.changed]
    versions = memory.versions([item.id for item in [*changed, *held_before]])
    edits = tuple(
        (replace(item, revision=before.revision + 1), before)
        for item in changed
        if (before := versions[item.id]).verdict is not Verdict.HELD and is_material(before, item.title, item.text)
    )
    why_held = storm(recognised, state)
    held = tuple(item for item in recognised.new if why_held and is_suspect(item, state))
    fresh = [*held_before, *(item for item in recognised.new if item not in held)]
    return _Findings(
        # a story is told in the order of events, not of the document
        fresh=tuple(sorted(fresh, key=lambda item: item.at)),
        edits=edits,
        held=held,
        why_held=why_held,
        released={item.id: versions[item.id] for item in held_before},
        aliases=recognised.aliases,
        offered_again=tuple(gone),
        gap=not why_held and is_gap(recognised, state),
    )


def _in_their_language(findings: _Findings) -> _Findings:
    return replace(
        findings,
        fresh=tuple(map(identified, findings.fresh)),
        edits=tuple((identified(item), before) for item, before in findings.edits),
        held=tuple(map(identified, findings.held)),
    )


async def _embed(items: Sequence[Item], edges: Collector) -> dict[str, EmbeddedItem]:
    """Embed items, by their ids, asking the engines only for texts that the store has no vector of."""
    texts = {text_hash(text): text for text in item_texts(items)}
    if not texts:
        return {}
    known = await edges.in_store(edges.memory.vectors, list(texts), edges.embed.id)
    missing = [text for key, text in texts.items() if key not in known]
    made: list[Vector] = []
    for begin in range(0, len(missing), EMBEDDED_AT_ONCE):
        made += list(await edges.in_engine(edges.embed.embed, missing[begin : begin + EMBEDDED_AT_ONCE]))
    vectors = {texts[key]: vector for key, vector in known.items()} | dict(zip(missing, made, strict=True))
    return {embedded.item.id: embedded for embedded in embedded_items(items, vectors)}


async def _second_opinions(items: Iterable[EmbeddedItem], judge: Judge, edges: Collector) -> dict[str, Opinion]:
    """Ask about what is borderline, by `opinion.cache_key`: what was asked before is known, and a day has its budget."""
    if edges.asking is None:
        return {}
    asked_of, memory = edges.asking.judge, edges.memory
    questions = await edges.in_engine(_borderline, list(items), judge, edges.asking, edges.clock())
    opinions = await edges.in_store(memory.opinions, list(questions))
    missing = [key for key in questions if key not in opinions]
    affordable = await edges.in_store(_spend, memory, len(missing), edges.asking.daily_budget, edges.clock())
    asked = missing[:affordable]
    given = await asked_of.give([questions[key] for key in asked]) if asked else []
    fresh = dict(zip(asked, given, strict=True))
    for key, opinion in fresh.items():
        if opinion.relevant is None:
            log.warning("no second opinion", topic=questions[key].topic, by=opinion.by, because=opinion.because)
    had = {key: opinion for key, opinion in fresh.items() if opinion.relevant is not None}
    await edges.in_store(memory.keep_opinions, had, edges.clock())
    return opinions | fresh | {key: no_opinion("over budget", asked_of.name) for key in missing[affordable:]}


def _borderline(items: Sequence[EmbeddedItem], judge: Judge, asking: Asking, now: datetime) -> dict[str, Question]:
    """What to ask, best first; about topics that tell nobody, and items too old to be told, nothing."""
    topics = judge.matcher.topics
    near: list[tuple[Item, Match]] = []
    for one in items:
        for match in candidates(judge.matcher.judge(one), asking.policy):
            topic = topics[match.topic]
            young = now - one.item.at <= (topic.scope.max_age or judge.policy.max_age)
            if young and topic.status is TopicStatus.ACTIVE:
                near.append((one.item, match))
    near.sort(key=lambda found: abs(found[1].score - found[1].bar))
    questions = [question(topics[match.topic], item) for item, match in near]
    return {cache_key(asked, asking.judge.id): asked for asked in questions}


def _spend(memory: Memory, questions: int, limit: int, now: datetime) -> int:
    """Take as many questions as may be asked off the day's budget, which a restart does not fill again."""
    day, _, spent = memory.fact(_BUDGET).partition(" ")
    budget = Budget(limit, int(spent or 0), date.fromisoformat(day) if day else now.date())
    allowed = 0
    while allowed < questions and (left := budget.spend(now)):
        budget, allowed = left, allowed + 1
    if allowed:
        memory.remember(_BUDGET, f"{budget.day} {budget.spent}")
    return allowed


_BUDGET = "second opinions"


def _considered(
    match: Match, item: Item, opinions: Mapping[str, Opinion], judge: Judge, asking: Asking | None
) -> Match:
    """A judgement, with the second opinion on it if one was asked for."""
    if asking is None or not opinions or not candidates([match], asking.policy):
        return match
    opinion = opinions.get(cache_key(question(judge.matcher.topics[match.topic], item), asking.judge.id))
    return apply(match, opinion) if opinion else match


def _judge_and_commit(
    state: FeedState,
    findings: _Findings,
    embedded: Mapping[str, EmbeddedItem],
    opinions: Mapping[str, Opinion],
    judge: Judge,
    edges: Collector,
    commit: Callable[[Sequence[Record], datetime], None],
) -> list[Record]:
    """In the store's thread, so that these items' stories are settled before the next poll looks at them."""
    now, memory, model = edges.clock(), edges.memory, edges.embed.id
    if findings.has_items:
        _heed_rulings(judge, memory, model)
    while True:
        try:
            records = _judge(state, findings, embedded, opinions, judge, edges, now)
            commit(records, now)
        except BaseException as error:
            # what was put in stories was not written down: go back to what was
            reopen(judge, memory, model)
            # a person ruled on stories meanwhile: judge by that
            if not isinstance(error, OvertakenError):
                raise
        else:
            return records


def _judge(
    state: FeedState,
    findings: _Findings,
    embedded: Mapping[str, EmbeddedItem],
    opinions: Mapping[str, Opinion],
    judge: Judge,
    edges: Collector,
    now: datetime,
) -> list[Record]:
    memory = edges.memory
    roots = Roots(memory.roots, judge)

    def matches(one: EmbeddedItem) -> list[Match]:
        return [_considered(match, one.item, opinions, judge, edges.asking) for match in judge.matcher.judge(one)]

    records = [judge.hold(item, findings.why_held) for item in findings.held]
    for item in findings.fresh:
        one = embedded[item.id]
        record = judge.judge(one, matches(one), first_poll=state.first_success is None, told=roots.told, now=now)
        records.append(replace(record, before=findings.released.get(item.id)))
        roots.note(record)
    for item, before in findings.edits:
        one = embedded[item.id]
        edit = judge.judge_edit(one, matches(one), before, memory.alerts_of(item.id), told=roots.told, now=now)
        if edit:
            records.append(edit)
            roots.note(edit)
    return records


def _polled(
    state: FeedState,
    answer: Document | NotModified,
    parsed: ParsedFeed | None,
    findings: _Findings,
    records: Sequence[Record],
    full: bool,
    judge: Judge,
    edges: Collector,
    now: datetime,
) -> Polled:
    pace, hints = edges.pace_for(state.feed), parsed.hints if parsed else None
    rhythm = state.rhythm
    if findings.fresh:
        times = [*edges.memory.item_times(state.feed.url, REMEMBERED), *(item.at for item in findings.fresh)]
        rhythm = learn_rhythm(rhythm, times, [*_severities(records, judge.matcher.topics)], now)
    next_poll = after_success(
        now,
        usual=usual_pause(rhythm, pace, now),
        asked=None if pace.floor == pace.ceiling else asked_pause(answer.headers, hints or state.hints),
        hints=hints or state.hints,
        pace=pace,
        jitter=edges.draw(),
    )
    return Polled(
        feed=state.feed,
        at=now,
        next_poll=next_poll,
        pause=next_poll - now,
        validators=answer.validators,
        moved_to=answer.moved_to,
        full=full,
        rhythm=rhythm,
        hints=hints,
        gap=findings.gap,
        aliases=findings.aliases,
        offered_again=findings.offered_again,
    )


def _severities(records: Sequence[Record], topics: Mapping[str, Topic]) -> Iterator[Severity]:
    for record in records:
        for match in record.matches:
            topic = topics[match.topic]
            if match.matched and topic.status is TopicStatus.ACTIVE:
                yield topic.severity


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
    #: between two replies in one thread; zero: each is told by itself, at once
    reply_gap: timedelta = timedelta(0)
    #: between two edits of one message
    edit_gap: timedelta = timedelta(0)
    #: between two posts in one channel
    pace: timedelta = timedelta(0)
    #: what may stand in a channel that may not be read is sent again, and says so; else it waits for a person
    repeats: bool = True
    #: the channel that is told of what is blocked; empty: none is
    ops: str = ""
    #: waits for so many seconds
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    #: what is told when, as the topics are by now
    gate: Callable[[], Gate] = Gate
    digests: Schedule = field(default_factory=Schedule)
    telemetry: Telemetry = field(default_factory=Telemetry)
    #: alerts bear buttons, and somebody hears when one is pressed
    buttons: bool = False
    #: where the topics' files are shown, by id
    links: Callable[[], Mapping[str, str]] = dict


async def deliver(edges: Courier, go_on: Callable[[], bool] = lambda: True) -> int:
    """Send all that may be sent now, or as soon as the pace allows, settling doubts first; how many messages were accepted.

    A channel that was told to wait, or is blocked, waits; the others go on. `go_on` is asked before each message. Digests that
    are due are made once nothing may go now: then all that is to be held is.
    """
    # after a full disk: what was posted, and could not be written down
    await edges.in_store(edges.memory.doubt_all_sending, edges.clock(), edges.settle)
    await edges.in_store(edges.memory.end_silences, edges.clock())
    sent = 0
    while True:
        await _settle_doubts(edges)
        await edges.in_store(_end_quiet_hours, edges.memory, edges.gate(), edges.clock())
        sent += await _send_waiting(edges, go_on)
        if go_on():
            made = await edges.in_store(tell_digests, edges.memory, edges.gate(), edges.digests, edges.clock())
            sent += await _send_waiting(edges, go_on) if made else 0
        wait: timedelta = await edges.in_store(edges.memory.until_paced, edges.clock(), edges.pace)
        if not (wait and go_on()):
            return sent
        await edges.sleep(wait.total_seconds())


async def _send_waiting(edges: Courier, go_on: Callable[[], bool]) -> int:
    """Send what may be sent without waiting; how many messages were accepted."""
    sent, memory = 0, edges.memory
    while go_on() and (
        delivery := await edges.in_store(
            memory.next_queued, edges.clock(), edges.reply_gap, pace=edges.pace, edit_gap=edges.edit_gap
        )
    ):
        if await edges.in_store(_hold, memory, edges.gate(), delivery, edges.clock()):
            continue
        delivery, message = _rendered_if_possible(delivery, edges.links())
        if message is None:
            state = DeliveryState.DROPPED if delivery.alert.kind is AlertKind.EDIT else DeliveryState.DEAD
            await _settle(delivery, state, edges, error="our fault: it cannot be rendered, the log has why")
            continue
        now = edges.clock()
        # what was frozen tells what it told
        batch = [] if delivery.message else [alert.id for alert in delivery.batch]
        if await edges.in_store(
            memory.claim, delivery.alert.id, message, now, before=delivery.state, batch=batch, seen=delivery
        ):
            claimed = replace(
                delivery,
                message=_as_sent(delivery, message, buttons=edges.buttons),
                state=DeliveryState.SENDING,
                attempt=delivery.attempt + 1,
                sending_at=now,
            )
            state = await _send(claimed, edges)
            sent += state is DeliveryState.SENT and delivery.alert.kind is not AlertKind.EDIT
    return sent


def _rendered_if_possible(delivery: Delivery, links: Mapping[str, str]) -> tuple[Delivery, Message | None]:
    """Render a delivery; by itself where it cannot be with what it tells beside it, and not at all where neither can.

    What is wrong with one text must not hold up all that waits behind it.
    """
    for one in (delivery, replace(delivery, batch=())):
        try:
            return one, delivery.message or _rendered(one, links)
        except Exception:  # a fault of ours, and loud
            log.exception("cannot be rendered", id=delivery.alert.id, beside=len(one.batch))
    return delivery, None


async def deliver_this(delivery_id: str, edges: Courier) -> Delivery | None:
    """Send this one, whatever else waits; how it stands after that, None if there is none."""
    delivery = await edges.in_store(edges.memory.delivery, delivery_id)
    if delivery and delivery.state is DeliveryState.QUEUED:
        message, now = delivery.message or _rendered(delivery, edges.links()), edges.clock()
        if await edges.in_store(edges.memory.claim, delivery_id, message, now):
            await _send(
                replace(
                    delivery, message=message, state=DeliveryState.SENDING, attempt=delivery.attempt + 1, sending_at=now
                ),
                edges,
            )
    return await edges.in_store(edges.memory.delivery, delivery_id)


def _hold(memory: Memory, gate: Gate, delivery: Delivery, now: datetime) -> bool:
    """Hold what must not go now, of an alert and of what its message would tell beside it; True if anything was held."""
    alert = delivery.alert
    if not isinstance(alert, Alert) or alert.kind is AlertKind.EDIT:
        return False
    silences = memory.silences(now)
    told = memory.told(alert.channel, gate.day(now), list(gate.budgets(alert))) if gate.counts(alert) else Told()
    holds = {
        one.id: hold
        for one in (alert, *delivery.batch)
        if (hold := gate.hold(one, delivery.root_hold, silences, told, now)) is not None
    }
    held = memory.hold(holds, now) if holds else []
    for alert_id in held:
        hold = holds[alert_id]
        log.info("held", id=alert_id, channel=alert.channel, reason=hold.reason.value, because=hold.because)
    return bool(held)


def _end_quiet_hours(memory: Memory, gate: Gate, now: datetime) -> None:
    """Let go what quiet hours held, one by one or, where it is much, in a digest."""
    for channel, count in memory.over(now).items():
        if count > ONE_BY_ONE:
            tell_digest(memory, gate.topics, channel, Period(DigestKind.QUIET_HOURS, now, now), {}, now)
        else:
            memory.let_go(channel, now)


def tell_digests(memory: Memory, gate: Gate, schedule: Schedule, now: datetime) -> int:
    """Make the digests that are due and were not made yet; how many. What was due before we first looked is not.

    In quiet hours none is made: it is as late as they last.
    """
    made = 0
    if gate.quiet(now):
        return made
    for period in schedule.latest(now):
        mark, at = f"digest {period.kind}", period.at.isoformat()
        before = memory.fact(mark)
        if before == at:
            continue
        if "" < before < at:  # a clock that went back is no reason to tell; ids see to it that nothing is told again
            rising = rises(memory, gate.topics, period)
            for channel in memory.channels(period.since):
                made += tell_digest(memory, gate.topics, channel, period, rising, now) is not None
        memory.remember(mark, at)
    return made


def tell_digest(
    memory: Memory,
    topics: Mapping[str, Topic],
    channel: str,
    period: Period,
    rising: Mapping[str, Spike],
    now: datetime,
) -> Digest | None:
    """Queue one channel's digest, and fold into it what is held there; None if there is nothing to tell."""

    def composed(matter: Matter) -> tuple[Digest, Message] | None:
        digest = compose(channel, period, matter, topics, rising)
        return (digest, render_digest(digest)) if digest else None

    digest = memory.write_digest(channel, period.since, composed, now)
    if digest:
        log.info("digest", id=digest.id, channel=channel, kind=period.kind.value, stories=len(digest.lines))
    return digest


def rises(memory: Memory, topics: Mapping[str, Topic], period: Period) -> dict[str, Spike]:
    """The topics that spike in a period."""
    return spikes(memory.story_times(period.since - BASELINE), memory.first_taken(), topics, period)


def _rendered(delivery: Delivery, links: Mapping[str, str]) -> Message:
    alert = delivery.alert
    if isinstance(alert, Digest):
        raise ValueError(f"digest {alert.id} has lost its message, which is frozen when it is made")
    if isinstance(alert, Notice):
        return render_notice(alert)
    if alert.kind is AlertKind.EDIT:
        return render(replace(alert, kind=AlertKind.ROOT, parent=""), growth=delivery.growth, links=links)
    message = render(alert, delivery.batch, links=links)
    return by_itself(message, alert) if alert.parent and not delivery.thread else message


def _as_sent(delivery: Delivery, frozen: Message, *, buttons: bool) -> Message:
    """The frozen message in the form in which it is tried now; another try in this form sends the same bytes.

    What was refused as it was is tried without buttons: they may be why.
    """
    message, alert = degraded(frozen, delivery.rung) or frozen, delivery.alert
    message = doubted(message) if delivery.repeats else message
    if not buttons or delivery.rung or not isinstance(alert, Alert) or sink_of(alert.channel):
        return message
    # an edit is its root's message
    return with_buttons(message, alert.parent if alert.kind is AlertKind.EDIT else alert.id)


async def _send(delivery: Delivery, edges: Courier) -> DeliveryState:
    is_edit = delivery.alert.kind is AlertKind.EDIT
    try:
        receipt = await edges.in_sender(edges.sink.edit if is_edit else edges.sink.send, delivery)
    except SendError as error:
        return await _write_refusal(delivery, error, edges)
    except Exception as error:  # a fault of ours: the post may be out, so it is in doubt like any lost answer
        fault, state = f"our fault: {error}", DeliveryState.QUEUED if is_edit else DeliveryState.UNKNOWN
        await _settle(delivery, state, edges, error=fault, not_before=None if is_edit else _settled_at(edges))
        raise
    await _settle(delivery, DeliveryState.SENT, edges, receipt=receipt or "")
    edges.telemetry.note_sent(delivery, edges.clock())
    return DeliveryState.SENT


def _settled_at(edges: Courier) -> datetime:
    """When what is in doubt from now on may be read back. Not from the claim on: the last byte may have left just now."""
    return edges.clock() + edges.settle


async def _write_refusal(delivery: Delivery, error: SendError, edges: Courier) -> DeliveryState:
    now, memory, wait = edges.clock(), edges.memory, _wait(delivery, error)
    if delivery.alert.kind is AlertKind.EDIT:
        return await _write_refused_edit(delivery, error, edges, now + wait)
    if isinstance(error, RootGone) and delivery.thread:
        await edges.in_store(memory.lose_root, delivery.alert.id, now, str(error), rethread)
        return _told_of(delivery, DeliveryState.QUEUED, str(error))
    if isinstance(error, Unacceptable):
        lowest = delivery.message is None or degraded(delivery.message, delivery.rung + 1) is None
        state = await edges.in_store(memory.degrade, delivery.alert.id, now, str(error), lowest=lowest, plan=rethread)
        return _told_of(delivery, state, str(error))
    if isinstance(error, NotAccepted):
        await _settle(delivery, DeliveryState.QUEUED, edges, error=str(error), not_before=now + wait)
        return DeliveryState.QUEUED
    if isinstance(error, Misconfigured):
        await _settle(delivery, DeliveryState.BLOCKED, edges, error=str(error))
        await _block(delivery, error, edges)
        return DeliveryState.BLOCKED
    await _settle(delivery, DeliveryState.UNKNOWN, edges, error=str(error), not_before=_settled_at(edges))
    return DeliveryState.UNKNOWN


async def _write_refused_edit(
    delivery: Delivery, error: SendError, edges: Courier, not_before: datetime
) -> DeliveryState:
    """An edit is tried again whenever that may help: to do it twice does no harm. Else nothing is lost but a sum."""
    if isinstance(error, RootGone):
        await edges.in_store(edges.memory.lose_root, delivery.alert.id, edges.clock(), str(error), rethread)
        return _told_of(delivery, DeliveryState.DROPPED, str(error))
    if isinstance(error, Unacceptable):
        await _settle(delivery, DeliveryState.DROPPED, edges, error=str(error))
        return DeliveryState.DROPPED
    await _settle(delivery, DeliveryState.QUEUED, edges, error=str(error), not_before=not_before)
    if isinstance(error, Misconfigured):
        await _block(delivery, error, edges)
    return DeliveryState.QUEUED


def _wait(delivery: Delivery, error: SendError) -> timedelta:
    usual: timedelta = min(FIRST_WAIT * 2 ** min(delivery.attempt - 1, 10), LONGEST_WAIT)
    return max(usual, timedelta(seconds=error.retry_after or 0))


async def _block(delivery: Delivery, error: Misconfigured, edges: Courier) -> None:
    """Have nothing more sent that would meet with the same, and tell ops once, where they can be told."""
    now, channel = edges.clock(), "" if error.everywhere else delivery.alert.channel
    notice = None
    reached = sink_of(edges.ops) or channel  # with its own token gone, Slack cannot be told of it
    if edges.ops and reached and channel != edges.ops:
        rest = "What is for it waits, is tried every 15 min, and goes out once this is mended"
        text = f"{channel or 'every channel'} is blocked: {error}\n{rest}"
        id_ = str(uuid.uuid5(_BLOCKED, f"{channel}|{now.isoformat()}|{error}"))
        notice = Notice(id_, edges.ops, text, now)
    if await edges.in_store(edges.memory.block, channel, str(error), notice, now):
        log.error("blocked", channel=channel or "all", because=str(error))


def _over(edges: Courier, blockage: Blockage) -> Notice | None:
    """Tell ops that something goes through again."""
    if not edges.ops:
        return None
    now, channel = edges.clock(), blockage.channel or "every channel"
    text = (
        f"{channel} is not blocked any more, as it was since {blockage.since:%Y-%m-%d %H:%M} UTC: {blockage.because}\n"
        "What waited for it goes out now"
    )
    return Notice(
        str(uuid.uuid5(_BLOCKED, f"over|{blockage.channel}|{blockage.since.isoformat()}")), edges.ops, text, now
    )


#: Ids of notices of what is blocked are uuid5 in this namespace.
_BLOCKED = uuid.UUID("c1b6a2de-0d5f-5b0c-8a5f-7e0a54a8f3d1")


async def _settle_doubts(edges: Courier) -> None:
    """Read back what may or may not have been accepted: it is there, or after two looks it is not and is sent again."""
    for delivery in await edges.in_store(edges.memory.doubtful, edges.clock(), edges.settle):
        try:
            receipt = await edges.in_sender(edges.sink.find, delivery)
        except NotAccepted as error:
            await _settle(delivery, DeliveryState.QUEUED, edges, error=str(error))
            continue
        except SendError as error:
            await _write_unread(delivery, error, edges)
            continue
        if receipt is not None:
            await _settle(delivery, DeliveryState.SENT, edges, receipt=receipt)
        elif edges.settle and delivery.error != _ABSENT_ONCE:
            later = edges.clock() + BETWEEN_READS
            await _settle(delivery, DeliveryState.UNKNOWN, edges, error=_ABSENT_ONCE, not_before=later)
        else:
            await _settle(delivery, DeliveryState.QUEUED, edges, error="read back: it was not accepted")


_ABSENT_ONCE = "read back: not in the channel, looking again"


async def _write_unread(delivery: Delivery, error: SendError, edges: Courier) -> None:
    """Look again later, or send again what nobody may look for."""
    now, told = edges.clock(), f"cannot be read back: {error}"
    patience: timedelta = REPEAT_AFTER * 2 ** min(delivery.repeats, 10)
    if isinstance(error, Unreadable) and edges.repeats and now - (delivery.sending_at or now) >= patience:
        told = f"{told}; sent again, though it may stand there"
        await edges.in_store(edges.memory.repeat, delivery.alert.id, now, told, rethread)
        _told_of(delivery, DeliveryState.QUEUED, told)
        return
    later = now + max(UNREADABLE_WAIT, timedelta(seconds=error.retry_after or 0))
    await _settle(delivery, DeliveryState.UNKNOWN, edges, error=told, not_before=later)


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
        over=partial(_over, edges),
        plan=rethread,
    )
    _told_of(delivery, state, error)


def _told_of(delivery: Delivery, state: DeliveryState, error: str) -> DeliveryState:
    """Say in the log what was written down of a try."""
    say = log.info if state in (DeliveryState.SENT, DeliveryState.QUEUED) else log.warning
    say(
        "delivery",
        id=delivery.alert.id,
        channel=delivery.alert.channel,
        kind=delivery.alert.kind.value,
        topics=[match.topic for match in delivery.alert.matches] if isinstance(delivery.alert, Alert) else [],
        state=state.value,
        attempt=delivery.attempt,
        **({"error": error} if error else {}),
    )
    return state
