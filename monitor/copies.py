"""Whether one text repeats another: near-verbatim, with the same numbers and names. Pure.

Likeness of meaning never decides it: two events told by one template reach a cosine of 0.97.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from monitor.model import Item
from monitor.text import fold

#: A copy shares this much of its shingles with its original: what two different events on one template share is 0.59 to
#: 0.81 (5-character shingles, Jaccard).
OVERLAP = 0.85
WINDOW = timedelta(hours=48)
SHINGLE = 5
#: Credits that are taken off one text: a reprint of a reprint has two.
CREDITS = 4
#: Characters at a text's end among which a credit is looked for.
CREDIT = 200
#: Letters of words that say nothing by themselves.
SHORT = 3
#: Characters of the title, and of the text, in which a copy must agree.
COMPARED = 600

_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_HAN = re.compile(r"[\u3400-\u9fff]")
#: What an outlet puts before a headline that it sends again.
_REISSUE = re.compile(
    r"^\s*(?:update[ds]?\s*\d*|breaking|urgent|exclusive|flash|срочно|молния|обновлено|дополнено|оновлено|терміново|快讯|更新)"
    r"\s*[-–—:：.]\s*",
    re.IGNORECASE,
)
#: Agencies whose name other outlets put after what they reprint; an item's own outlet is known from its feed.
_AGENCIES = (
    "Reuters", "AP", "Associated Press", "AFP", "Bloomberg", "DPA", "UPI", "Kyodo", "Yonhap", "Xinhua", "TASS", "Interfax",
    "RIA Novosti", "Ukrinform", "Укрінформ", "Укринформ", "УНІАН", "УНИАН", "ТАСС", "РИА Новости", "Интерфакс", "Рейтер",
    "新华社", "中新社", "路透社", "法新社", "美联社", "中央社",
)  # fmt: skip
_FOLDED_AGENCIES = tuple(name.casefold() for name in _AGENCIES)
_OPENING, _CLOSING = '-–—|(（«"“ \t\n', ')）»"” \t\n'
_NEGATIONS = frozenset({"no", "not", "never", "без", "не", "нет", "ні", "немає"})
#: What turns a report into another one though it is written small: headlines count in words up to ten or so.
_COUNTS = frozenset(
    _WORD.findall(
        "two three four five six seven eight nine ten eleven twelve hundred thousand million billion "
        "два две двух двое три трех трое четыре четырех четверо пять пяти пятеро шесть шести семь семи восемь восьми "
        "девять девяти десять десяти сто тысяча тысячи дві двоє трьох троє чотири чотирьох шість сім вісім тисяча"
    )
)
_TELLING_HAN = frozenset("不没沒無无未非否一二三四五六七八九十百千万萬亿億两兩")


@dataclass(frozen=True, slots=True)
class Wording:
    """What of an item is compared word by word."""

    #: of both, the first `COMPARED` characters
    title: str
    text: str
    source: str
    #: the feed's address
    feed: str
    #: hash of the canonical link; 0 if there is none
    link: int
    at: datetime


def wording(item: Item) -> Wording:
    link = zlib.crc32(item.canonical_link.encode("utf-8", "replace"))
    return Wording(item.title[:COMPARED], item.text[:COMPARED], item.source, item.feed.url, link, item.at)


@dataclass(frozen=True, slots=True)
class Repetition:
    """Whether a text repeats another, and why, or why not."""

    is_copy: bool
    because: str


def repetition(one: Wording, other: Wording) -> Repetition:
    """Compare two texts, in either order."""
    mine, theirs = (_bare(wording, (one.source, other.source)) for wording in (one, other))
    here, there = _squeezed(mine), _squeezed(theirs)
    if not here or not there:
        return Repetition(False, "there is nothing to compare")
    if abs(one.at - other.at) > WINDOW:
        return Repetition(False, "more than 48 hours lie between them")
    if here == there:
        return Repetition(True, f"the same text as “{other.title}” ({other.source})")
    overlap = _overlap(here, there)
    if overlap < OVERLAP:
        return Repetition(False, f"{overlap:.0%} of their wording is the same, and a copy has {OVERLAP:.0%}")
    # publishers reuse their own templates: within one source only the same page is a copy
    if one.feed == other.feed and not (one.link and one.link == other.link):
        return Repetition(False, f"{overlap:.0%} the same text, but from one source and on two pages: a template")
    if differ := _telling_difference(mine, theirs):
        return Repetition(False, f"{overlap:.0%} the same text, but not the same {differ}")
    because = f"{overlap:.0%} the same text as “{other.title}” ({other.source}), with the same numbers and names"
    return Repetition(True, because)


def same_words(one: Wording, other: Wording) -> bool:
    """Whether two texts are word for word the same, whenever they were published."""
    mine, theirs = (_squeezed(_bare(wording, (one.source, other.source))) for wording in (one, other))
    return bool(mine) and mine == theirs


def without_reissue(title: str) -> str:
    """A headline without the "UPDATE 1-" before it."""
    return _REISSUE.sub("", title)


def numbers(text: str) -> set[str]:
    return set(_NUMBER.findall(text))


def words(text: str) -> set[str]:
    """The words of a text, folded; short ones are left out."""
    return {word for word in _WORD.findall(fold(text)) if len(word) > SHORT and not word.isdigit()}


def _bare(one: Wording, outlets: tuple[str, ...]) -> str:
    """The text without "UPDATE 1-" before it and without the names of the outlets after headline and text."""
    return f"{_uncredited(without_reissue(one.title), outlets)}\n{_uncredited(one.text[:COMPARED], outlets)}"


def _uncredited(text: str, outlets: tuple[str, ...]) -> str:
    for _ in range(CREDITS):
        rest = _without_credit(text, outlets)
        if rest == text:
            break
        text = rest
    return text


def _without_credit(text: str, outlets: tuple[str, ...]) -> str:
    """The text without the "- Reuters" or "（新华社）" at its end; by hand: a pattern for it could be made to run for hours."""
    end = text.rstrip(_CLOSING)
    if not end[-CREDIT:].casefold().endswith((*_FOLDED_AGENCIES, *(outlet.casefold() for outlet in outlets if outlet))):
        return text  # nearly always
    for name in (*_AGENCIES, *filter(None, outlets)):
        if end[-len(name) :].casefold() == name.casefold():
            before = end[: -len(name)].rstrip()
            if before.rstrip(_OPENING) != before:
                return before.rstrip(_OPENING)
    return text


def _squeezed(text: str) -> str:
    return " ".join(_WORD.findall(fold(text)))


def _overlap(one: str, other: str) -> float:
    """Jaccard of the shingles."""
    mine, theirs = _shingles(one), _shingles(other)
    shared = len(mine & theirs)
    return shared / (len(mine) + len(theirs) - shared)


@lru_cache(maxsize=16)  # an item is compared with several others
def _shingles(text: str) -> frozenset[tuple[str, ...]]:
    # as tuples: slices take two thirds more time
    return frozenset(zip(*(text[n:] for n in range(SHINGLE)), strict=False)) or frozenset([tuple(text)])


def _telling_difference(mine: str, theirs: str) -> str:
    """What tells two nearly equal texts apart after all; empty if nothing does."""
    if numbers(mine) != numbers(theirs):
        return f"numbers ({_few(numbers(mine) ^ numbers(theirs))})"
    # a word that one text has and the other lacks could be a name, or count, or turn the sense round
    words = set(_WORD.findall(mine)) ^ set(_WORD.findall(theirs))
    if telling := {word for word in words if word[0].isupper() or fold(word) in _NEGATIONS | _COUNTS}:
        return f"names or counts ({_few(telling)})"
    # Han has no capitals, so that characters which stand in for others may be a name; added ones are a credit
    here, there = Counter(_HAN.findall(mine)), Counter(_HAN.findall(theirs))
    added, lost = here - there, there - here
    if (added and lost) or not _TELLING_HAN.isdisjoint(added + lost):
        return f"characters ({_few({*added, *lost})})"
    return ""


def _few(words: Iterable[str]) -> str:
    return ", ".join(sorted(words)[:4])
