"""What a new topic may begin with: an article's page, or a paragraph of a report → a title, a sentence, headlines. Pure.

Reads only what is meant for people; what comes of it is a beginning, for an author to look at. Both are strangers' words.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

from monitor.text import clip, plain, sentences

#: Of a page or a text, in characters: an article's beginning says what it is about.
_MOST_READ = 500_000
#: Characters of a title, of a description, and of a headline: longer ones are told, not headed.
TITLE, DESCRIPTION, HEADLINE = 80, 400, 160
#: Words that a sentence has if it tells of an event; and so many of a report's sentences become examples.
_TELLING, MOST_HEADLINES = 5, 8
#: A paragraph of fewer letters is a caption, a date, a button.
_PARAGRAPH = 60
#: what stands around an article
_ASIDE = frozenset("script style noscript nav footer aside figure button svg template select".split())
#: a site's name after its headline
_SITE = re.compile(r"\s+[|–—-]\s+[^|–—]{2,40}$")
_BULLET = re.compile(r"^\s*(?:[-–—*•·▪]|\d{1,2}[.)])\s+")


@dataclass(frozen=True, slots=True)
class Seed:
    """What an author has to begin with; each part may be empty."""

    title: str = ""
    description: str = ""
    headlines: tuple[str, ...] = ()


def seed_of_page(page: str) -> Seed:
    """Give an article's headline and its first words."""
    reader = _Page.of(page)
    told = {name: plain(content) for name, content in reader.metas.items()}
    headline = told.get("og:title") or told.get("twitter:title") or plain(reader.heading) or plain(reader.title)
    headline = _without_site(headline, told.get("og:site_name", ""))
    paragraphs = [text for text in map(plain, reader.paragraphs) if len(text) >= _PARAGRAPH]
    lead = told.get("og:description") or told.get("description") or (paragraphs[0] if paragraphs else "")
    if not headline:
        return Seed()
    return Seed(clip(headline, TITLE), _first_of(lead) or headline, (clip(headline, HEADLINE),))


def seed_of_text(text: str) -> Seed:
    """Give what a report says: a line of its own, if it begins with one, as its title; its sentences as headlines.

    Its bullets, or its sentences: each is told as an event.
    """
    lines = [line for line in text[:_MOST_READ].splitlines() if line.strip()]
    title = ""
    if len(lines) > 1 and _is_heading(lines[0]):
        title, *lines = lines
    title = plain(title).strip("# ").rstrip(":")
    told = [sentence for line in lines for sentence in sentences(plain(_BULLET.sub("", line)))]
    headlines = [clip(one, HEADLINE).rstrip(".。") for one in told if _tells(one)]
    if not told:
        return Seed()
    first = headlines[0] if headlines else told[0]
    return Seed(
        clip(title or first, TITLE), clip(told[0], DESCRIPTION), tuple(dict.fromkeys(headlines))[:MOST_HEADLINES]
    )


def _is_heading(line: str) -> bool:
    line = line.strip()
    return len(line) <= TITLE and not _BULLET.match(line) and not line.endswith((".", "。", ";", ","))


def _tells(sentence: str) -> bool:
    return len(sentence.split()) >= _TELLING or (len(sentence.split()) < 3 and len(sentence) >= 2 * _TELLING)


def _first_of(text: str) -> str:
    """As many whole sentences as a description has room for, at least one."""
    kept = ""
    for sentence in sentences(text):
        if kept and len(kept) + 1 + len(sentence) > DESCRIPTION:
            break
        kept = f"{kept} {sentence}".strip()
    return clip(kept, DESCRIPTION) if kept else ""


def _without_site(headline: str, site: str) -> str:
    for mark in (" | ", " - ", " – ", " — "):
        if site and headline.endswith(f"{mark}{site}"):
            return headline.removesuffix(f"{mark}{site}")
    return headline if site else _SITE.sub("", headline) if " | " in headline else headline


@dataclass
class _Found:
    title: str = ""
    heading: str = ""
    metas: dict[str, str] = field(default_factory=dict)
    paragraphs: list[str] = field(default_factory=list)


class _Page(HTMLParser):
    """An article, in its order. Never closed, for the reason that `discover` gives."""

    CDATA_CONTENT_ELEMENTS = ("script", "style", "textarea", "iframe", "noembed", "noframes", "xmp")  # type: ignore[misc]  # final for typeshed

    @classmethod
    def of(cls, page: str) -> _Found:
        reader = cls()
        # as `discover` does: what cannot be read ends the reading, and what has been read stands
        with contextlib.suppress(ValueError, AssertionError):
            reader.feed(page[:_MOST_READ].replace("<![", "<! ["))
        return reader.found

    def __init__(self) -> None:
        super().__init__()
        self.found = _Found()
        self._aside: str = ""
        self._deep = 0
        self._in = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._aside:
            self._deep += tag == self._aside
        elif tag in _ASIDE:
            self._aside, self._deep = tag, 1
        elif tag == "meta":
            attributes = {name: value or "" for name, value in reversed(attrs)}
            name = (attributes.get("property") or attributes.get("name") or "").lower()
            if name and attributes.get("content"):
                self.found.metas.setdefault(name, attributes["content"])
        elif tag in ("title", "h1", "p"):
            self._in = tag
            if tag == "p" and len(self.found.paragraphs) < 100:
                self.found.paragraphs.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._aside:
            self._deep -= 1
            self._aside = self._aside if self._deep else ""
        elif tag == self._in:
            self._in = ""

    def handle_data(self, data: str) -> None:
        if self._aside:
            return
        match self._in:
            case "title":
                self.found.title += data
            case "h1":
                self.found.heading += data
            case "p" if self.found.paragraphs:
                self.found.paragraphs[-1] += data
