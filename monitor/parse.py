"""Turn a document into items. Pure; `decode` gives its text, and `syntax` what the publisher wrote in it.

Takes the bytes a server sent, gives what the publisher said, cleaned. Invents nothing: what cannot be read right
(a date without a zone, an item that says nothing) is left out.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from urllib.parse import urljoin, urlsplit

from monitor.dates import parse_date
from monitor.decode import decode
from monitor.model import Document, Hints, Identity, Item, PublisherRules
from monitor.syntax import RawItem, read
from monitor.text import (
    canonical_link,
    clip,
    fold,
    is_web,
    item_id,
    language_code,
    link_identity,
    page_path,
    plain,
    sentences,
    text_hash,
)

#: Real news feeds carry 9 to 300 items, the largest of 200 saved ones 1,046; so many are read in two seconds.
MAX_ITEMS = 10_000
#: Characters. The engine reads a few hundred; the rest is for people.
MAX_TEXT = 5_000

USUAL = PublisherRules()
NOTHING_KNOWN: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ParsedFeed:
    """What one document says."""

    #: in document order, each identity once
    items: tuple[Item, ...]
    #: plain text; empty if none
    title: str
    #: ISO 639-1; empty if the document does not say
    language: str
    #: what was wrong with it and mended, for logs and `feeds check`
    warnings: tuple[str, ...] = ()
    hints: Hints = field(default_factory=Hints)


def parse(
    document: Document, first_seen: datetime, rules: PublisherRules = USUAL, known: Mapping[str, str] = NOTHING_KNOWN
) -> ParsedFeed:
    """Give the items of a document, each with `first_seen`; damaged documents give what can be read of them.

    An item is what the publisher identifies: by guid, else by link, else by title and date; or as its publisher's `rules`
    say. Where one document uses an identity for several items, link and title tell them apart.

    known: contents of items by id. One that says nothing else is given without its text: making that is half the work.

    Raises:
        ParseError: no feed at all (`html`, `empty`, `not a feed`), or the parser broke on it (`crash`).
    """
    text, encoding_warnings = decode(document.body, document.headers, document.feed.language)
    raw = read(text)
    feed_language = language_code(raw.language)
    items, warnings = _items(document, raw.items, feed_language or document.feed.language, first_seen, rules, known)
    return ParsedFeed(items, plain(raw.title), feed_language, (*encoding_warnings, *raw.warnings, *warnings), raw.hints)


# -- what the publisher wrote to items ------------------------------------------------------------


def _items(
    document: Document,
    raws: Sequence[RawItem],
    language: str,
    first_seen: datetime,
    rules: PublisherRules,
    known: Mapping[str, str],
) -> tuple[tuple[Item, ...], list[str]]:
    warnings = []
    if len(raws) > MAX_ITEMS:
        warnings.append(f"{len(raws) - MAX_ITEMS} items beyond the first {MAX_ITEMS} skipped")
        raws = raws[:MAX_ITEMS]
    drafts = [(raw, item) for raw in raws if (item := _draft(document, raw, language, first_seen, rules))]
    if untitled := len(raws) - len(drafts):
        warnings.append(f"{untitled} items without title or text skipped")
    news = [(raw, item) for raw, item in drafts if not any(p.search(item.title) for p in rules.machine_titles)]
    if dropped := len(drafts) - len(news):
        warnings.append(f"{dropped} items that a machine wrote skipped")
    items: dict[str, Item] = {}
    for (raw, item), identity in zip(news, _identities(news, rules), strict=True):
        key = item_id(document.feed.url, identity)
        if key not in items:
            items[key] = _finished(item, raw, key, known)
    if repeated := len(news) - len(items):
        warnings.append(f"{repeated} repeated items skipped")
    return _with_keys(list(items.values())), warnings


def _draft(document: Document, raw: RawItem, language: str, first_seen: datetime, rules: PublisherRules) -> Item | None:
    """Give the item, its id, text and content still empty; None if it says nothing."""
    title = plain(raw.title) or next(iter(sentences(_text(raw.texts))), "")
    if not title:
        return None
    link = raw.link or (raw.guid if is_web(raw.guid) else "")
    link = _absolute(document.url or document.feed.url, link)
    published, published_raw = _published(raw.dates, rules, first_seen)
    return Item(
        id="",
        feed=document.feed,
        title=title,
        text="",
        link=link,
        canonical_link=canonical_link(link, drop=rules.drop_parameters),
        language=language_code(raw.language) or language,
        published=published,
        first_seen=first_seen,
        published_raw=published_raw,
    )


def _finished(item: Item, raw: RawItem, key: str, known: Mapping[str, str]) -> Item:
    content = text_hash("\n".join((raw.title, *raw.texts)))
    text = "" if known.get(key) == content else _text(raw.texts)
    return replace(item, id=key, content=content, text=text)


def _text(texts: Sequence[str]) -> str:
    """Give the item's text, plain: the longest of what the publisher wrote, as a rule the whole of what others begin."""
    best = ""
    for html in sorted(texts, key=len, reverse=True):
        best = max(best, plain(html[:_MAX_HTML]), key=len)
        # a long one may be pictures only; one that says this much is read no further
        if len(best) >= _ENOUGH:
            break
    return clip(best, MAX_TEXT)


#: Characters of HTML that are read for MAX_TEXT of text.
_MAX_HTML = 8 * MAX_TEXT
_ENOUGH = 200


def _published(dates: Sequence[str], rules: PublisherRules, first_seen: datetime) -> tuple[datetime | None, str]:
    """Give the best of an item's dates, and what it was read from: the first that is not in the future, else the first."""
    read_dates = [(when, date) for date in dates if (when := parse_date(date, rules.zones))]
    past = [found for found in read_dates if found[0] <= first_seen + _CLOCK_SKEW]
    return next(iter([*past, *read_dates]), (None, next(filter(None, dates), "")))


#: Publishers' clocks run ahead by so much; `Item.at` never takes a time later than we saw the item.
_CLOCK_SKEW = timedelta(minutes=10)


def _absolute(base: str, link: str) -> str:
    """Resolve a link against the document's URL; empty unless the result can be opened in a browser."""
    try:
        url = urljoin(base, re.sub(r"[\x00-\x20\x7f]", "", link)) if link else ""
        return url if is_web(url) and urlsplit(url).hostname else ""
    except ValueError:
        return ""


# -- identities -----------------------------------------------------------------------------------


def _identities(drafts: Sequence[tuple[RawItem, Item]], rules: PublisherRules) -> Iterator[str]:
    """Give what the publisher knows each item by; equal for what this document repeats."""
    names = [_name(raw, item, rules) for raw, item in drafts]
    details: dict[str, set[str]] = defaultdict(set)
    for name, detail in names:
        details[name].add(detail)
    for name, detail in names:
        # Only where it must: an identity that depends on its neighbours changes when they leave the document.
        yield name if len(details[name]) == 1 else f"{name}\n{detail}"


def _name(raw: RawItem, item: Item, rules: PublisherRules) -> tuple[str, str]:
    """Give an item's identity, and what tells it from others that bear the same in one document."""
    link, title = item.canonical_link, item.title
    guid = _comparable_guid(raw.guid, rules)
    if rules.identity is Identity.TITLE:
        return fold(title), ""
    if rules.identity is Identity.TITLE_AND_DAY:
        return fold(title) + (f"\n{item.published:%Y-%m-%d}" if item.published else ""), ""
    if guid and rules.identity is Identity.GUID:
        # A guid that is a page's address repeats because the page was revised; "N/A" or a home page names nothing.
        return guid, link if is_web(guid) and page_path(guid) else f"{link}\n{title}"
    if link:
        return link, title
    return f"{title}\n{next(filter(None, raw.dates), '')}", ""


def _comparable_guid(guid: str, rules: PublisherRules) -> str:
    """Give the guid without what changes from poll to poll; empty if it names nothing."""
    if rules.guid_ignore and rules.guid_ignore.search(guid):
        return ""
    if rules.guid_drop:
        guid = rules.guid_drop.sub("", guid)
    return canonical_link(guid, keep_fragment=True, drop=rules.drop_parameters) if is_web(guid) else guid


def _with_keys(items: Sequence[Item]) -> tuple[Item, ...]:
    """Give the items with the other identities by which they can be known again (`recognise`), each the document's only
    one: what several items share names none of them."""
    keys = [[item_id(item.feed.url, key) for key in _other_names(item)] for item in items]
    counts = Counter(key for of_item in keys for key in set(of_item))
    return tuple(
        replace(item, keys=tuple(dict.fromkeys(key for key in of_item if counts[key] == 1 and key != item.id)))
        for item, of_item in zip(items, keys, strict=True)
    )


def _other_names(item: Item) -> Iterator[str]:
    title, path = fold(item.title), page_path(item.canonical_link)
    # a home page is every item's link on some feeds; "/?p=123" is no home page
    if path or "?" in item.canonical_link:
        yield link_identity(item.canonical_link)
    if path:
        yield f"path\n{path}\n{title}"
    if item.published:
        yield f"time\n{item.published.isoformat()}\n{title}"
    elif not path:
        yield f"title\n{title}"
