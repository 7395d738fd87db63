"""What a pack of topics lacks: matters of its subject that no topic takes, matters within a topic that deserve one of their
own, and what was missed, with the terms and examples that would have caught it.

The pack's subject is a topic too, learnt of all that its topics are learnt of. Proposes, and changes nothing.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.background import Background, Matrix, Tongue
from monitor.explain import one_in
from monitor.hindsight import Judged, Looked
from monitor.model import Item, Label, Match, MatchOutcome, Topic
from monitor.text import clip, fold, gist, script
from monitor.words import WordWeights, stems, word_ids

#: The id of the topic that stands for the pack; no file can have it.
PACK = "~pack"
#: Items are of the pack's subject from this rarity on; of a topic one would ask for far more.
SUBJECT = 1 / 30
#: A pack is learnt from so many texts of its topics at most.
_PACK_TEXTS = 500
#: Items are of one matter from this likeness to its middle on, as `cosine` gives it. By eye, on 62 headlines: from 0.45 on a
#: group is reports of one event, from 0.35 on of one matter.
ALIKE = 0.35
#: A matter has so many different headlines at least; so many items are compared with one another at most.
LEAST, MOST = 3, 3000
#: A matter within a topic has so many headlines at least, and this share of what the topic takes.
PART_LEAST, PART_SHARE = 6, 0.25
#: Words that are named of a matter, headlines that are shown, and characters of each.
WORDS, SHOWN, _LONGEST = 5, 4, 110


@dataclass(frozen=True, slots=True)
class Matter:
    """Items of one matter."""

    #: the most central first, each headline once
    items: tuple[Item, ...]
    #: words that most of their headlines have, the most telling first
    words: tuple[str, ...]
    #: the topic that they are nearest to, or that takes them; and how rare they are in its sense, in decades, at the median
    topic: str
    rarity: float
    #: items of the topic that takes them; 0 if none does
    of: int = 0


@dataclass(frozen=True, slots=True)
class Missed:
    """An item that was on a topic's subject, or seems so, and was not taken."""

    item: Item
    match: Match
    #: a person said that it is on the subject
    judged: bool
    #: words of its headline that would let it in, or ever so many like it; none if no term is in the way
    terms: tuple[str, ...]


def subject(topics: Sequence[Topic]) -> Topic:
    """The pack as a topic; there must be a topic."""
    texts = [text for topic in topics for text in (topic.title, topic.description, *topic.examples)]
    few = dict.fromkeys(texts[:: math.ceil(len(texts) / _PACK_TEXTS)])
    return Topic(PACK, topics[0].title, topics[0].description, examples=tuple(few), noise=SUBJECT)


def uncovered(looked: Sequence[Looked], background: Background) -> list[Matter]:
    """Matters of the pack's subject that no topic takes; the largest first.

    looked: each topic's, and `subject`'s.
    """
    topics = [one for one in looked if one.topic.id != PACK]
    taken = {one.item.id for each in topics for one in each.judged if one.match.matched}
    # shut out by a negative, a term or the scope: somebody wanted that
    refused = {one.item.id for each in topics for one in each.judged if one.match.outcome in _REFUSED}
    near = [
        one
        for each in looked
        if each.topic.id == PACK
        for one in each.judged
        if one.match.matched and one.item.id not in taken | refused
    ]
    return [_matter(group, topics, background, 0) for group in _groups(near, background, LEAST)]


_REFUSED = (MatchOutcome.NEARER_NEGATIVE, MatchOutcome.EXCLUDED_TERM, MatchOutcome.OUT_OF_SCOPE)


def parts(looked: Sequence[Looked], background: Background) -> list[Matter]:
    """Matters within topics that are a good part of what they take, and not nearly all of it."""
    found: list[Matter] = []
    for each in looked:
        taken = _each_once(one for one in each.judged if one.match.matched)
        if each.topic.id != PACK:
            some = _groups(taken, background, PART_LEAST)
            good = [group for group in some if PART_SHARE <= len(group) / len(taken) <= 1 - PART_SHARE]
            found += [_matter(group, [each], background, len(taken)) for group in good]
    return found


def missed(
    looked: Sequence[Looked], labels: Sequence[tuple[Label, Match]], background: Background
) -> dict[str, list[Missed]]:
    """By topic, what a person wanted and did not get, and what is rare enough but lacks a required term.

    labels: with the topics' own judgements.
    """
    found: dict[str, list[Missed]] = {}
    known = set()
    for label, match in labels:
        if label.on and not match.matched:
            known.add((label.topic, label.item.title))
            found.setdefault(label.topic, []).append(_missed(label.item, match, background, judged=True))
    for each in looked:
        for one in _each_once(each.judged):
            if one.match.outcome is MatchOutcome.NO_REQUIRED_TERM and (each.topic.id, one.item.title) not in known:
                found.setdefault(each.topic.id, []).append(_missed(one.item, one.match, background, judged=False))
    return found


def _missed(item: Item, match: Match, background: Background, *, judged: bool) -> Missed:
    lacks = match.outcome is MatchOutcome.NO_REQUIRED_TERM
    return Missed(item, match, judged, common_words([item.title], background.word_weights) if lacks else ())


# -- matters --------------------------------------------------------------------------------------


def _each_once(judged: Iterable[Judged]) -> list[Judged]:
    """Each headline once, the rarest: five outlets that print one text are no matter."""
    ordered = sorted(judged, key=lambda one: (-one.match.score, one.item.id))
    return list({fold(one.item.title): one for one in reversed(ordered)}.values())[::-1]


def _groups(judged: Iterable[Judged], background: Background, least: int) -> list[list[Judged]]:
    some = _each_once(judged)[:MOST]
    if len(some) < least:
        return []
    tongues = [Tongue(one.item.language, script(gist(one.item.title, one.item.text))) for one in some]
    units = background.units(np.stack([one.vector for one in some]), tongues)
    return [[some[place] for place in group] for group in groups(likeness(units, background), least)]


def likeness(units: Matrix, background: Background) -> Matrix:
    """How alike texts are, each to each: the mean over the parts that live in both, as `cosine`."""
    living = np.stack([np.any(units[:, start:end], axis=1) for start, end in background.bounds]).sum(axis=0)
    return np.asarray(units @ units.T / np.maximum(np.minimum(living[:, None], living), 1), dtype=np.float32)


def groups(alike: Matrix, least: int) -> list[list[int]]:
    """Put together what is like one middle: again and again the one that has most left about it, with these.

    Each group has its middle first, then the likest; the largest group first. Not what is like what is like …: chains join all.
    """
    near: NDArray[np.bool_] = alike >= ALIKE
    np.fill_diagonal(near, val=True)
    left = np.ones(len(near), dtype=np.bool_)
    found = []
    while len(near):
        counts = (near & left).sum(axis=1) * left
        middle = int(counts.argmax())
        if counts[middle] < least:
            break
        group = np.flatnonzero(near[middle] & left)
        left[group] = False
        ordered = sorted(group.tolist(), key=lambda place: (place != middle, -float(alike[middle, place])))
        found.append(ordered)
    return found


def _matter(group: Sequence[Judged], topics: Sequence[Looked], background: Background, of: int) -> Matter:
    rarities = {
        each.topic.id: float(np.median([each.scores.get(one.item.id, 0.0) for one in group])) for each in topics
    }
    nearest = max(rarities, key=rarities.__getitem__, default="")
    items = tuple(one.item for one in group)
    words = common_words([item.title for item in items], background.word_weights)
    return Matter(items, words, nearest if rarities.get(nearest) else "", rarities.get(nearest, 0.0), of)


_WORD = re.compile(r"[^\W\d_][\w'’-]+")
_HAN = re.compile(r"[\u3400-\u9fff]{2}")


def common_words(titles: Sequence[str], weights: WordWeights) -> tuple[str, ...]:
    """The words that two of five headlines have, by how much they tell and in how many they are; as most write them."""
    written: dict[str, Counter[str]] = {}
    counts = Counter[str]()
    for title in titles:
        seen = set()
        for word in itertools.chain(_WORD.findall(title), _HAN.findall(title)):
            for stem in stems(word) if not _HAN.match(word) or len(word) == 2 else ():
                written.setdefault(stem, Counter())[word] += 1
                seen.add(stem)
        counts.update(seen)
    telling = {
        stem: float(weights.telling(word_ids(written[stem].most_common(1)[0][0])).max(initial=0)) for stem in counts
    }
    common = [stem for stem, count in counts.items() if count >= max(0.4 * len(titles), 1) and telling[stem] > _DULL]
    common.sort(key=lambda stem: (-telling[stem] * math.sqrt(counts[stem]), stem))
    return tuple(dict.fromkeys(written[stem].most_common(1)[0][0] for stem in common))[:WORDS]


#: Words of more than one in fifty ordinary items tell nothing.
_DULL = math.log(50)


# -- words ----------------------------------------------------------------------------------------


def suggestions_text(
    covered_not: Sequence[Matter], within: Sequence[Matter], missing: dict[str, list[Missed]], limit: int
) -> str:
    """All of it, a paragraph a matter; at most `limit` of each kind."""
    blocks = [f"Of the pack's subject, and taken by no topic: {len(covered_not)} matter{'s' * (len(covered_not) != 1)}"]
    blocks += ["\n".join(_matter_lines(one)) for one in covered_not[:limit]]
    if within:
        blocks.append("Within a topic, and perhaps one of its own")
        blocks += ["\n".join(_matter_lines(one)) for one in within[:limit]]
    if missing:
        for heading, judged in (
            ("Missed, as people judged", True),
            ("Kept out by a required term alone: rightly?", False),
        ):
            listed = {topic: [one for one in found if one.judged is judged] for topic, found in missing.items()}
            lists = ["\n".join(_missed_lines(topic, found, limit)) for topic, found in listed.items() if found]
            blocks += [heading, *lists] if lists else []
    return "\n\n".join(blocks)


def _matter_lines(matter: Matter) -> Iterator[str]:
    times = [item.at for item in matter.items]
    sources = len({item.source for item in matter.items})
    at = f"{matter.topic}: {len(matter.items)} of its {matter.of}" if matter.of else f"{len(matter.items)}"
    near = f"; nearest topic {matter.topic}, 1 in {one_in(matter.rarity)}" if matter.topic and not matter.of else ""
    yield f"  {at} headlines, {_count(sources, 'source')}, {min(times):%Y-%m-%d} to {max(times):%Y-%m-%d}{near}"
    if matter.words:
        yield f"    words  {', '.join(matter.words)}"
    for item in matter.items[:SHOWN]:
        yield f"    {clip(item.title, _LONGEST)} ({item.source})"
    # quoted as a shell takes it in single quotes, whatever a stranger wrote
    asked = " ".join(f"--headline {_shell(clip(item.title, _LONGEST))}" for item in matter.items[:SHOWN])
    yield f"    monitor rules new ID {asked}"


def _shell(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _missed_lines(topic: str, found: Sequence[Missed], limit: int) -> Iterator[str]:
    yield f"  {topic}: {len(found)}"
    for one in found[:limit]:
        yield f"    {clip(one.item.title, _LONGEST)} ({one.item.source}), 1 in {one_in(one.match.score)}"
        if one.judged:
            yield f"      {advice(one)}"
    if len(found) > limit:
        yield f"    … and {len(found) - limit} more (--limit)"


def advice(missed: Missed) -> str:
    """What would have caught an item."""
    match = missed.match
    match match.outcome:
        case MatchOutcome.NO_REQUIRED_TERM:
            words = ", ".join(json.dumps(word.lower(), ensure_ascii=False) for word in missed.terms) or "a term of it"
            return f"has none of {clip(match.gate, 60)}: add one of {words}"
        case MatchOutcome.NEARER_NEGATIVE:
            return f"nearer to the negative “{clip(match.negative, 72)}”: take that out, or add this to examples"
        case MatchOutcome.EXCLUDED_TERM:
            return f"shut out by the term “{match.gate}”"
        case MatchOutcome.OUT_OF_SCOPE:
            return f"out of scope: {match.gate}"
        case _:
            return "below the bar: add it to examples"


def suggestions_data(
    covered_not: Sequence[Matter], within: Sequence[Matter], missing: dict[str, list[Missed]]
) -> dict[str, object]:
    """The same for programs."""
    return {
        "uncovered": [_matter_data(one) for one in covered_not],
        "within": [_matter_data(one) for one in within],
        "missed": [
            {
                "topic": topic, "item": one.item.id, "title": one.item.title, "source": one.item.source,
                "score": round(one.match.score, 4), "outcome": one.match.outcome.value, "judged": one.judged,
                "terms": list(one.terms), "advice": advice(one),
            }
            for topic, found in missing.items() for one in found
        ],
    }  # fmt: skip


def _matter_data(matter: Matter) -> dict[str, object]:
    return {
        "topic": matter.topic,
        "rarity": round(matter.rarity, 4),
        "words": list(matter.words),
        "items": [
            {"id": item.id, "title": item.title, "source": item.source, "at": item.at.isoformat()}
            for item in matter.items
        ],
    }
