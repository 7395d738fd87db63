"""Say what a feed is like, for whoever thinks of putting it on the list: what it has, what it lacks, what will go wrong.

Pure: takes the documents of two polls, gives findings, the worst first word by word for people and programs.
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
from monitor.language import identify
from monitor.model import Document, Identity, Item, NotModified, PublisherRules
from monitor.parse import ParsedFeed
from monitor.schedule import asked_pause
from monitor.syntax import RawItem, read
from monitor.text import language_code


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
#: Titles from which the language is told.
_TITLES = 20


def examine(document: Document, parsed: ParsedFeed, rules: PublisherRules, now: datetime) -> list[Finding]:
    """Say what one document is like; worst first."""
    text, _ = decode(document.body, document.headers, document.feed.language)
    raws = read(text).items
    findings = [
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
    return sorted(findings, key=lambda finding: list(Level).index(finding.level))


def _size(document: Document, parsed: ParsedFeed) -> Iterator[Finding]:
    size = f"{len(parsed.items)} items in {len(document.body) / 1024:,.0f} KB"
    if not parsed.items:
        yield Finding(Level.WARNING, "document", f"a feed without items, {len(document.body):,} bytes")
    else:
        yield Finding(Level.NOTE, "document", f"“{parsed.title or 'no title'}”, {size}")


def _moved(document: Document) -> Iterator[Finding]:
    if document.moved_to and document.moved_to != document.feed.url:
        yield Finding(Level.WARNING, "address", f"moved for good to {document.moved_to}: put that on the list")
    elif document.url != document.feed.url:
        yield Finding(Level.NOTE, "address", f"answered by {document.url}, for now")


def _identity(raws: Sequence[RawItem], rules: PublisherRules) -> Iterator[Finding]:
    if not raws:
        return
    guids = [raw.guid for raw in raws if raw.guid]
    if rules.identity is not Identity.GUID or rules.guid_ignore:
        yield Finding(Level.NOTE, "identity", f"by {rules.identity}, as its publisher's rules say")
    elif not guids:
        yield Finding(Level.NOTE, "identity", "no guid: an item is known by its link, else by title and date")
    elif len(guids) < len(raws):
        yield Finding(Level.WARNING, "identity", f"{len(raws) - len(guids)} of {len(raws)} items have no guid")
    else:
        yield Finding(Level.NOTE, "identity", f"by guid, such as {guids[0]}")
    if repeated := sum(count - 1 for count in Counter(guids).values() if count > 1):
        yield Finding(
            Level.WARNING, "identity", f"{repeated} guids are repeated: link and title tell their items apart"
        )


def _dates(items: Sequence[Item], now: datetime) -> Iterator[Finding]:
    if not items:
        return
    unread = [item.published_raw for item in items if item.published is None and item.published_raw]
    undated = [item for item in items if item.published is None and not item.published_raw]
    if unread:
        fix = "if it names no zone, or one of several meanings, say in publishers.toml which is meant"
        yield Finding(
            Level.WARNING, "dates", f"{len(unread)} of {len(items)} cannot be read, such as “{unread[0]}”; {fix}"
        )
    if undated:
        level = Level.WARNING if len(undated) > _MANY * len(items) else Level.NOTE
        yield Finding(
            level, "dates", f"{len(undated)} of {len(items)} items have none: the time we first see them stands in"
        )
    future = [item for item in items if item.published and item.published > now + timedelta(minutes=10)]
    if future:
        sample = future[0].published_raw
        yield Finding(Level.WARNING, "dates", f"{len(future)} are in the future, such as “{sample}”: a wrong zone?")
    read_dates = [item for item in items if item.published and item not in future]
    if read_dates:
        first = read_dates[0]
        yield Finding(Level.NOTE, "dates", f"“{first.published_raw}” is read as {first.published:%Y-%m-%d %H:%M} UTC")


def _rhythm(items: Sequence[Item], now: datetime) -> Iterator[Finding]:
    times = sorted(item.published for item in items if item.published)
    if not times:
        return
    if now - times[-1] > _OLD:
        yield Finding(Level.WARNING, "rhythm", f"its newest item is {_span(now - times[-1])} old")
    if len(times) > 2:
        gap = median((later - earlier).total_seconds() for earlier, later in pairwise(times))
        covers = times[-1] - times[0]
        says = f"an item every {_span(timedelta(seconds=gap))}; the document reaches back {_span(covers)}"
        # polls this far apart would miss items
        yield Finding(Level.WARNING if covers < timedelta(hours=1) else Level.NOTE, "rhythm", says)


def _language(parsed: ParsedFeed) -> Iterator[Finding]:
    if not parsed.items:
        return
    found = Counter(identify(f"{item.title}\n{item.text[:300]}") for item in parsed.items[:_TITLES])
    found.pop("", None)
    if not found:
        return
    language, count = found.most_common(1)[0]
    declared = language_code(parsed.language)
    if not declared:
        yield Finding(Level.NOTE, "language", f"declares none; most of it reads like {language}")
    elif declared != language and count > _TITLES / 4:
        yield Finding(Level.WARNING, "language", f"declares {declared}, reads like {language}: the items' own is used")
    else:
        yield Finding(Level.NOTE, "language", declared)


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
        yield Finding(Level.NOTE, "asking", f"pushes through {parsed.hints.hub} (WebSub)")


def compare(
    first: Document, before: ParsedFeed, second: Document | NotModified, after: ParsedFeed | None
) -> list[Finding]:
    """Say what two polls, one soon after the other, disagree on; `after` is None if the second brought no document."""
    if isinstance(second, NotModified) or after is None:
        return [Finding(Level.NOTE, "second poll", "nothing changed, and the server said so")]
    findings = []
    if first.validators.etag and first.validators.etag == second.validators.etag:
        says = "the same ETag for another body: once a day the monitor asks without it"
        findings.append(Finding(Level.WARNING, "second poll", says))
    here, there = ({item.id: item for item in parsed.items} for parsed in (before, after))
    by_key = {key: item for item in before.items for key in item.keys}
    renamed = [item for item in after.items if item.id not in here and any(key in by_key for key in item.keys)]
    if renamed:
        sample = renamed[0].title
        says = f"{len(renamed)} items have another identity, such as “{sample}”: they are known again by link or title"
        findings.append(Finding(Level.WARNING, "second poll", says))
    changed = [item for item in after.items if item.id in here and here[item.id].title != item.title]
    if changed:
        says = f"{len(changed)} titles changed: “{here[changed[0].id].title}” is now “{changed[0].title}”"
        findings.append(Finding(Level.NOTE, "second poll", says))
    new = len(there.keys() - here.keys()) - len(renamed)
    gone = len(here.keys() - there.keys()) - len(renamed)
    if new or gone:
        findings.append(Finding(Level.NOTE, "second poll", f"{new} items new, {gone} gone"))
    return findings or [Finding(Level.NOTE, "second poll", "the same items in another document")]


def _span(span: timedelta) -> str:
    minutes = span / timedelta(minutes=1)
    if minutes < 90:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.0f} h" if minutes < 48 * 60 else f"{minutes / 1440:.0f} days"
