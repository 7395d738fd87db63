"""Make model objects for tests: sane defaults, any field by keyword. Nothing here is random and no clock is read.

For example `make.item(title="Troops seen near Kursk", feed=make.feed(kind="state media"))`.
"""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from monitor.model import (
    Alert,
    AlertKind,
    Decision,
    Delivery,
    DeliveryState,
    EmbeddedItem,
    Feed,
    Item,
    Match,
    MatchOutcome,
    Message,
    Placement,
    Polled,
    Record,
    Relation,
    Rhythm,
    Severity,
    Story,
    Topic,
    Validators,
    Vector,
    Verdict,
    Version,
    Voice,
)
from monitor.words import WordWeights

#: a Tuesday
NOW = datetime(2024, 10, 29, 14, 30, tzinfo=UTC)
CHANNEL = "C0NEWS"


def feed(**fields: Any) -> Feed:
    defaults = {
        "url": "https://harbourwire.example/feed.xml",
        "title": "Harbour Wire",
        "kind": "wire",
        "country": "United Kingdom",
        "language": "en",
        "site": "https://harbourwire.example/",
    }
    return Feed(**(defaults | fields))


def item(**fields: Any) -> Item:
    """An item published ten minutes ago and seen six minutes later; its id follows from feed, title and link."""
    defaults = {
        "feed": feed(),
        "title": "North Korean troops seen near Kursk, Seoul says",
        "text": "South Korea's intelligence service told lawmakers that 3,000 soldiers had been moved west.",
        "link": "https://harbourwire.example/2024/10/29/troops",
        "published": NOW - timedelta(minutes=10),
        "first_seen": NOW - timedelta(minutes=4),
    }
    values = defaults | fields
    values.setdefault("canonical_link", values["link"])
    values.setdefault("language", values["feed"].language)
    identity = f"{values['feed'].url}\n{values['title']}\n{values['link']}"
    values.setdefault("content", content(values["title"], values["text"]))
    values.setdefault("id", hashlib.sha256(identity.encode("utf-8", "replace")).hexdigest()[:16])
    return Item(**values)


def content(title: str, text: str) -> str:
    """What `parse` gives for an item whose publisher wrote this."""
    return hashlib.sha256(f"{title}\n{text}".encode("utf-8", "replace")).hexdigest()[:16]


def topic(**fields: Any) -> Topic:
    defaults = {
        "id": "dprk-troops",
        "title": "North Korean troops in Russia",
        "description": "North Korea sends soldiers to fight for Russia against Ukraine.",
        "examples": ("North Korean soldiers arrive in Russia for training",),
        "severity": Severity.HIGH,
    }
    return Topic(**(defaults | fields))


def match(**fields: Any) -> Match:
    """A match that was taken: 10**4.1 is 1 in 12,589."""
    defaults = {
        "topic": "dprk-troops",
        "score": 4.1,
        "bar": 3.3,
        "outcome": MatchOutcome.MATCHED,
        "nearest": "North Korean soldiers arrive in Russia for training",
        "terms": ("troops",),
    }
    return Match(**(defaults | fields))


def alert(**fields: Any) -> Alert:
    """A root alert for one topic; its id follows from channel, story and item."""
    defaults = {
        "kind": AlertKind.ROOT,
        "channel": CHANNEL,
        "story": "story-1",
        "story_title": "North Korean troops seen near Kursk, Seoul says",
        "item": item(),
        "matches": (match(),),
        "titles": {"dprk-troops": "North Korean troops in Russia"},
        "severity": Severity.HIGH,
        "created": NOW,
    }
    values = defaults | fields
    values.setdefault("sources", (values["item"].source,))
    identity = f"{values['channel']}|{values['story']}|{values['item'].id}"
    values.setdefault("id", str(uuid.uuid5(uuid.NAMESPACE_URL, identity)))
    return Alert(**values)


def message(**fields: Any) -> Message:
    section = {"type": "section", "text": {"type": "plain_text", "text": "Troops seen near Kursk"}}
    defaults = {
        "text": "HIGH: Troops seen near Kursk",
        "blocks": (section,),
        "terminal": "● HIGH  North Korean troops in Russia\n  Troops seen near Kursk",
    }
    return Message(**(defaults | fields))


def delivery(**fields: Any) -> Delivery:
    """A delivery as a sink gets it: claimed, and at its first try."""
    defaults = {
        "alert": alert(),
        "state": DeliveryState.SENDING,
        "attempt": 1,
        "sending_at": NOW,
        "message": message(),
    }
    return Delivery(**(defaults | fields))


def record(**fields: Any) -> Record:
    """An item that opened a story and came to no alert; `item` and `vector` may be given, the rest follows from them."""
    told = fields.pop("item", None) or item()
    vector = fields.pop("vector", np.array([0.6, 0.8], dtype=np.float32))
    defaults = {
        "embedded": EmbeddedItem(told, vector),
        "text_hash": f"hash of {told.id}",
        "matches": (),
        "placement": Placement(told.id, Relation.ROOT, because="nothing is open"),
        "decision": Decision(Verdict.NO_MATCH, "there are no topics"),
    }
    return Record(**(defaults | fields))


def alert_record(**fields: Any) -> Record:
    """A record of one alert, whose fields may be given; the item's story is the alert's."""
    told = alert(**fields)
    verdict = Verdict.ALERT if told.kind is AlertKind.ROOT else Verdict.REPLY
    return record(
        item=told.item,
        matches=told.matches,
        placement=Placement(told.story, Relation(told.kind.value.replace("reply", "update"))),
        decision=Decision(verdict, "news to its channel", (told,)),
    )


def polled(**fields: Any) -> Polled:
    """A poll that was answered at `at`, to be followed by the next ten minutes later."""
    at = fields.get("at", NOW)
    pause = timedelta(minutes=10)
    defaults = {
        "feed": feed(),
        "at": at,
        "next_poll": at + pause,
        "pause": pause,
        "validators": Validators(),
        "moved_to": "",
        "full": False,
        "rhythm": Rhythm(),
    }
    return Polled(**(defaults | fields))


def version(**fields: Any) -> Version:
    """What we know of `item()`, unless fields say otherwise."""
    known = item()
    defaults = {
        "item_id": known.id,
        "title": known.title,
        "text": known.text,
        "canonical_link": known.canonical_link,
        "published": known.published,
        "revision": 0,
        "verdict": Verdict.NO_MATCH,
    }
    return Version(**(defaults | fields))


def voice(source: str, **fields: Any) -> Voice:
    defaults = {"source": source, "kind": "", "country": "", "first": NOW - timedelta(minutes=10), "own": True}
    return Voice(**(defaults | fields))


def story(**fields: Any) -> Story:
    defaults = {
        "id": "story-1",
        "title": "North Korean troops seen near Kursk, Seoul says",
        "opened": NOW - timedelta(minutes=10),
        "latest": NOW - timedelta(minutes=10),
        "items": 1,
        "voices": (voice("Harbour Wire"),),
        "languages": ("en",),
    }
    return Story(**(defaults | fields))


def rss(*articles: tuple[str, str], published: datetime = NOW, link: str = "") -> bytes:
    """An RSS document of (title, text), all published at one time; guid and link follow from the title."""
    items = "".join(
        f"<item><title>{escape(title)}</title><description>{escape(text)}</description>"
        f'<guid isPermaLink="false">{escape(title)}</guid><link>{link or _link(title)}</link>'
        f"<pubDate>{format_datetime(published)}</pubDate></item>"
        for title, text in articles
    )
    return f'<?xml version="1.0"?><rss version="2.0"><channel><title>Outlet</title>{items}</channel></rss>'.encode()


def _link(title: str) -> str:
    return f"https://outlet.example/{hashlib.sha256(title.encode()).hexdigest()[:8]}"


class PlainSpace:
    """A space in which items lie where their vectors say; one part, read by all, and all words are about equally rare."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self.bounds = [(0, dimension)]
        self.common = (0, dimension)
        self.word_weights = WordWeights([np.zeros(0, dtype=np.uint32)] * 1_000)

    def vector(self, embedded: EmbeddedItem) -> Vector:
        return embedded.vector
