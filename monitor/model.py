"""Every noun of the monitor, in the order in which the pipeline makes them. Frozen, and free of behaviour that decides.

    Feed ─fetch─▶ Document ─parse─▶ Item ─embed─▶ EmbeddedItem ─match─▶ Match ─group─▶ Placement (Story)
         ─decide─▶ Decision (Alert) ┃ SQLite ┃ ─render─▶ Message ─send─▶ Delivery

All times are aware and in UTC. Imports nothing of ours.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta, tzinfo
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

#: float32; unit length where it comes from `embed`
Vector: TypeAlias = NDArray[np.float32]

#: What an analyst weighs a source by; a feed list that says anything else gets a warning.
SOURCE_KINDS = ("wire", "state media", "independent", "think tank", "government", "trade press")

#: Monday is 0, as Python has it
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

# -- topics: what people write --------------------------------------------------------------------


class TopicStatus(enum.StrEnum):
    ACTIVE = "active"
    SHADOW = "shadow"  # scored and logged, never sent
    OFF = "off"


class Severity(enum.StrEnum):
    INFO = "info"
    NOTICE = "notice"
    HIGH = "high"
    CRITICAL = "critical"


class Followups(enum.StrEnum):
    THREAD = "thread"
    BROADCAST = "broadcast"  # in the thread, and shown in the channel too
    COUNT_ONLY = "count_only"


class Mode(enum.StrEnum):
    INSTANT = "instant"
    DIGEST = "digest"  # in the channel's next digest
    BOTH = "both"  # at once, and in the digest too


@dataclass(frozen=True, slots=True)
class QuietHours:
    """A part of every day, in local time; an end that is not after the beginning is on the next day."""

    begin: time
    end: time
    #: IANA name; empty: the configuration's `alerts.timezone`
    zone: str = ""

    def __str__(self) -> str:
        return f"{self.begin:%H:%M}-{self.end:%H:%M} {self.zone}".rstrip()


@dataclass(frozen=True, slots=True)
class Terms:
    """Words, phrases and prefixes* as the author wrote them; `match` folds them."""

    always: tuple[str, ...] = ()
    require: tuple[tuple[str, ...], ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scope:
    """Which items a topic looks at; empty means all."""

    languages: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    #: None means the configuration's `alerts.max_age`
    max_age: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Corroboration:
    """Who else must tell a story before a channel is told of it: one of the two counts is enough, and at least one is set."""

    #: independent sources
    sources: int | None = None
    #: kinds of independent sources
    kinds: int | None = None
    #: the channel is told after this time anyway
    within: timedelta = timedelta(hours=6)

    def met_by(self, independent: Sequence[Voice]) -> bool:
        """Tell whether these independent sources are enough."""
        enough_sources = self.sources is not None and len(independent) >= self.sources
        return enough_sources or (self.kinds is not None and len(kinds_of(independent)) >= self.kinds)


@dataclass(frozen=True, slots=True)
class StoryPolicy:
    #: a story takes new items until it has been silent for this long; None means the configuration's
    window: timedelta | None = None
    #: None: the first item is told at once
    corroboration: Corroboration | None = None


@dataclass(frozen=True, slots=True)
class Notify:
    #: None means the configuration's `alerts.channel`
    channel: str | None = None
    mode: Mode = Mode.INSTANT
    followups: Followups = Followups.THREAD
    #: roots a day; None: the channel's budget alone counts
    daily_budget: int | None = None
    #: None: the configuration's `alerts.quiet_hours`
    quiet_hours: QuietHours | None = None


@dataclass(frozen=True, slots=True)
class TopicTest:
    title: str
    #: True: must alert; False: must stay silent
    alert: bool
    text: str = ""
    lang: str = ""
    #: 1-based line in the topic's file
    line: int | None = None


@dataclass(frozen=True, slots=True)
class StoryStep:
    #: since the first step
    at: timedelta
    title: str
    #: root | copy | update
    expect: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class StoryTest:
    name: str
    steps: tuple[StoryStep, ...]
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Topic:
    """One file of `rules/`; the file's stem is its id."""

    id: str
    title: str
    description: str
    theme: str = ""
    examples: tuple[str, ...] = ()
    negatives: tuple[str, ...] = ()
    status: TopicStatus = TopicStatus.ACTIVE
    severity: Severity = Severity.NOTICE
    #: share of ordinary items that may score as high as the bar, 0 < noise < 1
    noise: float = 1 / 2000
    owner: str = ""
    terms: Terms = Terms()
    scope: Scope = Scope()
    story: StoryPolicy = StoryPolicy()
    notify: Notify = Notify()
    tests: tuple[TopicTest, ...] = ()
    story_tests: tuple[StoryTest, ...] = ()
    #: the file, as the user named it
    path: str = ""
    #: where its title stands in that; None if nobody knows
    line: int | None = field(default=None, compare=False)

    @property
    def place(self) -> str:
        """Where a person finds it: "rules/grain.toml:4"."""
        return f"{self.path}:{self.line}" if self.line else self.path


# -- feed, document, item -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Feed:
    """What is polled, and what the feed list says of its source."""

    url: str
    #: the source's name as analysts know it
    title: str = ""
    #: one of SOURCE_KINDS, or empty where nobody said
    kind: str = ""
    country: str = ""
    #: ISO 639-1, the language most of its items are in; empty where nobody said
    language: str = ""
    #: the source's page for people
    site: str = ""

    @property
    def name(self) -> str:
        return self.title or self.url


class Identity(enum.StrEnum):
    """What a publisher's items are known by from one poll to the next."""

    GUID = "guid"  # else the link, else title and date
    LINK = "link"
    TITLE = "title"
    TITLE_AND_DAY = "title and day"


@dataclass(frozen=True, slots=True)
class Zones:
    """What a publisher means where its dates do not say it."""

    #: of dates without any zone; None: they are left out
    default: tzinfo | None = None
    #: what abbreviations stand for here ("cst": Asia/Shanghai), in lower case; they win over what is usual
    named: Mapping[str, tzinfo] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PublisherRules:
    """How one publisher's feeds are to be read where the formats' own rules mislead."""

    identity: Identity = Identity.GUID
    #: a part of the guid that changes with each revision, and is taken off
    guid_drop: re.Pattern[str] | None = None
    #: guids that name nothing; the link stands in
    guid_ignore: re.Pattern[str] | None = None
    #: parameters of links that do not name the page, beside those that never do anywhere; lower case
    drop_parameters: frozenset[str] = frozenset()
    zones: Zones = field(default_factory=Zones)
    #: titles of items that a machine put there ("this bridge returned an error"): no news, and left out
    machine_titles: tuple[re.Pattern[str], ...] = ()


@dataclass(frozen=True, slots=True)
class Validators:
    """What a server gave us to ask "anything new?" with; empty means it gave none. RFC 9110, section 8.8."""

    etag: str = ""
    last_modified: str = ""
    #: sha256 of the last body in hex: servers without validators repeat themselves as well
    body_hash: str = ""


@dataclass(frozen=True, slots=True)
class Hints:
    """What a document says of when to ask again, and whom to ask to be told."""

    #: RSS `ttl`, or RSS 1.0 `sy:updatePeriod` over `sy:updateFrequency`; None if it says neither
    period: timedelta | None = None
    #: in UTC, 0 to 23
    skip_hours: frozenset[int] = frozenset()
    #: 0 is Monday
    skip_days: frozenset[int] = frozenset()
    #: WebSub, https://www.w3.org/TR/websub/: where to subscribe, and under what name; empty if it names none
    hub: str = ""
    topic: str = ""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How a feed brings news, as far as we have seen."""

    #: the median time between its last items, and the longest; None until it has brought three with a time
    gap: timedelta | None = None
    longest_gap: timedelta | None = None
    #: the latest effective time of its items
    newest: datetime | None = None
    #: when a poll last found something new
    last_new: datetime | None = None
    #: the most severe topic that took an item of it, and when; None if none did in the last month
    severity: Severity | None = None
    severity_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class FeedState:
    """What we remember of polling a feed."""

    feed: Feed
    validators: Validators = Validators()
    #: None until the first poll succeeded
    first_success: datetime | None = None
    last_success: datetime | None = None
    last_poll: datetime | None = None
    #: None means at once
    next_poll: datetime | None = None
    #: consecutive failures, each weighted 0 to 1
    failures: float = 0.0
    #: one word, e.g. `timeout`; empty after a success
    last_error: str = ""
    #: the first of these failures; None after a success
    failing_since: datetime | None = None
    #: items seen in all
    items: int = 0
    #: where a permanent redirect led; empty if nowhere. Never overwrites the feed's own address
    moved_to: str = ""
    #: the last poll that ignored validators and redirects: both can lie
    full_fetch: datetime | None = None
    #: the pause that followed the last poll
    pause: timedelta | None = None
    rhythm: Rhythm = field(default_factory=Rhythm)
    hints: Hints = field(default_factory=Hints)
    #: when a poll last had nothing in common with the one before
    last_gap: datetime | None = None
    #: items that the storm breaker holds back
    held: int = 0
    #: a person released what was held: the breaker lets the next poll through
    released: bool = False


class Condition(enum.StrEnum):
    """What may be wrong with a feed, one word for `status`, metrics and messages to ops."""

    FAILING = "failing"  # has given no document for days
    GONE = "gone"  # its server says 410: not here, and never again
    NEVER_PARSED = "never parsed"  # was never once a feed
    STALE = "stale"  # answers, but has brought nothing for longer than it ever did
    GAP = "gap"  # two polls with nothing in common: items may have slid past in between
    STORM = "storm"  # much that is old became new at once, and is held back
    OUTAGE = "outage"  # our own network; of no single feed


@dataclass(frozen=True, slots=True)
class Ailment:
    """A condition of a feed (or of our network, with an empty feed), from its first sight to its last."""

    feed_url: str
    condition: Condition
    because: str
    since: datetime
    #: when ops were told; None: not yet
    told: datetime | None = None
    #: since when it has not been seen again; None while it lasts
    absent_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Polled:
    """What one successful poll writes beside its items."""

    feed: Feed
    at: datetime
    next_poll: datetime
    pause: timedelta
    validators: Validators
    moved_to: str
    #: validators and redirects were ignored
    full: bool
    rhythm: Rhythm
    #: None: the document did not come again, what it said holds
    hints: Hints | None = None
    #: nothing in common with the poll before
    gap: bool = False
    #: keys under which items are known from now on -> their ids
    aliases: Mapping[str, str] = field(default_factory=dict)
    #: items in it that were let go: the feed still has them
    offered_again: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Subscription:
    """What we remember of asking one hub for one feed."""

    feed_url: str
    hub: str
    #: the feed's name at the hub: its rel=self
    topic: str
    state: Literal["asked", "active", "denied"]
    #: when it came into this state, by our latest request or the hub's latest word
    since: datetime
    #: requests in a row that no hub has verified
    tries: int = 0
    #: end of the lease; it outlives a request to renew. None: never verified, or denied
    expires: datetime | None = None
    #: why the hub refused, or could not be asked; one line, may be empty
    reason: str = ""


class PollOutcome(enum.StrEnum):
    """What a poll came to, one word for logs, metrics and `status`."""

    NEW = "new"  # items we had not seen
    NOTHING_NEW = "nothing new"  # a document, all of it known
    SAME_BODY = "same body"  # 200, byte for byte what we had
    NOT_MODIFIED = "not modified"  # 304
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Document:
    """One answer of a server that carries a body."""

    feed: Feed
    #: after redirects
    url: str
    #: lower-case names
    headers: Mapping[str, str]
    #: decoded from any Content-Encoding
    body: bytes = field(repr=False)
    validators: Validators = Validators()
    #: where permanent redirects (301, 308), and nothing else, led from the address that was asked; empty if nowhere
    moved_to: str = ""


@dataclass(frozen=True, slots=True)
class NotModified:
    """A 304, or a 200 with the body we already have."""

    feed: Feed
    outcome: PollOutcome
    validators: Validators = Validators()
    #: lower-case names
    headers: Mapping[str, str] = field(default_factory=dict)
    moved_to: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One piece of news as one feed published it."""

    #: 16 hex digits of sha256 over feed and the publisher's identity of the item (`text.item_id`)
    id: str
    feed: Feed
    #: plain text, one line, never empty
    title: str
    #: plain text, may be empty
    text: str
    #: as published; empty if none
    link: str
    #: the link without what does not name the page (`text.canonical_link`); empty if none
    canonical_link: str
    #: ISO 639-1; empty where neither feed nor item says
    language: str
    #: what the publisher says, read right; None if it says nothing we can trust
    published: datetime | None
    #: when we first saw it
    first_seen: datetime
    #: the date as the publisher wrote it; empty if there is none
    published_raw: str = ""
    #: other identities under which it can be known again after its publisher changed the first (`parse`), best first
    keys: tuple[str, ...] = ()
    #: hash of all that the publisher wrote of it, as it was written
    content: str = ""
    #: how often its publisher has changed it since we know it
    revision: int = 0

    @property
    def at(self) -> datetime:
        """The item's effective time: published, but never later than we saw it."""
        return min(self.published, self.first_seen) if self.published else self.first_seen

    @property
    def source(self) -> str:
        return self.feed.name


@dataclass(frozen=True, slots=True)
class Version:
    """An item as we know it from an earlier poll: what a new sight of it is compared with."""

    item_id: str
    title: str
    text: str
    canonical_link: str
    published: datetime | None
    revision: int
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class EmbeddedItem:
    item: Item
    #: of the item's gist; unit length per engine part, joined; shape (engine dimensions summed,)
    vector: Vector = field(repr=False, compare=False)
    #: of its other units (`text.units`), a row each; only matching reads them, and nothing keeps them. None: there are none
    further: Vector | None = field(default=None, repr=False, compare=False)


# -- match ----------------------------------------------------------------------------------------


class MatchOutcome(enum.StrEnum):
    """Why a topic did, or did not, take an item."""

    MATCHED = "matched"  # score at or above the bar, no gate shut
    MATCHED_TERM = "matched by term"  # one of `terms.always`
    MATCHED_OPINION = "matched by second opinion"  # below the bar, but near, and the second opinion is for it
    BELOW_BAR = "below the bar"
    NO_REQUIRED_TERM = "no required term"
    EXCLUDED_TERM = "excluded term"
    NEARER_NEGATIVE = "nearer to a negative"
    OPINION_AGAINST = "second opinion against"  # at the bar or little above it
    OUT_OF_SCOPE = "out of scope"

    @property
    def taken(self) -> bool:
        return self in (MatchOutcome.MATCHED, MatchOutcome.MATCHED_TERM, MatchOutcome.MATCHED_OPINION)


@dataclass(frozen=True, slots=True)
class Match:
    """One topic's judgement of one item, taken or not."""

    topic: str
    #: rarity in decades: 3.3 means that one in 10**3.3 = 2,000 ordinary items scores this high
    score: float
    #: the topic's `noise` on the same scale
    bar: float
    outcome: MatchOutcome
    #: the example, or the description, that it resembles most
    nearest: str = ""
    #: the negative that it is nearer to than to any example; empty if to none
    negative: str = ""
    #: terms that were found in it, as the author wrote them
    terms: tuple[str, ...] = ()
    #: the gate that is shut, in the author's words; empty if all are open
    gate: str = ""
    #: the words of the item that each of `terms` was found as
    words: tuple[str, ...] = ()
    #: the part of the item that scored, where it is neither the title nor the beginning; else empty
    unit: str = ""
    #: what a second opinion said, or why there is none though one was asked for; else empty
    opinion: str = ""

    @property
    def matched(self) -> bool:
        return self.outcome.taken


@dataclass(frozen=True, slots=True)
class Question:
    """Does this item belong to this topic? All that a judge is told."""

    #: the topic's id
    topic: str
    #: of all that is told of the topic (`opinion.fingerprint`)
    fingerprint: str
    topic_title: str
    description: str
    examples: tuple[str, ...]
    negatives: tuple[str, ...]
    #: of the item; a stranger's words, clipped
    title: str
    text: str
    #: ISO 639-1; empty where nobody says
    language: str = ""


@dataclass(frozen=True, slots=True)
class Opinion:
    """A judge's answer."""

    #: None: no opinion was had
    relevant: bool | None
    #: how sure the judge is of its own answer, 0 to 1; 0 where no opinion was had
    confidence: float
    #: the judge's reason, or why there is no opinion, one plain line; may be empty
    because: str
    #: the model's name, as people know it
    by: str


# -- group ----------------------------------------------------------------------------------------


class Relation(enum.StrEnum):
    ROOT = "root"  # opens a story
    COPY = "copy"  # the same text from somewhere else
    UPDATE = "update"  # the same event, told anew


@dataclass(frozen=True, slots=True)
class Member:
    """An item inside a story."""

    embedded: EmbeddedItem
    story: str
    relation: Relation
    #: a person put it there: nothing automatic moves it
    by_hand: bool = False


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an item belongs, and why."""

    story: str
    relation: Relation
    #: the item it was joined by; empty for a root
    parent: str = ""
    #: likeness to the parent, 0 to 1
    likeness: float = 0.0
    because: str = ""


@dataclass(frozen=True, slots=True)
class Voice:
    """One source's part in a story."""

    source: str
    #: as of `Feed`; empty where nobody said
    kind: str
    country: str
    #: when it first told the story
    first: datetime
    #: it wrote something of its own; a source that only ever copied is no independent one
    own: bool


@dataclass(frozen=True, slots=True)
class Story:
    """An event and the items that tell it, as far as we know them now."""

    id: str
    #: the root's title
    title: str
    opened: datetime
    latest: datetime
    #: items, copies included
    items: int
    #: one for each source, in order of appearance
    voices: tuple[Voice, ...] = ()
    languages: tuple[str, ...] = ()

    @property
    def sources(self) -> tuple[str, ...]:
        """Distinct sources, copies included, in order of appearance."""
        return tuple(voice.source for voice in self.voices)

    @property
    def independent(self) -> tuple[Voice, ...]:
        """Those that wrote something of their own."""
        return tuple(voice for voice in self.voices if voice.own)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of the independent sources, as far as they are known."""
        return kinds_of(self.independent)

    @property
    def countries(self) -> tuple[str, ...]:
        """Countries of the independent sources, as far as they are known."""
        return tuple(dict.fromkeys(voice.country for voice in self.independent if voice.country))


def kinds_of(heard: Iterable[Voice]) -> tuple[str, ...]:
    """Kinds of sources, as far as they are known, in order of appearance."""
    return tuple(dict.fromkeys(voice.kind for voice in heard if voice.kind))


def voices(tellings: Iterable[tuple[Feed, datetime, Relation]]) -> tuple[Voice, ...]:
    """Sum up who tells a story, from its items' feeds, effective times and relations, in the order of events."""
    heard: dict[str, Voice] = {}
    for feed, at, relation in tellings:
        before = heard.get(feed.name)
        own = relation is not Relation.COPY or (before is not None and before.own)
        heard[feed.name] = Voice(feed.name, feed.kind, feed.country, before.first if before else at, own)
    return tuple(heard.values())


@dataclass(frozen=True, slots=True)
class Growth:
    """How far a story has come: what the root that told it says of it when it is rendered anew."""

    #: independent ones
    sources: int
    #: their kinds, as far as they are known, in order of appearance
    kinds: tuple[str, ...]
    languages: int
    #: copies included
    items: int
    #: when the latest item was published
    latest: datetime
    #: it takes no more items
    closed: bool = False
    #: who silenced it; empty if nobody did
    silenced_by: str = ""
    #: None: for good, or not at all
    silenced_until: datetime | None = None

    @classmethod
    def of(
        cls, story: Story, *, closed: bool = False, silenced_by: str = "", silenced_until: datetime | None = None
    ) -> Growth:
        return cls(
            sources=len(story.independent),
            kinds=story.kinds,
            languages=len(story.languages),
            items=story.items,
            latest=story.latest,
            closed=closed,
            silenced_by=silenced_by,
            silenced_until=silenced_until,
        )


@dataclass(frozen=True, slots=True)
class Telling:
    """An item as it stands in its story."""

    item: Item
    placement: Placement
    verdict: Verdict
    #: a person put it there
    by_hand: bool = False
    #: topics that took it
    topics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Timeline:
    """A story with all that stands in it, in the order of events; never empty."""

    story: Story
    tellings: tuple[Telling, ...]

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that took one of its items, in order of appearance."""
        return tuple(dict.fromkeys(topic for telling in self.tellings for topic in telling.topics))


# -- the hand's word on stories -------------------------------------------------------------------


class RulingKind(enum.StrEnum):
    MERGE = "merge"  # these stories are one
    SPLIT = "split"  # these items are a story of their own


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a person decided about stories. It stands: nothing automatic moves what was moved by hand."""

    kind: RulingKind
    author: str
    #: where the items that were moved stand now
    story: str
    #: all stories that it touches, that one included
    stories: tuple[str, ...]
    #: the items that were moved
    items: tuple[str, ...]
    #: set when it is written down
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Thread:
    """In which thread an alert stands, or will: a reply in its root's, a root in its own."""

    alert: str
    kind: AlertKind
    #: the root alert; empty for a root
    parent: str = ""
    #: a root that waits for corroboration goes out then; None: it does not wait
    until: datetime | None = None
    #: it tells a jump in the sources of the thread's story
    escalates: bool = False


@dataclass(frozen=True, slots=True)
class Rearrangement:
    """A ruling, and all that it changes."""

    ruling: Ruling
    #: by item: where those stand whose place changed
    placements: Mapping[str, Placement]
    #: story -> title, where the root changed
    titles: Mapping[str, str] = field(default_factory=dict)
    #: by alert: those that were not sent yet and are to be told anew, most of them elsewhere; None: not at all
    threads: Mapping[str, Thread | None] = field(default_factory=dict)


# -- decide ---------------------------------------------------------------------------------------


class Verdict(enum.StrEnum):
    """What came of an item. Every item gets one, and the log, the store and `explain` use these words."""

    ALERT = "alert"  # a new message
    REPLY = "reply"  # a reply in the story's thread
    WAITING = "waiting"  # its story waits, in the channel, for more sources to tell it
    COPY = "copy"  # held back: the same text stands in the channel already
    COUNTED = "counted"  # held back: the topic wants follow-ups only counted
    SHADOW = "shadow"  # only topics in shadow took it
    TOO_OLD = "too old"  # published before `max_age`
    FIRST_POLL = "first poll"  # stood in the feed before we knew it
    HELD = "held"  # the storm breaker holds it: `feeds release` or `feeds drop` decides
    DROPPED = "dropped"  # was held, and a person dropped it
    NO_MATCH = "no match"


class AlertKind(enum.StrEnum):
    ROOT = "root"
    REPLY = "reply"
    NOTICE = "notice"  # to ops, about the monitor's own health
    DIGEST = "digest"  # what was held, and the period in counts
    EDIT = "edit"  # of a root that was sent: how its story stands now
    CANARY = "canary"  # a test that the monitor makes of itself; tells nothing


@dataclass(frozen=True, slots=True)
class Escalation:
    """A jump in the number of independent sources that tell a story."""

    #: in all
    sources: int
    #: those of them that first told it within the time
    recent: int
    within: timedelta


@dataclass(frozen=True, slots=True)
class Alert:
    """Something to tell one channel, once."""

    #: uuid5 of channel, story and item: the same decision twice is the same row
    id: str
    kind: AlertKind
    channel: str
    story: str
    #: the headline that opened the story
    story_title: str
    #: what is told
    item: Item
    #: topics that took the item and send to this channel, most severe first; of an item that none took, and that is told
    #: because its story escalates, those of the root. Never empty
    matches: tuple[Match, ...]
    #: id -> title, for every topic in `matches`
    titles: Mapping[str, str]
    severity: Severity
    created: datetime
    #: show the reply in the channel as well
    broadcast: bool = False
    #: sources of the story when the alert was made, this one included
    sources: tuple[str, ...] = ()
    #: the root alert in whose thread a reply belongs; empty for a root
    parent: str = ""
    #: the title before its publisher changed it; empty if this is no edit
    formerly: str = ""
    #: those of the story's sources that wrote something of their own
    independent: tuple[Voice, ...] = ()
    #: what the root was held for, also once it goes out; None: it was not held
    corroboration: Corroboration | None = None
    #: the jump in sources that this reply tells; None: there is none
    escalation: Escalation | None = None

    @property
    def deadline(self) -> datetime | None:
        """When a held root goes out, corroborated or not."""
        return self.created + self.corroboration.within if self.corroboration else None


@dataclass(frozen=True, slots=True)
class Root:
    """The alert by which a channel knows a story, or will."""

    alert: Alert
    #: it waits for `alert.corroboration`
    held: bool = False
    #: the channel was told, once, of a jump in the story's sources
    escalated: bool = False
    #: somebody there wants to see its follow-ups in the channel too
    more: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to tell ops, once; it goes the way of an alert."""

    id: str
    channel: str
    #: plain text, one finding a line
    text: str
    created: datetime
    kind: AlertKind = AlertKind.NOTICE


@dataclass(frozen=True, slots=True)
class Decision:
    verdict: Verdict
    because: str
    #: one for each channel that is told; empty unless the verdict is ALERT or REPLY
    alerts: tuple[Alert, ...] = ()
    #: roots that wait for corroboration
    held: tuple[Alert, ...] = ()
    #: ids of roots that waited for it, of this item's story, and go out now; under any verdict
    released: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """All that came of one item: what one commit writes."""

    embedded: EmbeddedItem
    #: of the text that was embedded (`text.text_hash`)
    text_hash: str
    #: judgements worth keeping, taken or near misses
    matches: tuple[Match, ...]
    placement: Placement
    decision: Decision
    #: what the item said before, if this is an edit of a known one (or a held one that was released)
    before: Version | None = None


# -- gate, digest ---------------------------------------------------------------------------------


class HoldReason(enum.StrEnum):
    """Why an alert does not go out now. All but the first are told by the channel's next digest, if not before."""

    CORROBORATION = "corroboration"  # fewer sources than its topics ask for; goes out when its time has come
    QUIET_HOURS = "quiet hours"  # until they end
    BUDGET = "budget"  # the day's alerts are used up
    SILENCE = "silence"  # a person asked for it
    DIGEST = "digest"  # its topics want digests, or its story was told in one


@dataclass(frozen=True, slots=True)
class Hold:
    reason: HoldReason
    #: None: until the channel's next digest
    until: datetime | None = None
    #: what it is by: the hours, the budget, the silence
    because: str = ""


@dataclass(frozen=True, slots=True)
class Silence:
    """What a person wants to hear nothing of for a while. One of the five matchers is set at least; all that are must hold."""

    until: datetime
    author: str
    comment: str
    created: datetime
    #: a topic's id
    topic: str = ""
    #: a story's id
    story: str = ""
    #: a feed's title
    source: str = ""
    channel: str = ""
    #: terms, as topics have them, that all stand in the title
    words: tuple[str, ...] = ()
    #: None: nobody did
    removed: datetime | None = None
    #: given when it is written down
    id: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """Roots that one channel was told of in a day, or that are on the wire."""

    channel: int = 0
    #: by topic, for those that have a budget of their own
    topics: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Matter:
    """What a digest of one channel may tell of."""

    #: in the order in which it came
    held: tuple[Delivery, ...]
    #: what was told by itself in the period, in that order
    told: tuple[Delivery, ...]
    #: story -> its independent sources by now
    sources: Mapping[str, int]


class DigestKind(enum.StrEnum):
    DAILY = "daily"
    WEEKLY = "weekly"
    QUIET_HOURS = "quiet hours"  # what they held, at their end


@dataclass(frozen=True, slots=True)
class DigestLine:
    """One story in a digest."""

    #: the alert whose headline it shows
    alert: Alert
    #: independent sources by now
    sources: int
    #: alerts of that story which the digest tells beside that one
    others: int = 0
    #: empty: it was told when it came, and is listed again
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Spike:
    """A topic with far more new stories than it is used to."""

    #: its title
    topic: str
    stories: int
    #: in as long a time
    usual: float


@dataclass(frozen=True, slots=True)
class Digest:
    """What one channel is told of together. From the outbox it comes without its content: its message is frozen."""

    #: uuid5 of channel, kind and period: one that is due twice is the same row
    id: str
    channel: str
    occasion: DigestKind
    #: what was told is counted from here to `created`
    since: datetime
    created: datetime
    #: theme -> its stories, what matters most first
    themes: Mapping[str, tuple[DigestLine, ...]] = field(default_factory=dict)
    #: roots and replies told in the period
    roots: int = 0
    replies: int = 0
    #: a topic's title -> roots, most first
    by_topic: Mapping[str, int] = field(default_factory=dict)
    spikes: tuple[Spike, ...] = ()

    @property
    def kind(self) -> AlertKind:
        return AlertKind.DIGEST

    @property
    def lines(self) -> tuple[DigestLine, ...]:
        return tuple(line for lines in self.themes.values() for line in lines)


# -- render, send ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Message:
    """What goes over the wire, frozen when an alert is first claimed: every try sends the same bytes."""

    #: plain text, always there: notifications and clients without blocks show it
    text: str
    #: Block Kit, https://docs.slack.dev/reference/block-kit/
    blocks: tuple[Mapping[str, object], ...]
    #: the same for a terminal, lines of at most ~100 columns
    terminal: str


class DeliveryState(enum.StrEnum):
    HELD = "held"  # waits for what its reason says, or for the channel's next digest
    QUEUED = "queued"
    SENDING = "sending"  # claimed: a post may be on the wire
    UNKNOWN = "unknown"  # nobody knows whether it was accepted; read back before resending
    SENT = "sent"
    BATCHED = "batched"  # told in another's message: a reply's, or a digest
    BLOCKED = "blocked"  # a person must act
    DEAD = "dead"  # refused for good; a person must look
    DROPPED = "dropped"  # a person did not want it: dropped by hand, or its message was deleted in the channel


#: Told nobody, or nobody any more: what would stand in its thread stands by itself.
ENDED = (DeliveryState.DEAD, DeliveryState.DROPPED)


@dataclass(frozen=True, slots=True)
class Blockage:
    """Why nothing goes to a channel until a person acts."""

    #: empty: to no channel but those of a [[sink]]
    channel: str
    #: with what to do about it
    because: str
    since: datetime
    next_probe: datetime
    #: alerts and notices that wait behind it
    waiting: int


@dataclass(frozen=True, slots=True)
class Event:
    """A line in the ledger of what became of a delivery."""

    at: datetime
    #: empty where there was none, or is none any more
    before: str
    after: str
    detail: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """A row in the outbox."""

    alert: Alert | Notice | Digest
    state: DeliveryState
    #: tries so far
    attempt: int
    #: not before this time; None means at once
    not_before: datetime | None = None
    #: the try in flight, or the last one, began here
    sending_at: datetime | None = None
    #: None until first claimed
    message: Message | None = None
    #: where it stands, as the sink names it (Slack's `ts`); empty until sent
    receipt: str = ""
    #: receipt of the root in whose thread it belongs; empty for a root
    thread: str = ""
    error: str = ""
    #: why it is held, a `HoldReason`; empty if it never was
    reason: str = ""
    #: what it is held by, in words; may be empty
    because: str = ""
    #: why its root does not stand in the channel by itself; None: it does, or will, or never will
    root_hold: Hold | None = None
    #: the delivery whose message tells this one. A queued one that has it is to go alone: that message was refused
    carrier: str = ""
    #: other alerts that its message tells as well, or is to tell; known where it is next to be sent
    batch: tuple[Alert, ...] = ()
    #: how far its message was degraded, since it was refused as it was (`render.degraded`)
    rung: int = 0
    #: how often it was sent again though nobody could look whether it stands in the channel
    repeats: int = 0
    #: of an edit, known where it is next to be sent
    growth: Growth | None = None


# -- what was sent, read back ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reaction:
    """A person's emoji under a message."""

    #: as Slack calls it, without colons and skin tone: `+1`
    name: str
    user: str


#: So much of an item's id names it among those of one channel, where there is no room for more.
SHORT_ID = 8


@dataclass(frozen=True, slots=True)
class Posted:
    """A message as it stands in a channel."""

    channel: str
    #: where it stands, as the sink names it (Slack's `ts`); in one channel later ones are greater
    receipt: str
    #: receipt of the message in whose thread it stands; empty for one that stands by itself
    thread: str = ""
    #: we wrote it
    ours: bool = False
    #: what it says of itself, if it is a delivery's: the delivery, its kind, the alerts that it tells, and their items, its
    #: own first; the last of very many items by `SHORT_ID` of their ids
    delivery: str = ""
    kind: str = ""
    tells: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    #: the beginning of what it says
    text: str = ""
    reactions: tuple[Reaction, ...] = ()
    #: receipt of the latest reply in its thread; empty if it has none
    latest_reply: str = ""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the outbox says of a delivery, as far as a channel can be compared with it."""

    id: str
    state: DeliveryState
    #: empty until sent
    receipt: str = ""
    #: receipt of its root; empty for what stands by itself
    thread: str = ""
    #: when it was last tried; None: never
    sending_at: datetime | None = None
    #: since when nothing has kept a queued one from being sent; None: something does, or it is not queued
    free_since: datetime | None = None


class FeedbackKind(enum.StrEnum):
    """What a person's reaction, or a button that they pressed, says of an alert."""

    USEFUL = "useful"
    WRONG = "wrong"
    MUTE = "mute"  # no more of this story in this channel
    MORE = "more"  # show its follow-ups in the channel


@dataclass(frozen=True, slots=True)
class Feedback:
    """What one person said of one alert."""

    alert: str
    kind: FeedbackKind
    user: str
    #: when we first saw it
    at: datetime
    #: so many alerts were told by the message that it was said of; 1: this one is meant
    among: int = 1


class LabelOrigin(enum.StrEnum):
    """Who says that an item is on a topic's subject, or not."""

    TEST = "tests"  # the topic's author, in its file
    FEEDBACK = "feedback"  # people's reactions to alerts
    LABEL = "labels"  # a person who was asked: `rules calibrate --label`


@dataclass(frozen=True, slots=True)
class Label:
    """What somebody says of an item and a topic."""

    topic: str
    item: Item
    #: it is on the topic's subject
    on: bool
    origin: LabelOrigin


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """What says whether the work is done, at one moment: little to read, however long the monitor has been at work."""

    feeds: Sequence[FeedState]
    #: deliveries, by state
    outbox: Mapping[str, int]
    blockages: Sequence[Blockage]
    #: our own network's
    outage: bool
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers(Vitals):
    """How much there is of everything."""

    stories: int
    #: items, by verdict
    verdicts: Mapping[str, int]
    #: deliveries that are held, by reason
    held: Mapping[str, int]
    #: the latest; None: there was none
    canary: Flight | None
    #: None: there never was one, or the monitor is not at work
    link: Link | None


@dataclass(frozen=True, slots=True)
class Press:
    """A button that a person pressed, under a message of ours or in our answer to an earlier press."""

    #: the button's own name, and what it is about
    action: str
    value: str
    user: str
    channel: str
    #: receipt of the root in whose thread it stands; empty in the channel itself
    thread: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """The connection through which Slack tells of presses, as it last began or ended."""

    since: datetime
    #: why there is none; empty while there is one
    problem: str = ""

    def __str__(self) -> str:
        since = f"since {self.since:%Y-%m-%d %H:%M} UTC"
        return f"not connected {since}: {self.problem}" if self.problem else f"connected {since}"


@dataclass(frozen=True, slots=True)
class Flight:
    """A canary, and how it fared."""

    id: str
    began: datetime
    #: when it was read back; None: not yet, or never
    arrived: datetime | None = None
    #: why it will not arrive; empty while it may, and once it has
    failed: str = ""

    @property
    def is_over(self) -> bool:
        return self.arrived is not None or bool(self.failed)

    def __str__(self) -> str:
        if self.failed:
            return f"failed on {self.began:%Y-%m-%d at %H:%M} UTC: {self.failed}"
        if self.arrived is None:
            return f"on its way since {self.began:%H:%M} UTC"
        seconds = (self.arrived - self.began).total_seconds()
        return f"arrived on {self.began:%Y-%m-%d at %H:%M} UTC, after {seconds:.0f} s"


@dataclass(frozen=True, slots=True)
class Explained:
    """What is remembered of one item."""

    item: Item
    matches: tuple[Match, ...]
    placement: Placement
    story: Story
    verdict: Verdict
    because: str
    deliveries: tuple[Delivery, ...]
    #: a person put it in its story
    by_hand: bool = False
