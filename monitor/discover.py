"""Find the feeds of a web page: what it announces, what it links to, where else to look. Pure.

Takes the text of a page and its address, gives addresses in order of preference. Trusts nothing: whether an address leads
to a feed, only its document can say.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Literal
from urllib.parse import urldefrag, urljoin, urlsplit

from monitor.text import canonical_link, clip, plain

Kind = Literal["rss", "atom", "rdf", "json", ""]
_KINDS: tuple[Kind, ...] = ("rss", "atom", "rdf", "json")

#: Of a page, in characters: its announcements stand at its beginning, and every feed may be a hostile one.
_MOST_READ = 500_000
#: elements of a page that are looked at, and feeds that are given
_MOST_LINKS = 5_000
_MOST_FOUND = 50
_LONGEST_URL = 2_000
_LONGEST_TITLE = 100


@dataclass(frozen=True, slots=True)
class Discovered:
    """An address that a page gives for a feed."""

    #: absolute, http or https, without fragment
    url: str
    #: plain text; may be empty
    title: str
    #: what the page says, or its address: the document itself may be another; empty if neither tells
    kind: Kind


def discover(page: str, url: str) -> list[Discovered]:
    """Give the feeds that a page announces in `<link>`, or else those it seems to link to; each once, best first.

    The page's order is kept, https://html.spec.whatwg.org/multipage/links.html#rel-alternate, but feeds of comments stand
    last and, among mere links, those to the page's own host first.
    """
    reader = _Reader.of(page)
    url = _absolute(url, "")
    base = _absolute(reader.base, url) or url
    announced = (feed for attributes in reader.links if (feed := _announced(attributes, base)))
    linked = (feed for attributes, text in reader.anchors if (feed := _linked(attributes, "".join(text), base)))
    return _in_order(announced, url) or _in_order(sorted(linked, key=lambda feed: _host(feed.url) != _host(url)), url)


#: for a section of a site, and for the site
_PLACES = ("feed", "rss", "rss.xml", "index.xml")
_ROOT_PLACES = (*_PLACES, "feed.xml", "atom.xml", "feeds/posts/default", "news-sitemap.xml")


def guesses(url: str) -> list[str]:
    """Give the usual addresses of feeds for a page that names none: first beside the page, then at the root of its site.

    A page without a suffix (/world/asia) is taken for a folder. Empty if the address is not absolute.
    """
    root = _absolute("/", url)
    if not root:
        return []
    path = urlsplit(_absolute(url, "")).path.strip("/")
    above, _, page = path.rpartition("/")
    folder = above if "." in page else path
    beside = [f"{root}{folder}/{place}" for place in _PLACES] if folder else []
    return beside + [root + place for place in _ROOT_PLACES]


# -- reading --------------------------------------------------------------------------------------

#: html.parser takes "&reg" in "?page=1&region=2" for ®; the standard does not, before a letter or "=".
_QUERY_AMPERSAND = re.compile(r"&(?=\w{1,64}=)")


class _Reader(HTMLParser):
    """What a page refers to, in its order.

    It is never closed: html.parser of Python 3.11 would then search anew from every "<" that it could not read, minutes in
    half a megabyte of "<!--". Nothing is lost: what is open at the end of a page counts for nothing in the standard too.
    """

    #: html.parser of Python 3.11 knows of the first two only
    CDATA_CONTENT_ELEMENTS = (  # type: ignore[misc]  # final for typeshed, which does not know why
        "script", "style", "title", "textarea", "iframe", "noembed", "noframes", "xmp",
    )  # fmt: skip

    @classmethod
    def of(cls, page: str) -> _Reader:
        reader = cls()
        # "<![endif]-->" is a comment up to ">", where html.parser looks for "]>"
        page = page[:_MOST_READ].replace("<![", "<! [")
        # it raises ValueError for a numeric reference of 5,000 digits: what has been read by then stands
        with contextlib.suppress(ValueError, AssertionError):
            reader.feed(_QUERY_AMPERSAND.sub("&amp;", page))
        return reader

    def __init__(self) -> None:
        super().__init__()
        self.base = ""
        self.links: list[Mapping[str, str]] = []
        #: attributes and text
        self.anchors: list[tuple[Mapping[str, str], list[str]]] = []
        self._in_anchor = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("base", "link", "a") or len(self.links) + len(self.anchors) >= _MOST_LINKS:
            return
        attributes = {name: value or "" for name, value in reversed(attrs)}  # of two with one name the first counts
        match tag:
            case "base":
                self.base = self.base or attributes.get("href", "")
            case "link":
                self.links.append(attributes)
            case "a":
                self.anchors.append((attributes, []))
                self._in_anchor = True

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._in_anchor = False

    def handle_data(self, data: str) -> None:
        if self._in_anchor:
            self.anchors[-1][1].append(data)


# -- judging --------------------------------------------------------------------------------------

_FEED_TYPE = re.compile(r"(?:application|text)/(?:(?:x[.-])?(?:rss|atom|rdf)(?:\+xml)?|feed\+json)")
#: These say "feed" only together with an address or a title that says so.
_VAGUE_TYPES = {"", "text/xml", "application/xml", "application/json"}
_FEED_WORD = re.compile(r"\b(?:rss|atom|rdf|feeds?)(?:\b|[\d_])", re.IGNORECASE)
_FEED_HOST = re.compile(r"(?:feeds?|rss)\d*\.[^.]+\.", re.IGNORECASE)
_FEED_PATH = re.compile(
    r"/(?:rss2?|feed|atom)/?$|/rss/[^/.]+/?$|\.(?:rss|atom|rdf)$|/feeds/posts/default/?$"
    r"|(?:rss|feed|atom)[^/]*\.xml$|/(?:rss|feeds?|atom)/.*\.xml$|/index\.xml$|/feed[^/]*\.json$",
    re.IGNORECASE,
)
_FEED_QUERY = re.compile(r"(?:^|&)(?:feed|format|type|alt)=(?:rss2?|atom|feed)(?:&|$)", re.IGNORECASE)
#: an address inside another: a service to subscribe or share with
_ENCLOSED = re.compile(r".https?(?::|%3a)", re.IGNORECASE)
_OF_COMMENTS = re.compile(
    r"\bcomments\b|\bcomment feed|\bkommentar|\bcomment(?:aires|i)\b|\bcoment[aá]rios\b|коммент|комент|评论|評論|コメント|댓글",
    re.IGNORECASE,
)
_COMMENTS_PATH = re.compile(r"/comments(?:/|\.|$)|[?&]feed=comments", re.IGNORECASE)


def _announced(attributes: Mapping[str, str], base: str) -> Discovered | None:
    """Read a `<link>`; None if it announces no feed."""
    relations = set(attributes.get("rel", "").lower().split())
    url = _absolute(attributes.get("href", ""), base)
    if not url or "stylesheet" in relations or not relations & {"alternate", "feed"}:
        return None
    mime = attributes.get("type", "").partition(";")[0].strip().lower()
    feed = Discovered(url, _title(attributes.get("title", "")), _kind(mime) or _kind(_behind_host(url)))
    if _FEED_TYPE.fullmatch(mime):
        return feed
    if mime not in _VAGUE_TYPES:
        return None
    # Without a type, rel=alternate is as likely the page in another language: its title says nothing.
    spoken = mime and _FEED_WORD.search(f"{_behind_host(url)} {feed.title}")
    return feed if "feed" in relations or spoken or _looks_like_a_feed(url) else None


def _linked(attributes: Mapping[str, str], text: str, base: str) -> Discovered | None:
    """Read an `<a>`; None if its address does not look like a feed's."""
    url = _absolute(attributes.get("href", ""), base)
    if not url or not _looks_like_a_feed(url):
        return None
    return Discovered(url, _title(text) or _title(attributes.get("title", "")), _kind(_behind_host(url)))


def _looks_like_a_feed(url: str) -> bool:
    parts = urlsplit(url)
    said = _FEED_HOST.match(parts.netloc) or _FEED_PATH.search(parts.path) or _FEED_QUERY.search(parts.query)
    return bool(said) and not _ENCLOSED.search(url)


def _kind(text: str) -> Kind:
    return next((kind for kind in _KINDS if kind in text.lower()), "")


def _in_order(feeds: Iterable[Discovered], page_url: str) -> list[Discovered]:
    once: dict[str, Discovered] = {}
    for feed in feeds:
        once.setdefault(canonical_link(feed.url), feed)
    once.pop(canonical_link(page_url), None)  # "#rss" leads to the page itself
    return sorted(once.values(), key=_is_of_comments)[:_MOST_FOUND]


def _is_of_comments(feed: Discovered) -> bool:
    return bool(_OF_COMMENTS.search(feed.title) or _COMMENTS_PATH.search(feed.url))


# -- addresses ------------------------------------------------------------------------------------


def _absolute(href: str, base: str) -> str:
    """Resolve a reference (RFC 3986) to http or https without a fragment; empty if it cannot be."""
    # feed://example.org/ and feed:https://example.org/ are how readers were once called
    href = re.sub("^feed:", "", href.strip(), flags=re.IGNORECASE)
    if not 0 < len(href) <= _LONGEST_URL:
        return ""
    try:
        absolute = urldefrag(urljoin(base, href)).url.replace(" ", "%20")
        parts = urlsplit(absolute)
    except ValueError:  # a bad IPv6 address
        return ""
    return absolute if parts.scheme in ("http", "https") and parts.hostname and absolute.isprintable() else ""


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").removeprefix("www.")


def _behind_host(url: str) -> str:
    return urlsplit(url)._replace(scheme="", netloc="").geturl()


def _title(text: str) -> str:
    return clip(plain(text[: 10 * _LONGEST_TITLE]), _LONGEST_TITLE)
