"""Read and write feed lists as OPML 2.0, http://opml.org/spec2.opml. Pure: bytes in, feeds and problems out.

Beside `xmlUrl`, `title`, `htmlUrl` and `language` an outline may say `kind` and `country`. An outline that encloses
others gives them its `kind` and `country`, and its text where that is one of SOURCE_KINDS; other folders mean nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import groupby
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from monitor.errors import Level, Problem
from monitor.model import SOURCE_KINDS, Feed
from monitor.text import canonical_link, language_code

#: 12 of the 25 lists of plenaryapp/awesome-rss-feeds have one; an XML parser stops there
_BARE_AMPERSAND = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos|#[0-9]+|#x[0-9a-fA-F]+);)")

# -- reading --------------------------------------------------------------------------------------


def read_opml(data: bytes, name: str) -> tuple[list[Feed], list[Problem]]:
    """Give the feeds in order, each once, and all that is wrong with the list; `name` is the file as the user named it.

    A list that is no OPML gives no feeds and one error. An unknown kind is dropped with a warning.
    """
    reader = _Reader(name)
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda tag, attributes: reader.start(tag, attributes, parser.CurrentLineNumber)
    parser.EndElementHandler = reader.end
    try:
        parser.Parse(_BARE_AMPERSAND.sub(b"&amp;", data), True)
    except expat.ExpatError as error:
        return [], [Problem(name, error.lineno, f"not OPML: {expat.ErrorString(error.code)}")]
    except (LookupError, ValueError) as error:  # an encoding that expat does not know
        return [], [Problem(name, 1, f"not OPML: {error}")]
    if reader.root != "opml":
        return [], [Problem(name, reader.root_line, f"not OPML: the root element is <{reader.root}>, not <opml>")]
    return list(reader.feeds.values()), reader.problems


class _Reader:
    """What has been read so far; expat calls it."""

    def __init__(self, name: str) -> None:
        self.root = ""
        self.root_line = 1
        #: by canonical link
        self.feeds: dict[str, Feed] = {}
        self.problems: list[Problem] = []
        self._name = name
        #: (kind, country) that hold inside each open outline, innermost last
        self._inherited = [("", "")]

    def start(self, tag: str, attributes: Mapping[str, str], line: int) -> None:
        if not self.root:
            self.root, self.root_line = tag.lower(), line
        if tag.lower() == "outline":
            self._outline({key.lower(): _one_line(value) for key, value in attributes.items()}, line)

    def end(self, tag: str) -> None:
        if tag.lower() == "outline":
            self._inherited.pop()

    def _outline(self, attributes: Mapping[str, str], line: int) -> None:
        kind, country = self._inherited[-1]
        url = attributes.get("xmlurl", "")
        label = attributes.get("title") or attributes.get("text", "")
        # A folder that says its country is named after it.
        if not url and "country" not in attributes and label.casefold() in SOURCE_KINDS:
            kind = label.casefold()
        if "kind" in attributes:
            kind = self._kind(attributes["kind"], line)
        country = attributes.get("country", country)
        self._inherited.append((kind, country))
        if url:
            self._feed(attributes, url, label, kind, country, line)

    def _kind(self, kind: str, line: int) -> str:
        if not kind or kind.casefold() in SOURCE_KINDS:
            return kind.casefold()
        self._warn(line, f'unknown kind "{kind}": one of {", ".join(SOURCE_KINDS)} is meant')
        return ""

    def _feed(self, attributes: Mapping[str, str], url: str, label: str, kind: str, country: str, line: int) -> None:
        if not url.lower().startswith(("http://", "https://")):
            self.problems.append(Problem(self._name, line, f'xmlUrl "{url}" is no http:// or https:// address'))
            return
        key = canonical_link(url)
        if key in self.feeds:
            self._warn(line, f"{url} stands in the list already; this one is left out")
            return
        self.feeds[key] = Feed(
            url=url,
            title="" if label == url else label,
            kind=kind,
            country=country,
            language=language_code(attributes.get("language", "")),
            site=attributes.get("htmlurl", ""),
        )

    def _warn(self, line: int, message: str) -> None:
        self.problems.append(Problem(self._name, line, message, Level.WARNING))


# -- writing --------------------------------------------------------------------------------------


def write_opml(feeds: Iterable[Feed], title: str) -> bytes:
    """Give the list as UTF-8, grouped by kind, then by country; what nobody said stands at the end of its group.

    Read back, it gives the same feeds, in this order.
    """
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<opml version="2.0">',
        f"  <head><title>{escape(_one_line(title))}</title></head>",
        "  <body>",
    ]
    for kind, of_kind in groupby(sorted(feeds, key=_place), key=lambda feed: feed.kind):
        with_countries = [
            line
            for country, group in groupby(of_kind, key=lambda feed: feed.country)
            for line in _folder({"text": country, "country": country}, map(_outline, group))
        ]
        lines += _indented(_indented(_folder({"text": kind, "kind": kind}, with_countries)))
    lines += ["  </body>", "</opml>", ""]
    return "\n".join(lines).encode()


def _place(feed: Feed) -> tuple[int, str, bool, str]:
    """Order by kind as SOURCE_KINDS has it, then by country; the sort is stable, so the rest stays as it was."""
    known = feed.kind in SOURCE_KINDS
    rank = SOURCE_KINDS.index(feed.kind) if known else len(SOURCE_KINDS) + (not feed.kind)
    return rank, feed.kind, not feed.country, feed.country


def _folder(attributes: Mapping[str, str], lines: Iterable[str]) -> list[str]:
    """Enclose lines in an outline; if it has nothing to say they stand free."""
    if not any(attributes.values()):
        return list(lines)
    return [f"<outline {_written(attributes)}>", *_indented(lines), "</outline>"]


def _outline(feed: Feed) -> str:
    # Kind and country are repeated though the folders say them: other programs keep attributes and drop folders.
    attributes = {
        "type": "rss",
        "text": feed.name,
        "title": feed.title,
        "xmlUrl": feed.url,
        "htmlUrl": feed.site,
        "language": feed.language,
        "kind": feed.kind,
        "country": feed.country,
    }
    return f"<outline {_written(attributes)}/>"


def _written(attributes: Mapping[str, str]) -> str:
    return " ".join(f"{name}={quoteattr(_one_line(value))}" for name, value in attributes.items() if value)


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" for line in lines]


#: what XML 1.0 cannot carry even as a reference
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def _one_line(value: str) -> str:
    return " ".join(_NO_XML.sub("", value).split())
