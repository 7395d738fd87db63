"""Turn the text of a document into what the publisher wrote: RSS, Atom, JSON Feed, Google's news sitemaps. Pure.

Takes text, gives strings as they stand in the document: HTML, dates and links nobody has judged yet. Never opens a URL or a
path. What is well-formed and plain is read here, over expat; feedparser, which has its only home here, judges the rest.
"""

from __future__ import annotations

import html
import io
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from typing import Any, TypeAlias
from urllib.parse import urljoin
from xml.etree import ElementTree

import feedparser
from feedparser.api import StrictFeedParser

from monitor.errors import ParseError
from monitor.model import Hints
from monitor.text import is_web

_Element: TypeAlias = ElementTree.Element


@dataclass(frozen=True, slots=True)
class RawItem:
    """An item as the publisher wrote it; texts are HTML, everything may be empty."""

    guid: str
    link: str
    title: str
    texts: tuple[str, ...]
    #: best first
    dates: tuple[str, ...]
    #: as written: "zh-CN", "EN_us"
    language: str


@dataclass(frozen=True, slots=True)
class RawFeed:
    """A feed as the publisher wrote it."""

    #: HTML; may be empty
    title: str
    #: as written; may be empty
    language: str
    items: Sequence[RawItem]
    #: what was wrong with the document and mended
    warnings: tuple[str, ...] = ()
    hints: Hints = field(default_factory=Hints)


def read(text: str) -> RawFeed:
    """Give what a document says; damaged documents give what can be read of them.

    Raises:
        ParseError: no feed at all (`html`, `empty`, `not a feed`), or the parser broke on it (`crash`).
    """
    text = text.strip("\ufeff \t\r\n")
    if not text:
        raise ParseError("empty")
    if text.startswith("{"):
        return _read_json(text)
    return read_well_formed(text) or read_by_feedparser(text)


# -- JSON Feed ------------------------------------------------------------------------------------


def _read_json(text: str) -> RawFeed:
    """Read JSON Feed 1 and 1.1, https://www.jsonfeed.org/version/1.1/."""
    try:
        feed = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ParseError("not a feed", f"JSON that cannot be read: {error}") from error
    if "jsonfeed.org/version/" not in _string(feed.get("version")):
        raise ParseError("not a feed", "JSON, but no JSON Feed")
    items = [_item_of_json(found) for found in _mappings(feed.get("items"))]
    hubs = [_string(hub.get("url")) for hub in _mappings(feed.get("hubs"))]
    hints = _hints({}, links=[*(("hub", hub) for hub in hubs), ("self", _string(feed.get("feed_url")))])
    return RawFeed(_plain_field(feed, "title"), _string(feed.get("language")), items, hints=hints)


def _item_of_json(found: Mapping[str, Any]) -> RawItem:
    return RawItem(
        guid=_string(found.get("id")),
        link=_string(found.get("url")) or _string(found.get("external_url")),
        title=_plain_field(found, "title"),
        texts=(_plain_field(found, "summary"), _string(found.get("content_html")), _plain_field(found, "content_text")),
        dates=(_string(found.get("date_published")), _string(found.get("date_modified"))),
        language=_string(found.get("language")),
    )


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _plain_field(found: Mapping[str, Any], name: str) -> str:
    return html.escape(_string(found.get(name)), quote=False)


def _string(value: object) -> str:
    """Give a string or a number (JSON feeds have numbers for ids) as a string, anything else as nothing."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    # JSON can carry lone surrogates, which no database takes.
    return str(value).encode("utf-8", "replace").decode().strip()


# -- hints ----------------------------------------------------------------------------------------

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
#: By two letters: "hourly", "dayly", "Weeks" are written; "always" and "minutely" say nothing of use.
_PERIODS = {
    "ho": timedelta(hours=1),
    "da": timedelta(days=1),
    "we": timedelta(weeks=1),
    "mo": timedelta(days=30),
    "ye": timedelta(days=365),
}
#: Names of the elements that say a period.
_OF_PERIODS = ("ttl", "sy:updateperiod", "sy:updatefrequency")
#: What is outside is no period but a mistake.
_SHORTEST, _LONGEST = timedelta(minutes=1), timedelta(days=366)


def _hints(
    said: Mapping[str, str],
    *,
    links: Iterable[tuple[str, str]] = (),
    hours: Iterable[str] = (),
    days: Iterable[str] = (),
) -> Hints:
    """Make hints of what a feed says of itself: its elements by name, its links by `rel`, the first of each."""
    to = {rel: link for rel, link in reversed(list(links)) if is_web(link)}
    skip_hours = frozenset(int(hour) % 24 for hour in hours if re.fullmatch(r"\s*(?:[01]?\d|2[0-4])\s*", hour))
    skip_days = frozenset(_DAYS.index(name) for day in days if (name := day.strip().lower()) in _DAYS)
    return Hints(
        period=_times(timedelta(minutes=1), _positive(said.get("ttl", "")))
        or _update_period(said.get("sy:updateperiod", ""), said.get("sy:updatefrequency", "")),
        # "Never ask" is nothing that a publisher means.
        skip_hours=skip_hours if len(skip_hours) < 24 else frozenset(),
        skip_days=skip_days if len(skip_days) < 7 else frozenset(),
        hub=to.get("hub", ""),
        topic=to.get("self", ""),
    )


def _update_period(period: str, frequency: str) -> timedelta | None:
    """Read RSS 1.0's syndication module: a period, "daily" if it is missing, and how often in it, once if that is."""
    unit = _PERIODS.get((period.strip().lower() or "daily")[:2])
    often = _positive(frequency or "1")
    return _times(unit, 1 / often) if unit and often and (period or frequency) else None


def _positive(written: str) -> float:
    """Give a number above zero; zero for anything else."""
    return float(written) if re.fullmatch(r"\s*\d{1,9}(?:\.\d{1,9})?\s*", written) else 0.0


def _times(unit: timedelta, times: float) -> timedelta | None:
    seconds = unit.total_seconds() * times
    return timedelta(seconds=seconds) if _SHORTEST.total_seconds() <= seconds <= _LONGEST.total_seconds() else None


# -- well-formed XML, by the book -----------------------------------------------------------------

_BASE = "{http://www.w3.org/XML/1998/namespace}base"
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_ATOM = "{http://www.w3.org/2005/Atom}"
_RDF_ABOUT = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}about"
#: What may stand before the root of a document whose entities are XML's own: no DOCTYPE.
_PROLOGUE = re.compile(r"(?:\s+|<\?.*?\?>|<!--.*?-->)*+<[A-Za-z_]", re.DOTALL)
_NAMESPACE = re.compile(r"""xmlns(?::([\w.-]+))?\s*=\s*["']([^"']*)["']""")
#: namespace in lower case -> the prefix it usually has; empty for those of RSS and Atom themselves
_PREFIXES: dict[str, str] = {uri.lower(): prefix for uri, prefix in StrictFeedParser.namespaces.items()}
_USUAL_PREFIXES = frozenset(_PREFIXES.values())

#: What an element of an item says to us. The formats' own names are one space: RSS with `atom:updated` is common.
_MEANINGS = {
    "title": "title", "dc:title": "subtitle", "media:title": "subtitle",
    "link": "link",
    "guid": "guid", "id": "guid",
    "pubdate": "published", "published": "published", "issued": "published", "dcterms:issued": "published",
    "updated": "updated", "modified": "updated", "lastbuilddate": "updated", "dc:date": "updated",
    "dcterms:modified": "updated",
    "created": "created", "dcterms:created": "created",
    "language": "language", "dc:language": "language",
    "description": "html", "dc:description": "html", "content:encoded": "html", "fullitem": "html",
    "media:description": "caption",
    "content": "text", "summary": "text", "itunes:summary": "text", "abstract": "text",
    "source": "aside", "image": "aside", "textinput": "aside",
    "item": "strange", "entry": "strange", "channel": "strange", "feed": "strange", "body": "strange",
    "xhtml:body": "strange",
}  # fmt: skip
_DATES = ("published", "updated", "created")
#: what content types are called -> what they come to
_TYPES = {
    "text": "text", "plain": "text", "text/plain": "text",
    "html": "html", "text/html": "html",
    "xhtml": "xhtml", "application/xhtml+xml": "xhtml",
}  # fmt: skip
#: Windows' punctuation stands where Unicode has controls, and HTML knows what is meant.
_WINDOWS = {code: html.unescape(f"&#{code};") for code in range(0x80, 0xA0)}
_CONTROL = re.compile(rb"\xc2[\x80-\x9f]")
_REFERENCE_TO_CONTROL = re.compile(rb"&#(?:1(?:2[89]|[345]\d)|x[89][\da-f]);", re.IGNORECASE)
#: what XML has no place for
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_REFERENCE_IN_URL = re.compile(r"&(\w+);", re.ASCII)
#: more of them than an address has
_SLASHES = re.compile(r"^([a-z][a-z0-9+.-]*://)/+", re.IGNORECASE)


class _Unsure(Exception):
    """The document is beyond the book."""


@dataclass(frozen=True, slots=True)
class _Scope:
    """What elements inherit."""

    base: str = ""
    language: str = ""

    def within(self, element: _Element) -> _Scope:
        base, language = element.get(_BASE), element.get(_LANG, element.get("lang"))
        if base is None and language is None:
            return self
        return _Scope(_resolve(self.base, base) if base else self.base, self.language if language is None else language)


class _Names(dict[str, str]):
    """Elements' names, "dc:date", by what expat calls them, "{http://purl.org/dc/elements/1.1/}date"."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def __missing__(self, tag: str) -> str:
        uri, _, local = tag[1:].rpartition("}") if tag.startswith("{") else ("", "", tag)
        prefix = _PREFIXES.get(uri.lower())
        if prefix is None:
            prefix = self._declared.get(uri)
        if prefix is None:
            raise _Unsure
        name = self[tag] = (f"{prefix}:{local}" if prefix else local).lower()
        return name

    @cached_property
    def _declared(self) -> dict[str, str]:
        """Prefixes by namespace, for those that nobody knows: publishers write `dc:date`, and mistake its address."""
        prefixes = defaultdict(set)
        for prefix, uri in _NAMESPACE.findall(self._text):
            prefixes[uri].add(prefix)
        return {uri: min(some) for uri, some in prefixes.items() if len(some) == 1 or not some & _USUAL_PREFIXES}


def read_well_formed(text: str) -> RawFeed | None:
    """Read a well-formed document of RSS 0.9 to 2.0, Atom 1.0 or a news sitemap; None if it is not plainly one.

    Raises:
        ParseError: a sitemap without news (`not a feed`).
    """
    if not _PROLOGUE.match(text):
        return None
    try:
        root, warnings = _tree(text)
        is_sitemap = _local(root) in ("urlset", "sitemapindex")
        feed = _read_sitemap(root) if is_sitemap else _Reader(text).read(root)
    except (ElementTree.ParseError, UnicodeEncodeError, RecursionError, _Unsure):
        return None
    return replace(feed, warnings=warnings) if warnings else feed


def _tree(text: str) -> tuple[_Element, tuple[str, ...]]:
    """Give the root, and what was mended of it: characters that XML has no place for."""
    try:
        return ElementTree.fromstring(text), ()  # noqa: S314 - without a DOCTYPE nothing expands
    except ElementTree.ParseError:
        legal = _ILLEGAL.sub(" ", text)
        if legal == text:
            raise
        return ElementTree.fromstring(legal), ("not well-formed",)  # noqa: S314 - as above


class _Reader:
    """Reads one document of RSS or Atom; its methods raise _Unsure where feedparser knows better."""

    def __init__(self, text: str) -> None:
        self._names = _Names(text)
        self._has_controls = _has_controls(text)
        self._is_atom = False
        self._title = self._language = ""
        self._items: list[RawItem] = []
        self._said: dict[str, str] = {}
        self._links: list[tuple[str, str]] = []
        self._hours: list[str] = []
        self._days: list[str] = []

    def read(self, root: _Element) -> RawFeed:
        name, scope = self._names[root.tag], _Scope().within(root)
        self._is_atom = root.tag == _ATOM + "feed"
        if self._is_atom:
            self._read_channel(root, scope)
        elif name in ("rss", "rdf:rdf"):
            self._read_root(root, scope)
        else:
            raise _Unsure
        language = self._language or (scope.language if name != "rdf:rdf" else "")
        hints = _hints(self._said, links=self._links, hours=self._hours, days=self._days)
        return RawFeed(self._title, language, self._items, hints=hints)

    def _read_root(self, root: _Element, scope: _Scope) -> None:
        for child in root:
            name = self._names[child.tag]
            if name == "channel":
                self._read_channel(child, scope.within(child))
            elif name == "item":
                self._items.append(self._item(child, scope.within(child)))
            else:
                self._pass_over(child)

    def _read_channel(self, channel: _Element, scope: _Scope) -> None:
        for child in channel:
            match self._names[child.tag]:
                case "item" | "entry":
                    self._items.append(self._item(child, scope.within(child)))
                case "title" | "dc:title":
                    self._title = self._title or self._html(child, "text")
                case "language" | "dc:language":
                    self._language = _words(child)
                case "link":
                    self._links.append(
                        (child.get("rel", "").lower(), _resolve(scope.within(child).base, child.get("href", "")))
                    )
                case name if name in _OF_PERIODS:
                    self._said[name] = _words(child)
                case "skiphours":
                    self._hours = [hour.text or "" for hour in child]
                case "skipdays":
                    self._days = [day.text or "" for day in child]
                case _:
                    self._pass_over(child)

    def _pass_over(self, element: _Element) -> None:
        """Make sure that there is no item inside."""
        if len(element) and any(self._names[inner.tag] in ("item", "entry") for inner in element.iter()):
            raise _Unsure

    def _item(self, item: _Element, scope: _Scope) -> RawItem:
        said = {"guid": item.get(_RDF_ABOUT, "")}
        texts: list[str] = []
        captions: list[str] = []
        language = scope.language
        for child in item:
            meaning = _MEANINGS.get(self._names[child.tag], "")
            match meaning:
                case "":
                    if len(child):
                        self._look_inside(child, said, captions)
                case "html" | "text":
                    texts.append(self._html(child, meaning))
                case "caption":
                    captions.append(self._html(child, "html"))
                case "title" if not said.get("title"):
                    said["title"] = self._html(child, "text")
                    language = scope.within(child).language
                case "link":
                    said.update(_link(child, scope.within(child).base))
                case "guid":
                    said.update(_guid(child, scope.within(child).base))
                case "title" | "aside":
                    pass
                case "strange":
                    raise _Unsure
                case _:
                    said[meaning] = _words(child)
        if "subtitle" in said and not said.get("title"):
            raise _Unsure
        return RawItem(
            guid=said["guid"],
            link=said.get("link", said.get("permalink", "")),
            title=said.get("title", ""),
            # What a photograph shows is not what the item says, and often longer.
            texts=tuple(filter(None, texts)) or tuple(filter(None, captions)),
            dates=tuple(said.get(name, "") for name in _DATES),
            language=said.get("language") or language,
        )

    def _look_inside(self, group: _Element, said: dict[str, str], captions: list[str]) -> None:
        """Read what a group (`media:group`, `media:content`) says; other groups say nothing to us."""
        for inner in group.iter():
            meaning = _MEANINGS.get(self._names[inner.tag], "")
            if meaning == "caption":
                captions.append(self._html(inner, "html"))
            elif meaning == "subtitle":
                said[meaning] = ""
            elif meaning:
                raise _Unsure

    def _html(self, element: _Element, usual: str) -> str:
        """Give the HTML of an element that holds "html" or "text", as its `type` or else what is usual has it."""
        kind = _TYPES.get(element.get("type", usual).lower())
        if kind is None or "mode" in element.attrib:
            raise _Unsure
        text = _inside(element) if kind == "xhtml" else _words(element)
        if self._has_controls:
            text = text.translate(_WINDOWS)
        if kind != "text":
            return text
        return html.escape(text, quote=False) if self._is_atom else _html_of_text(text)


def _has_controls(text: str) -> bool:
    # In bytes, and after a look for the first one, this takes a fifth of the time.
    encoded = text.encode()
    return bool(
        (b"\xc2" in encoded and _CONTROL.search(encoded))
        or (b"&#" in encoded and _REFERENCE_TO_CONTROL.search(encoded))
    )


def _html_of_text(text: str) -> str:
    """Give the HTML of what is text by the book, but HTML with many: a title in RSS."""
    is_html = ("<" not in text and "&" not in text) or StrictFeedParser.looks_like_html(text)
    return text if is_html else html.escape(text, quote=False)


def _words(element: _Element) -> str:
    if len(element):
        raise _Unsure
    text = (element.text or "").strip()
    if text.isascii():
        return text
    try:
        return text.encode("iso-8859-1").decode()  # UTF-8 that somebody took for Latin-1
    except UnicodeError:
        return text


def _inside(element: _Element) -> str:
    """Give what XHTML says, without namespaces and attributes."""
    parts = [html.escape(element.text or "", quote=False)]
    for child in element:
        name = child.tag.rpartition("}")[2]
        parts += (f"<{name}>", _inside(child), f"</{name}>", html.escape(child.tail or "", quote=False))
    return "".join(parts)


def _link(element: _Element, base: str) -> dict[str, str]:
    """Give `link` if this is the item's own: RSS has it as text, Atom as an attribute beside others' links."""
    href = element.get("url", element.get("uri", element.get("href")))
    if href is not None:
        is_page = element.get("rel", "alternate").lower() == "alternate"
        kind = _TYPES.get(element.get("type", "html").lower())
        return {"link": _resolve(base, href).strip()} if is_page and kind in ("html", "xhtml") else {}
    link = _words(element)
    if link:
        # "?a=1&amp;amp;b=2", escaped once too often; and "&b;=2", mended by somebody before us
        link = _REFERENCE_IN_URL.sub(r"&\1", _resolve(base, link).replace("&amp;", "&"))
    return {"link": link}


def _guid(element: _Element, base: str) -> dict[str, str]:
    guid = _words(element)
    said = next((value for name, value in element.items() if name.lower() == "ispermalink"), "true")
    if said != "true":
        return {"guid": guid}
    guid = _resolve(base, guid) if guid else ""
    return {"guid": guid, "permalink": guid} if is_web(guid) else {"guid": guid}


def _resolve(base: str, url: str) -> str:
    if ":///" in url:
        url = _SLASHES.sub(r"\1", url)
    try:
        return urljoin(base, url) if base else url
    except ValueError:
        return ""


# -- news sitemaps --------------------------------------------------------------------------------


def _read_sitemap(root: _Element) -> RawFeed:
    """Read Google's sitemap of news; its namespace has had several addresses."""
    if _local(root) == "sitemapindex":
        raise ParseError("not a feed", "an index of sitemaps; one of those that it names may be a feed")
    pages = [said for page in root if (said := _said_of_page(page))]
    if not pages:
        raise ParseError("not a feed", "a sitemap without news:news")
    return RawFeed(_html_of_text(pages[0].get("name", "")), "", [_item_of_page(said) for said in pages])


def _said_of_page(page: _Element) -> dict[str, str]:
    """Give what a `<url>` says of its page and its news; nothing if it has no news."""
    news = next((child for child in page if _local(child) == "news"), None)
    if news is None:
        return {}
    return {_local(element): (element.text or "").strip() for element in (*page, *news.iter())}


def _item_of_page(said: Mapping[str, str]) -> RawItem:
    return RawItem(
        guid=said.get("loc", ""),
        link=said.get("loc", ""),
        title=_html_of_text(said.get("title", "")),
        texts=(),
        dates=(said.get("publication_date", ""), said.get("lastmod", "")),
        language=said.get("language", ""),
    )


def _local(element: _Element) -> str:
    return element.tag.rpartition("}")[2].lower()


# -- all other XML, by feedparser -----------------------------------------------------------------

_IS_HTML = re.compile(r"<(?:!doctype\s+)?html\b", re.IGNORECASE)
_IS_SITEMAP = re.compile(r"<(?:urlset|sitemapindex)\b")
_ROOT_END = re.compile(r"</(?:\w+:)?(?:rss|feed|rdf|channel)\s*>", re.IGNORECASE)
_ITEM_TAG = re.compile(r"<(/?)(?:\w+:)?(?:item|entry)\b[^<>]*?(/?)>", re.IGNORECASE)
_REFERENCE = re.compile(r"&#(?:0*([0-9]+)|x0*([0-9a-f]+));?", re.IGNORECASE)
_BACKSLASHED_ENTITY = re.compile(r"<!ENTITY[^<>\\]*\\[^<>]*>")
_HOUR = re.compile(r"<hour>([^<]{1,9})</hour>", re.IGNORECASE)
_DAY = re.compile(r"<day>([^<]{1,19})</day>", re.IGNORECASE)


def read_by_feedparser(text: str) -> RawFeed:
    """Read anything that has an item or a feed's root in it.

    Raises:
        ParseError: as `read`.
    """
    digestible = _BACKSLASHED_ENTITY.sub("", _REFERENCE.sub(_possible, text))
    try:
        parsed = feedparser.parse(
            io.BytesIO(digestible.encode("utf-8", "replace")),
            response_headers={"content-type": "application/xml; charset=utf-8"},
            sanitize_html=False,
            resolve_relative_uris=False,  # of links within texts: those of the item are always resolved
        )
    # It raises re.error, ValueError, KeyError, TypeError, AssertionError on documents seen in the wild (feedparser #599).
    except Exception as error:
        raise ParseError("crash", f"{type(error).__name__} in feedparser: {error}") from error
    # Not `bozo`: it is true of many good feeds, and false of an HTML page.
    if not parsed.get("version"):
        raise _no_feed(text)
    items = [_item_of_feedparser(found) for found in parsed.entries]
    warnings: tuple[str, ...] = ()
    if parsed.get("bozo") or digestible != text:
        warnings = ("not well-formed",)
        if not _ROOT_END.search(text, max(0, len(text) - 2_000)):
            warnings = ("truncated",)
            # Half an item has half a title, and often no guid yet: it would be told wrongly, and then again.
            if items and _ends_inside_item(text):
                items.pop()
    feed = parsed.feed
    return RawFeed(
        _html(feed, "title"), _string(dict.get(feed, "language")), items, warnings, _hints_of_feedparser(feed, text)
    )


def _possible(reference: re.Match[str]) -> str:
    """Replace a reference to what is no character: feedparser raises ValueError over it."""
    digits, base = (reference[1], 10) if reference[1] else (reference[2], 16)
    code = int(digits, base) if len(digits) <= 7 else sys.maxunicode + 1
    return "\ufffd" if code > sys.maxunicode or 0xD800 <= code <= 0xDFFF else reference[0]


def _no_feed(text: str) -> ParseError:
    if _IS_HTML.search(text, 0, 2_000):
        return ParseError("html")
    return ParseError("not a feed", "a sitemap, and not well-formed" if _IS_SITEMAP.search(text, 0, 2_000) else "")


def _ends_inside_item(text: str) -> bool:
    last = None
    for last in _ITEM_TAG.finditer(text):  # noqa: B007 - the last one is what we want
        pass
    return last is not None and not last[1] and not last[2]


def _item_of_feedparser(found: Any) -> RawItem:
    # `dict.get`, for feedparser's own answers with `published` when asked for a missing `updated`.
    guid, link = _string(dict.get(found, "id")), _string(dict.get(found, "link"))
    if not is_web(link) and not any(to.get("rel") == "alternate" for to in _links(found)):
        link = ""  # <guid>abc</guid>, and no <link>: feedparser gives "abc" for one
    language = dict.get(found, "language") or dict.get(dict.get(found, "title_detail") or {}, "language")
    contents = [_as_html(content) for content in dict.get(found, "content") or ()]
    # Without its detail it is a copy of a content.
    summary = _html(found, "summary") if dict.get(found, "summary_detail") or not contents else ""
    return RawItem(
        guid=guid,
        link=link,
        title=_html(found, "title"),
        texts=tuple(filter(None, (summary, *contents))),
        dates=tuple(_string(dict.get(found, name)) for name in _DATES),
        language=_string(language),
    )


def _hints_of_feedparser(feed: Any, text: str) -> Hints:
    said = {name: _string(dict.get(feed, name.replace(":", "_"))) for name in _OF_PERIODS}
    links = [(_string(to.get("rel")), _string(to.get("href"))) for to in _links(feed)]
    # Of several hours feedparser keeps the last.
    return _hints(said, links=links, hours=_HOUR.findall(text), days=_DAY.findall(text))


def _links(found: Any) -> list[Any]:
    links = dict.get(found, "links")
    return [link for link in links if isinstance(link, dict)] if isinstance(links, list) else []


def _html(found: Any, name: str) -> str:
    return _as_html(dict.get(found, f"{name}_detail") or {"value": dict.get(found, name)})


def _as_html(detail: Mapping[str, Any]) -> str:
    text = _string(detail.get("value"))
    return html.escape(text, quote=False) if detail.get("type") == "text/plain" else text
