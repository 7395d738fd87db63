"""Say what a feed is like, for whoever thinks of putting it on the list: what it has, what it lacks, what will go wrong.

Pure: takes the documents of two polls, or why there are none, gives findings; the same for people and programs.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

from monitor.decode import decode
from monitor.errors import FetchError, ParseError
from monitor.language import identify
from monitor.model import Document, Identity, Item, PublisherRules
from monitor.parse import ParsedFeed
from monitor.schedule import asked_pause
from monitor.syntax import RawItem, read
from monitor.text import clip, language_code


class Level(enum.StrEnum):
    ERROR = "error"  # cannot be used as it is
    WARNING = "warning"  # will mislead, or hide news
    NOTE = "note"  # good to know


@dataclass(frozen=True, slots=True)
class Finding:
    level: Level
    #: what was looked at, one word or two
    about: str
    says: str


#: A share of undated items from which on it is more than an accident.
_MANY = 0.1
#: The newest item of a feed that is alive is younger.
_OLD = timedelta(days=30)
#: A busy feed's polls lie a few minutes apart, but for a failure or two.
_SHORT = timedelta(hours=1)
#: Items from which the language is told, and how many of them must agree against what the feed declares.
_READ, _AGREE = 20, 3
#: Titles and guids are shown so far.
_QUOTED = 80

#: What a person can do about a feed that gives no document, or one that is no feed; by cause.
_ADVICE = {
    "http 401": "its server asks for a key: headers in [[feed]]",
    "http 403": "its server refuses us: it may want a key (headers) or another user_agent, in [[feed]]",
    "http 404": "nothing stands at this address",
    "http 410": "gone for good, its server says",
    "http 429": "its server has enough of us; look again later",
    "bot wall": "its server lets browsers in alone: another user_agent in [[feed]] may do, or ask the publisher",
    "dns": "no such host, or no name service here",
    "tls": 'tls = "legacy" in [[feed]] takes servers too old for today',
    "html": "a page for people, not a feed",
    "empty": "its server answers, and says nothing",
}


def unfetched(error: FetchError) -> Finding:
    """Say why there is no document, and what may help."""
    return Finding(Level.ERROR, "fetching", _advised(error))


def unparsed(error: ParseError) -> Finding:
    """Say why a document is no feed, and what may help."""
    return Finding(Level.ERROR, "parsing", _advised(error))


def _advised(error: FetchError | ParseError) -> str:
    advice = _ADVICE.get(error.cause, "")
    return f"{error}: {advice}" if advice else str(error)


def worst_first(findings: Sequence[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda finding: list(Level).index(finding.level))


def examine(document: Document, parsed: ParsedFeed, rules: PublisherRules, now: datetime) -> list[Finding]:
    """Say what one document is like."""
    text, _ = decode(document.body, document.headers, document.feed.language)
    raws = read(text).items
    return [
        *_size(document, parsed),
        *(Finding(Level.WARNING, "document", warning) for warning in parsed.warnings),
        *_moved(document),
        *_identity(raws, rules),
        *_dates(parsed.items, now),
        *_rhythm(parsed.items, now),
        *_language(parsed),
        *_links(parsed.items),
        *_asking(document, parsed),
    ]


def _size(document: Document, parsed: ParsedFeed) -> Iterator[Finding]:
    if not parsed.items:
        yield Finding(Level.WARNING, "document", f"a feed without items, {len(document.body):,} bytes")
    else:
        name = _quote(parsed.title) if parsed.title else "no title"
        yield Finding(
            Level.NOTE, "document", f"{name}, {len(parsed.items)} items in {len(document.body) / 1024:,.0f} KB"
        )


def _moved(document: Document) -> Iterator[Finding]:
    if document.moved_to and document.moved_to != document.feed.url:
        yield Finding(Level.WARNING, "address", f"moved for good to {document.moved_to}: put that on the list")
    elif document.url != document.feed.url:
        yield Finding(Level.NOTE, "address", f"answered by {document.url}, for now")


def _identity(raws: Sequence[RawItem], rules: PublisherRules) -> Iterator[Finding]:
    if not raws:
        return
    guids = [raw.guid for raw in raws if raw.guid]
    if rules.identity is not Identity.GUID or rules.guid_ignore or rules.guid_drop:
        yield Finding(
            Level.NOTE, "identity", f"by {rules.identity}, as its publisher's rules (publishers.toml) have it"
        )
    elif not guids:
        yield Finding(Level.NOTE, "identity", "no guid: an item is known by its link, else by title and date")
    elif len(guids) < len(raws):
        says = f"{len(raws) - len(guids)} of {len(raws)} items have no guid: their links, or titles and dates, stand in"
        yield Finding(Level.WARNING, "identity", says)
    else:
        yield Finding(Level.NOTE, "identity", f"by guid, such as {_quote(guids[0])}")
    shared = Counter({guid: count for guid, count in Counter(guids).items() if count > 1})
    if shared and rules.identity is Identity.GUID:
        says = f"{shared.total()} items share their guid, such as {_quote(next(iter(shared)))}"
        yield Finding(Level.WARNING, "identity", f"{says}: links and titles tell them apart")


def _dates(items: Sequence[Item], now: datetime) -> Iterator[Finding]:
    if not items:
        return
    unread = [item.published_raw for item in items if item.published is None and item.published_raw]
    undated = [item for item in items if item.published is None and not item.published_raw]
    if unread:
        fix = "if it names no zone, or one of several meanings, say in publishers.toml which is meant"
        says = f"{len(unread)} of {len(items)} cannot be read, such as {_quote(unread[0])}; {fix}"
        yield Finding(Level.WARNING, "dates", says)
    if undated:
        level = Level.WARNING if len(undated) > _MANY * len(items) else Level.NOTE
        yield Finding(
            level,
            "dates",
            f"{len(undated)} of {len(items)} items have none: the time when they are first seen stands in",
        )
    future = [item for item in items if item.published and item.published > now + timedelta(minutes=10)]
    if future:
        says = (
            f"{len(future)} of {len(items)} are in the future, such as {_quote(future[0].published_raw)}: a wrong zone?"
        )
        yield Finding(Level.WARNING, "dates", f"{says} The time when they are first seen stands in")
    read_dates = [item for item in items if item.published and item not in future]
    if read_dates:
        first = read_dates[0]
        says = f"{_quote(first.published_raw)} is read as {first.published:%Y-%m-%d %H:%M} UTC"
        yield Finding(Level.NOTE, "dates", says)


def _rhythm(items: Sequence[Item], now: datetime) -> Iterator[Finding]:
    times = sorted(item.published for item in items if item.published and item.published <= now)
    if not times:
        return
    if now - times[-1] > _OLD:
        yield Finding(Level.WARNING, "rhythm", f"its newest item is {_span(now - times[-1])} old")
    covers = times[-1] - times[0]
    if len(times) > 2 and covers:
        gap = median((later - earlier).total_seconds() for earlier, later in pairwise(times))
        says = f"an item every {_span(timedelta(seconds=gap))}; the document reaches back {_span(covers)}"
        if covers < _SHORT:
            yield Finding(Level.WARNING, "rhythm", f"{says}: polls further apart miss items ([[feed]] interval)")
        else:
            yield Finding(Level.NOTE, "rhythm", says)


def _language(parsed: ParsedFeed) -> Iterator[Finding]:
    if not parsed.items:
        return
    found = Counter(identify(f"{item.title}\n{item.text[:300]}") for item in parsed.items[:_READ])
    found.pop("", None)
    language, count = next(iter(found.most_common(1)), ("", 0))
    declared = language_code(parsed.language)
    if not declared:
        yield Finding(Level.NOTE, "language", f"declares none; most of it reads like {language or 'none we know'}")
    elif declared != language and count >= _AGREE and count > found.total() / 2:
        says = f"declares {declared}, but reads like {language}: the words of each item decide"
        yield Finding(Level.WARNING, "language", says)
    else:
        yield Finding(
            Level.NOTE, "language", f"declares {declared}" + (", and reads so" if declared == language else "")
        )


def _links(items: Sequence[Item]) -> Iterator[Finding]:
    if bare := sum(not item.link for item in items):
        yield Finding(Level.WARNING, "links", f"{bare} of {len(items)} items have none")
    links = Counter(item.canonical_link for item in items if item.link)
    if repeated := sum(count for count in links.values() if count > 1):
        yield Finding(Level.NOTE, "links", f"{repeated} items share their link with another")


def _asking(document: Document, parsed: ParsedFeed) -> Iterator[Finding]:
    given = [name for name in ("etag", "last-modified") if document.headers.get(name)]
    if not given:
        yield Finding(Level.NOTE, "asking", "no ETag and no Last-Modified: every poll gets the whole document")
    if pause := asked_pause(document.headers, parsed.hints):
        yield Finding(Level.NOTE, "asking", f"its server wishes {_span(pause)} between two polls")
    if parsed.hints.hub:
        yield Finding(Level.NOTE, "asking", f"pushes through {parsed.hints.hub} where websub.callback is set")


def compare(first: Document, before: ParsedFeed, second: Document, after: ParsedFeed) -> list[Finding]:
    """Say what two polls disagree on, one soon after the other, whose documents are not the same."""
    here, there = ({item.id: item for item in parsed.items} for parsed in (before, after))
    new = [item for key, item in there.items() if key not in here]
    gone = [item for key, item in here.items() if key not in there]
    changed = [item for key, item in there.items() if key in here and here[key].title != item.title]
    known_by = {key: item for item in gone for key in item.keys}
    renamed = {item.id: old for item in new if (old := next((known_by[k] for k in item.keys if k in known_by), None))}
    findings = [*_liars(first, second)] if new or gone or changed else []
    if renamed:
        old, now = next((old, there[key]) for key, old in renamed.items())
        findings.append(Finding(Level.WARNING, "second poll", _renamed(len(renamed), old, now)))
    arrived, left = len(new) - len(renamed), len(gone) - len({old.id for old in renamed.values()})
    if before.items and arrived and arrived == len(after.items):
        says = "not one item of the first is in it, and nothing tells them again: every poll would be news"
        findings.append(Finding(Level.WARNING, "second poll", says))
    elif arrived or left:
        findings.append(Finding(Level.NOTE, "second poll", f"{arrived} items new, {left} gone"))
    if changed:
        says = f"{len(changed)} titles changed: {_quote(here[changed[0].id].title)} is now {_quote(changed[0].title)}"
        findings.append(Finding(Level.NOTE, "second poll", says))
    return findings or [Finding(Level.NOTE, "second poll", "the same items in another document")]


def _liars(first: Document, second: Document) -> Iterator[Finding]:
    """Validators that stayed while the items did not; of the two a server goes by the ETag (RFC 9110, section 13.2.2)."""
    name, one, two = "ETag", first.validators.etag, second.validators.etag
    if not one:
        name, one, two = "Last-Modified", first.validators.last_modified, second.validators.last_modified
    if one and one == two:
        says = f"the same {name} for other items: news may hide for a day, until a poll does without it"
        yield Finding(Level.WARNING, "second poll", says)


def _renamed(count: int, old: Item, new: Item) -> str:
    says = f"{count} items have another identity, such as {_quote(new.title)}: link, or title and time, tell them again"
    if old.canonical_link and old.canonical_link == new.canonical_link:
        return f'{says}; identity = "link" in publishers.toml is safer'
    return says


def _quote(text: str) -> str:
    return f"“{clip(text, _QUOTED)}”"


def _span(span: timedelta) -> str:
    minutes = span / timedelta(minutes=1)
    if minutes < 90:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.0f} h" if minutes < 48 * 60 else f"{minutes / 1440:.0f} days"
