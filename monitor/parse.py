"""Turn a document into items: RSS, Atom, JSON Feed. Pure, and the only home of feedparser.

Takes the bytes a server sent, gives what the publisher said, cleaned. Invents nothing: what cannot be read right
(a date without a zone, half an item) is left out. Never opens a URL or a path.
"""

from __future__ import annotations

import html
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import urljoin, urlsplit

import feedparser
from w3lib.encoding import http_content_type_encoding, read_bom, resolve_encoding

from monitor.errors import ParseError
from monitor.model import Document, Item
from monitor.text import canonical_link, clip, item_id, language_code, plain, sentences

#: Real news feeds carry 9 to 300 items; the largest of 200 saved ones 1,046.
MAX_ITEMS = 1_000
#: Characters. The engine reads a few hundred; the rest is for people.
MAX_TEXT = 5_000


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


@dataclass(frozen=True, slots=True)
class _Raw:
    """An item as the publisher wrote it; texts are HTML, everything may be empty."""

    guid: str
    link: str
    title: str
    texts: tuple[str, ...]
    #: best first
    dates: tuple[str, ...]
    language: str


@dataclass(frozen=True, slots=True)
class _RawFeed:
    title: str
    language: str
    items: Sequence[_Raw]
    warnings: tuple[str, ...] = ()


def parse(document: Document, first_seen: datetime) -> ParsedFeed:
    """Give the items of a document, each with `first_seen`; damaged documents give what can be read of them.

    An item is what the publisher identifies: by guid, else by link, else by title and date. Where one document uses an
    identity for several items, link and title tell them apart.

    Raises:
        ParseError: no feed at all (`html`, `empty`, `not a feed`), or the parser broke on it (`crash`).
    """
    text, encoding_warnings = _decode(document)
    if not text.strip():
        raise ParseError("empty")
    raw = _read_json(text) if text.lstrip().startswith("{") else _read_xml(text)
    feed_language = language_code(raw.language)
    items, warnings = _items(document, raw.items, feed_language or document.feed.language, first_seen)
    return ParsedFeed(items, plain(raw.title), feed_language, (*encoding_warnings, *raw.warnings, *warnings))


# -- bytes to text --------------------------------------------------------------------------------

_XML_ENCODING = re.compile(rb"""^\s*<\?xml[^>]*?\bencoding\s*=\s*["']([\w.:-]+)""")
#: Encodings of documents. Python has others (base64, punycode); and what claims to be wide was caught before, or is not.
_CHARSET = re.compile(
    r"utf-8|ascii|cp\d+|iso8859-\d+|koi8-\w+|kz1048|ptcp154|tis-620|mac-\w+|gb18030|hz|big5\w*|johab"
    r"|(?:euc|shift|iso2022)_\w+"
)
_LANGUAGE = re.compile(rb"""<(?:dc:)?language>\s*([\w-]+)|\bxml:lang\s*=\s*["']([\w-]+)""")
#: How a "<" begins in a wide encoding without a byte order mark.
_WIDE = {b"\x00\x00\x00<": "utf-32-be", b"<\x00\x00\x00": "utf-32-le", b"\x00<": "utf-16-be", b"<\x00": "utf-16-le"}
#: What an undeclared document in a language is written in if it is not UTF-8.
_LEGACY = {
    "ru": "cp1251",
    "uk": "cp1251",
    "be": "cp1251",
    "bg": "cp1251",
    "zh": "gb18030",
    "ko": "cp949",
    "ja": "cp932",
}
#: So many continuation bytes, all in their places, do not come about by chance in another encoding.
_CLEARLY_UTF8 = 8
#: Share of characters beyond ASCII that may be broken in a document whose encoding we take for right.
_TOLERABLE = 0.1


def _decode(document: Document) -> tuple[str, tuple[str, ...]]:
    """Decode the body ourselves, and say what was guessed or lost.

    feedparser answers a single bad UTF-8 byte, or a cut inside a character, by reading the whole document as
    iso-8859-2: silent mojibake in every title, and new ids for items without a guid.
    """
    body = document.body
    encoding, bom = read_bom(body)
    if encoding and bom:
        return body[len(bom) :].decode(encoding, "replace"), ()
    for start, wide in _WIDE.items():
        if body.startswith(start):
            return body.decode(wide, "replace"), ()
    declared = _declared(document)
    candidates = _candidates(document, declared)
    tries = ((_broken(text := body.decode(name, "replace"), body), name, text) for name in candidates)
    share, name, text = _first_tolerable(tries)
    warnings = []
    if name != "utf-8" and name not in declared and not body.isascii():
        warnings.append(f"encoding guessed: {name}")
    if share:
        warnings.append(f"bytes that are no {name} replaced")
    return text, tuple(warnings)


def _declared(document: Document) -> list[str]:
    """Give Python's names of the encodings that the XML declaration and the header name, in this order.

    RFC 7303 has it the other way round, for proxies that recode; there are more servers with a wrong default.
    """
    declaration = _XML_ENCODING.match(document.body)
    labels = (
        declaration and declaration[1].decode("ascii", "replace"),
        http_content_type_encoding(document.headers.get("content-type", "")),
    )
    names = [resolve_encoding(label) for label in labels if label]
    return [name for name in names if name and _CHARSET.fullmatch(name)]


def _candidates(document: Document, declared: list[str]) -> list[str]:
    body = document.body
    legacy = _LEGACY.get(document.feed.language or _language_in(body), "cp1252")
    if body.isascii():
        return [*declared, "utf-8"]  # iso-2022-jp is ASCII too
    if not declared or "utf-8" in declared or _is_clearly_utf8(body):
        # Seen often: declared windows-1251, really UTF-8.
        return list(dict.fromkeys(["utf-8", *declared, legacy]))
    return list(dict.fromkeys([*declared, "utf-8", legacy]))


def _language_in(body: bytes) -> str:
    found = _LANGUAGE.search(body, 0, 4_000)
    return language_code((found[1] or found[2]).decode("ascii", "replace")) if found else ""


def _is_clearly_utf8(body: bytes) -> bool:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return False
    return len(body) - len(text) >= _CLEARLY_UTF8


def _broken(text: str, body: bytes) -> float:
    """Give the share of the characters beyond ASCII that could not be decoded, 0 to 1."""
    lost = text.count("\ufffd")
    # A publisher's own U+FFFD is no damage of ours.
    if not lost or lost == body.count("\ufffd".encode()):
        return 0.0
    return lost / (len(text) - len(text.encode("ascii", "ignore")))


def _first_tolerable(tries: Iterable[tuple[float, str, str]]) -> tuple[float, str, str]:
    """Give the first try with tolerable damage, else the least damaged. At least one try is needed."""
    least: tuple[float, str, str] | None = None
    for one in tries:
        if one[0] <= _TOLERABLE:
            return one
        if least is None or one[0] < least[0]:
            least = one
    assert least is not None, "no candidates"  # noqa: S101 - UTF-8 is always one
    return least


# -- text to what the publisher wrote -------------------------------------------------------------

_HTML = re.compile(r"<(?:!doctype\s+)?html\b", re.IGNORECASE)
_ROOT_END = re.compile(r"</(?:\w+:)?(?:rss|feed|rdf|channel)\s*>", re.IGNORECASE)
_ITEM_TAG = re.compile(r"<(/?)(?:\w+:)?(?:item|entry)\b[^<>]*?(/?)>", re.IGNORECASE)


def _read_xml(text: str) -> _RawFeed:
    try:
        parsed = feedparser.parse(
            io.BytesIO(text.encode("utf-8", "replace")),
            response_headers={"content-type": "application/xml; charset=utf-8"},
            sanitize_html=False,
            resolve_relative_uris=False,
        )
    # It raises re.error, ValueError, KeyError, TypeError, AssertionError on documents seen in the wild (feedparser #599).
    except Exception as error:
        raise ParseError("crash", f"{type(error).__name__} in feedparser: {error}") from error
    # Not `bozo`: it is true of many good feeds, and false of an HTML page.
    if not parsed.get("version"):
        raise ParseError("html" if _HTML.search(text, 0, 2_000) else "not a feed")
    raws = [_raw_from_feedparser(found) for found in parsed.entries]
    warnings: tuple[str, ...] = ()
    if parsed.get("bozo"):
        warnings = ("not well-formed",)
        if not _ROOT_END.search(text, max(0, len(text) - 2_000)):
            warnings = ("truncated",)
            # Half an item has half a title, and often no guid yet: it would be told wrongly, and then again.
            if raws and _ends_inside_item(text):
                raws.pop()
    feed = parsed.feed
    return _RawFeed(_html(feed, "title"), _string(dict.get(feed, "language")), raws, warnings)


def _ends_inside_item(text: str) -> bool:
    last = None
    for last in _ITEM_TAG.finditer(text):  # noqa: B007 - the last one is what we want
        pass
    return last is not None and not last[1] and not last[2]


def _raw_from_feedparser(found: Any) -> _Raw:
    # `dict.get`, for feedparser's own answers with `published` when asked for a missing `updated`.
    guid, link = _string(dict.get(found, "id")), _string(dict.get(found, "link"))
    if not (dict.get(found, "links") or _is_web(link)):
        link = ""  # <guid>abc</guid>, and no <link>: feedparser gives "abc" for one
    language = dict.get(found, "language") or dict.get(dict.get(found, "title_detail") or {}, "language")
    return _Raw(
        guid=guid,
        link=link,
        title=_html(found, "title"),
        texts=(_html(found, "summary"), *(_as_html(content) for content in dict.get(found, "content") or ())),
        dates=tuple(_string(dict.get(found, name)) for name in ("published", "updated", "created")),
        language=_string(language),
    )


def _html(found: Any, name: str) -> str:
    return _as_html(dict.get(found, f"{name}_detail") or {"value": dict.get(found, name)})


def _as_html(detail: Mapping[str, Any]) -> str:
    text = _string(detail.get("value"))
    return html.escape(text, quote=False) if detail.get("type") == "text/plain" else text


def _read_json(text: str) -> _RawFeed:
    """Read JSON Feed 1 and 1.1, https://www.jsonfeed.org/version/1.1/."""
    try:
        feed = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ParseError("not a feed", f"JSON that cannot be read: {error}") from error
    if "jsonfeed.org/version/" not in _string(feed.get("version")):
        raise ParseError("not a feed", "JSON, but no JSON Feed")
    found = feed.get("items")
    raws = [_raw_from_json(item) for item in found if isinstance(item, dict)] if isinstance(found, list) else []
    return _RawFeed(_plain_field(feed, "title"), _string(feed.get("language")), raws)


def _raw_from_json(item: Mapping[str, Any]) -> _Raw:
    return _Raw(
        guid=_string(item.get("id")),
        link=_string(item.get("url")) or _string(item.get("external_url")),
        title=_plain_field(item, "title"),
        texts=(_plain_field(item, "summary"), _string(item.get("content_html")), _plain_field(item, "content_text")),
        dates=(_string(item.get("date_published")), _string(item.get("date_modified"))),
        language=_string(item.get("language")),
    )


def _plain_field(found: Mapping[str, Any], name: str) -> str:
    return html.escape(_string(found.get(name)), quote=False)


def _string(value: object) -> str:
    """Give a string or a number (JSON feeds have numbers for ids) as a string, anything else as nothing."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    # JSON can carry lone surrogates, which no database takes.
    return str(value).encode("utf-8", "replace").decode().strip()


# -- what the publisher wrote to items ------------------------------------------------------------


def _items(
    document: Document, raws: Sequence[_Raw], language: str, first_seen: datetime
) -> tuple[tuple[Item, ...], list[str]]:
    warnings = []
    if len(raws) > MAX_ITEMS:
        warnings.append(f"{len(raws) - MAX_ITEMS} items beyond the first {MAX_ITEMS} skipped")
        raws = raws[:MAX_ITEMS]
    drafts = [(raw, item) for raw in raws if (item := _draft(document, raw, language, first_seen))]
    if untitled := len(raws) - len(drafts):
        warnings.append(f"{untitled} items without title or text skipped")
    items: dict[str, Item] = {}
    for (_, item), identity in zip(drafts, _identities(drafts), strict=True):
        key = item_id(document.feed.url, identity)
        items.setdefault(key, replace(item, id=key))
    if repeated := len(drafts) - len(items):
        warnings.append(f"{repeated} repeated items skipped")
    return tuple(items.values()), warnings


def _draft(document: Document, raw: _Raw, language: str, first_seen: datetime) -> Item | None:
    """Give the item, its id still empty; None if it says nothing."""
    text = clip(max(map(plain, raw.texts), key=len, default=""), MAX_TEXT)
    title = plain(raw.title) or next(iter(sentences(text)), "")
    if not title:
        return None
    link = raw.link or (raw.guid if _is_web(raw.guid) else "")
    link = _absolute(document.url or document.feed.url, link)
    return Item(
        id="",
        feed=document.feed,
        title=title,
        text=text,
        link=link,
        canonical_link=canonical_link(link),
        language=language_code(raw.language) or language,
        published=next(filter(None, (parse_date(date, first_seen) for date in raw.dates)), None),
        first_seen=first_seen,
    )


def _identities(drafts: Sequence[tuple[_Raw, Item]]) -> Iterator[str]:
    """Give what the publisher knows each item by; equal for what this document repeats."""
    names = [_name(raw, item) for raw, item in drafts]
    details: dict[str, set[str]] = defaultdict(set)
    for name, detail in names:
        details[name].add(detail)
    for name, detail in names:
        # Only where it must: an identity that depends on its neighbours changes when they leave the document.
        yield name if len(details[name]) == 1 else f"{name}\n{detail}"


def _name(raw: _Raw, item: Item) -> tuple[str, str]:
    """Give an item's identity, and what tells it from others that bear the same in one document."""
    link, title = item.canonical_link, item.title
    if raw.guid:
        guid = _comparable_guid(raw.guid)
        # A guid that is a page's address repeats because the page was revised; "N/A" or a home page names nothing.
        return guid, link if urlsplit(guid).path.strip("/") and _is_web(guid) else f"{link}\n{title}"
    if link:
        return link, title
    return f"{title}\n{next(filter(None, raw.dates), '')}", ""


def _comparable_guid(guid: str) -> str:
    # BBC counts revisions in the fragment; other fragments name a post within a page.
    return canonical_link(re.sub(r"#\d+$", "", guid), keep_fragment=True) if _is_web(guid) else guid


def _is_web(url: str) -> bool:
    return url.lower().startswith(("http://", "https://"))


def _absolute(base: str, link: str) -> str:
    """Resolve a link against the document's URL; empty unless the result can be opened in a browser."""
    try:
        url = urljoin(base, re.sub(r"[\x00-\x20\x7f]", "", link)) if link else ""
        return url if _is_web(url) and urlsplit(url).hostname else ""
    except ValueError:
        return ""


# -- dates ----------------------------------------------------------------------------------------

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
#: Hours. CST (China, US), IST (India, Israel, Ireland) and the like are missing on purpose: nobody knows which.
_ZONES = {
    "z": 0, "ut": 0, "utc": 0, "gmt": 0, "wet": 0, "west": 1, "bst": 1, "cet": 1, "cest": 2, "eet": 2, "eest": 3, "msk": 3,
    "hkt": 8, "sgt": 8, "kst": 9, "jst": 9,
    "est": -5, "edt": -4, "cdt": -5, "mst": -7, "mdt": -6, "pst": -8, "pdt": -7,
}  # fmt: skip
_RFC_822 = re.compile(
    r"(?:[^\W\d_]+\.?\s*,?\s*)?"  # the day of the week, in any language, says nothing new
    r"(?P<day>\d{1,2})[\s-]+(?P<month>[a-z]{3,9})\.?[\s-]+(?P<year>\d{4}|\d{2}),?\s+"
    r"(?P<hour>\d{1,2}):(?P<minute>\d{1,2})(?::(?P<second>\d{1,2})(?:\.\d+)?)?\s*"
    # `GMT+9` is Korea Times
    r"(?:(?P<zone>[a-z]{1,4})|(?:gmt|utc|ut)?\s*(?P<sign>[+-])(?P<hours>\d{1,2}):?(?P<minutes>\d{2})?)"
    r"(?:\s*\([^)]*\))?",
    re.IGNORECASE,
)
#: Publishers' clocks run ahead by so much; `Item.at` never takes a time later than we saw the item.
_CLOCK_SKEW = timedelta(minutes=10)
_OLDEST = datetime(1995, 1, 1, tzinfo=UTC)


def parse_date(text: str, now: datetime) -> datetime | None:
    """Read a date of RFC 822, of ISO 8601 or in Unix seconds; None rather than an invention.

    None also for a date without a zone, or with a zone that could be several, for one that does not exist, for one
    before 1995 and for one later than `now`. feedparser's own answers are not used: it reads MSK and KST as UTC, and
    takes from today what the text lacks.
    """
    text = " ".join(text.split())
    try:
        read = _rfc_822(text) or _iso_8601(text) or _unix_seconds(text)
        when = read.astimezone(UTC) if read else None
    except (ValueError, OverflowError):
        return None
    return when if when and _OLDEST <= when <= now + _CLOCK_SKEW else None


def _rfc_822(text: str) -> datetime | None:
    found = _RFC_822.fullmatch(text)
    if not found:
        return None
    month, zone = found["month"].lower()[:3], _zone(found)
    if month not in _MONTHS or zone is None:
        return None
    year = int(found["year"])
    if len(found["year"]) == 2:
        year += 1900 if year >= 69 else 2000  # as `email.utils` has it
    return datetime(
        year,
        _MONTHS.index(month) + 1,
        int(found["day"]),
        int(found["hour"]),
        int(found["minute"]),
        int(found["second"] or 0),
        tzinfo=zone,
    )


def _zone(found: re.Match[str]) -> timezone | None:
    if found["zone"]:
        hours = _ZONES.get(found["zone"].lower())
        return None if hours is None else timezone(timedelta(hours=hours))
    offset = timedelta(hours=int(found["hours"]), minutes=int(found["minutes"] or 0))
    return timezone(-offset if found["sign"] == "-" else offset)


def _iso_8601(text: str) -> datetime | None:
    if not re.match(r"\d{4}-\d\d-\d\d[T ]|\d{8}T", text, re.IGNORECASE):
        return None
    when = datetime.fromisoformat(
        re.sub(r" ?(?:UTC|GMT|Z)$", "Z", re.sub(r" (?=[+-]\d)", "", text), flags=re.IGNORECASE)
    )
    return when if when.tzinfo else None


def _unix_seconds(text: str) -> datetime | None:
    return datetime.fromtimestamp(int(text), UTC) if re.fullmatch(r"[0-9]{9,10}", text) else None
