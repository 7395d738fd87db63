"""Tell what is new in a document from what we know: items under another name, items that were edited, and storms of old
items that a publisher made look new. Pure: what is known comes in as an argument.

An item is known by its first identity or, when its publisher changed that (a new guid scheme, http to https, a new
site), by one of its other keys: its link, its title with its page's path, its title with its time. Another key counts only
if the item that bears it is not in the document itself: then the two stand side by side, and are two.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from monitor.model import FeedState, Item, Version
from monitor.text import fold, sentences

#: key -> the id of the item that bears it, and its `content`
Known = Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Sighting:
    """An item of the document that we know already."""

    #: under the id by which we know it
    item: Item
    #: its words are not what they were; whether that matters is `is_material`'s to say
    changed: bool


@dataclass(frozen=True, slots=True)
class Recognised:
    """A document's items, sorted by what we know of them; each in document order."""

    new: tuple[Item, ...]
    known: tuple[Sighting, ...]
    #: names under which they are to be known from now on -> ids
    aliases: Mapping[str, str]


# -- who is it ------------------------------------------------------------------------------------


def recognise(items: Sequence[Item], known: Known, versions: Mapping[str, Version]) -> Recognised:
    """Sort a document's items into new and known ones.

    known: of the items' ids and keys, those that an earlier poll brought. versions: what the items say that are known by
    another key alone; an id that is missing there is not taken for known.
    """
    here = {known[item.id][0] for item in items if item.id in known}
    new: list[Item] = []
    sightings: dict[str, Sighting] = {}
    aliases: dict[str, str] = {}
    for item in items:
        found = known.get(item.id)
        if found is None and (found := _by_another_key(item, known, versions, here)):
            aliases |= dict.fromkeys((item.id, *item.keys), found[0])
        if found is None:
            new.append(item)
            aliases |= dict.fromkeys(item.keys, item.id)
            continue
        item_id, content = found
        here.add(item_id)
        # before there were hashes, nothing was ever taken for changed
        changed = content not in ("", item.content)
        # under two of its names in one document, with two titles maybe: its own one speaks, else it would change every time
        if item_id not in sightings or item.id == item_id:
            sightings[item_id] = Sighting(item if item.id == item_id else replace(item, id=item_id), changed)
    return Recognised(tuple(new), tuple(sightings.values()), aliases)


def strangers(items: Sequence[Item], known: Known) -> list[str]:
    """Give the ids of items that are known by another key alone: their versions decide whether they are the same."""
    return list(
        dict.fromkeys(known[key][0] for item in items if item.id not in known for key in item.keys if key in known)
    )


def _by_another_key(
    item: Item, known: Known, versions: Mapping[str, Version], here: set[str]
) -> tuple[str, str] | None:
    for key in item.keys:
        found = known.get(key)
        if found and found[0] not in here and (version := versions.get(found[0])) and _is_same(item, version):
            return found
    return None


def _is_same(item: Item, version: Version) -> bool:
    """Say whether an item under a new name is the one we know.

    A link alone is not enough: some pages (a live blog, a daily briefing) carry another story every day. Nor is a title:
    "Morning briefing" comes every day, on another page or the same one, with another time and text.
    """
    if item.published is not None and item.published == version.published:
        return True
    if fold(item.title) != fold(version.title) and _shared(item.title, version.title) < _SAME_WORDS:
        return False
    same_page = item.canonical_link != "" and item.canonical_link == version.canonical_link
    if item.published is None or version.published is None:
        return same_page or fold(item.title) == fold(version.title)
    same_time = abs(item.published - version.published) <= _REDATED
    return same_time or (same_page and not _is_rewritten(version.text, item.text))


#: A publisher that moves its pages may write its times anew, but not by more than this.
_REDATED = timedelta(hours=1)
#: Two titles of one page are one item's if they share so much of their words (Jaccard).
_SAME_WORDS = 0.4


# -- what changed ---------------------------------------------------------------------------------

_COUNTED = r"comments?|views?|likes?|readers?|replies|комментари\w*|коментар\w*|просмотр\w*|перегляд\w*"
_COUNTED_HAN = "阅读|閱讀|评论|評論|浏览|瀏覽"
#: The look behind keeps a text of nothing but digits from costing the square of its length.
_NUMBER = r"(?<![\d.,])\d[\d.,]*"
#: What changes while nothing happens: clocks, "5 min ago", numbers of comments and readers.
#: For folded text. Rates ("4.25"), votes, points and shares are news, and no clocks or counters.
_CLOCKS = re.compile(
    r"\b\d{1,2}:\d{2}(?::\d{2})?\b(?:\s*[ap]\.?m\b\.?)?|\b\d{1,2}\.\d{2}\s*[ap]\.?m\b\.?"
    r"|\b(?:\d+|an?)\s*(?:s|sec\w*|m|min\w*|h|hours?|hrs?|d|days?|weeks?)\.?\s+ago\b"
    r"|\b\d+\s*(?:сек\w*|минут\w*|мин|ч|час\w*|дн\w*|день|хв\w*|год|годин\w*)\.?\s+(?:назад|тому)\b"
    r"|(?<!\d)\d+\s*(?:秒|分钟|分鐘|个?小时|個?小時|天)之?前"
    rf"|{_NUMBER}\s*[km]?\s*(?:{_COUNTED})\b|\b(?:{_COUNTED})\s*[:(]\s*\d[\d., ]*\)?"
    rf"|{_NUMBER}\s*万?\s*[条條次]?\s*(?:{_COUNTED_HAN})|(?:{_COUNTED_HAN})[量数]?\s*[:(]?\s*\d+\s*[)万]?"
)
#: A Han character counts as one.
_WORDS = re.compile("[\u3400-\u9fff]|[^\\W\u3400-\u9fff]+")
#: A text that shares less than this of its words with the old one says something else (Jaccard).
_SAME_TEXT = 0.7
#: A text of fewer words ("Read more") is none.
_FEW_WORDS = 5


def is_material(before: Version, title: str, text: str) -> bool:
    """Say whether an edit tells a reader anything new.

    In the title every word and number counts, and their order ("3 killed", then "7 killed"); in the text only a rewriting
    does, and a title or text that merely comes or goes (some servers leave it out every other time) does not.
    """
    if text == before.text and title == next(iter(sentences(text)), ""):
        return False  # `parse` lets the text speak for a title that is missing
    return _words(title) != _words(before.title) or _is_rewritten(before.text, text)


def _is_rewritten(before: str, text: str) -> bool:
    shorter, longer = sorted(({word for word in _words(one) if not word.isdigit()} for one in (before, text)), key=len)
    # a teaser that was cut elsewhere, or grew a paragraph, says the same
    return len(shorter) >= _FEW_WORDS and len(shorter & longer) / len(shorter) < _SAME_TEXT


def _words(text: str) -> list[str]:
    return _WORDS.findall(_CLOCKS.sub(" ", fold(text)))


def _shared(one: str, other: str) -> float:
    a, b = set(_words(one)), set(_words(other))
    return len(a & b) / len(a | b) if a | b else 0.0


# -- storms and gaps ------------------------------------------------------------------------------

#: So many old items that look new are a storm, if they are so much of the document.
STORM, STORM_SHARE = 8, 0.5
#: A publisher's own queue may be late by so much.
_LATE = timedelta(hours=2)


def storm(recognised: Recognised, state: FeedState) -> str:
    """Say why what a poll made new is not to be believed; empty if it is.

    Something new that was published before the last poll should have been there at the last poll. A few such items are
    an editor's doing; a document full of them is a publisher who changed every identity, or brought back an archive. Items
    without a time are suspected alike, if the poll before was not long ago. What is newer than all we know is believed: a
    server that answered "not modified" for a day, and lied, comes out with a day's news at once.
    """
    new, last = recognised.new, state.last_success
    if state.first_success is None or last is None or state.released:
        return ""
    old = [item for item in new if is_suspect(item, state)]
    total = len(new) + len(recognised.known)
    if len(old) < max(STORM, STORM_SHARE * total):
        return ""
    return f"{len(old)} of {total} items are new to us, but older than our last poll, or without a time"


def is_suspect(item: Item, state: FeedState) -> bool:
    """Say whether a new item should have been seen at the last poll."""
    last = state.last_success
    if last is None:
        return False
    if item.published is None:
        return item.first_seen - last < timedelta(hours=12)
    newest = state.rhythm.newest
    return item.published < last - _LATE and (newest is None or item.published <= newest)


def is_gap(recognised: Recognised, state: FeedState) -> bool:
    """Say whether a poll has nothing in common with the one before: items may have come and gone in between."""
    return state.first_success is not None and len(recognised.new) >= _FULL and not recognised.known


#: Fewer items than these may all be new on a quiet feed's busy day.
_FULL = 5
