"""A second opinion on borderline judgements: which to ask about, what to ask, and what an answer comes to. Pure.

    Matches ─candidates─▶ borderline Matches ─question─▶ Question ─give (judges.py)─▶ Opinion ─apply─▶ Matches

Asks nobody and remembers nothing. Without an opinion the first judgement stands, and says that there was none.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Protocol

from monitor.model import Item, Match, MatchOutcome, Opinion, Question, Topic
from monitor.text import clip, plain, text_hash

#: What alone may be asked about: here the score decided. A term, a negative or the scope is the author's own word.
BY_SCORE = frozenset({MatchOutcome.MATCHED, MatchOutcome.BELOW_BAR})
#: Characters of an item that a judge is told: a lead of three paragraphs, and a bound on what a question costs.
TITLE_LIMIT, TEXT_LIMIT = 300, 1_500
REASON_LIMIT = 200

# -- which to ask about ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Borderline:
    """How near its bar a score is borderline; decades, ends included."""

    below: float = 0.5
    above: float = 0.3


def candidates(matches: Iterable[Match], policy: Borderline) -> list[Match]:
    """Give the borderline ones, nearest to their bar first: a budget that runs out is best spent on these.

    What a gate or a negative would keep out above the bar as well is not asked about.
    """
    near = [
        match
        for match in matches
        if match.outcome in BY_SCORE
        and not (match.gate or match.negative)
        and -policy.below <= match.score - match.bar <= policy.above
    ]
    return sorted(near, key=lambda match: abs(match.score - match.bar))


# -- what to ask ----------------------------------------------------------------------------------


def question(topic: Topic, item: Item) -> Question:
    return Question(
        topic=topic.id,
        fingerprint=fingerprint(topic),
        topic_title=topic.title,
        description=topic.description,
        examples=topic.examples,
        negatives=topic.negatives,
        title=clip(item.title, TITLE_LIMIT),
        text=clip(item.text, TEXT_LIMIT),
        language=item.language,
    )


def fingerprint(topic: Topic) -> str:
    """Give 16 hex digits over what a judge is told of a topic: another `noise` or channel changes no opinion."""
    return text_hash(json.dumps([topic.title, topic.description, topic.examples, topic.negatives]))


def cache_key(asked: Question, judge: str) -> str:
    """Give 64 hex digits of sha256: the same for the same judge (`SecondOpinion.id`), topic and words of an item.

    Not over the language: it is read off the words, and feeds may declare another one for the same report.
    """
    # as JSON no two lists are the same text, and lone surrogates are escaped
    told = json.dumps([judge, asked.topic, asked.fingerprint, asked.title, asked.text])
    return hashlib.sha256(told.encode()).hexdigest()


# -- the answer -----------------------------------------------------------------------------------


def no_opinion(why: str, by: str) -> Opinion:
    """Say that there is none, and why: "timeout", "over budget". Not to be cached: the next try may have one."""
    return Opinion(None, 0.0, one_line(why), by)


class SecondOpinion(Protocol):
    """One that may be asked."""

    #: name and revision of all that its answers depend on: those of different ids are never mixed
    id: str
    #: as people know it
    name: str

    async def give(self, questions: Sequence[Question]) -> list[Opinion]:
        """Answer each question, in order. Raises nothing: where it fails, the opinion is `no_opinion` with the cause."""
        ...


#: What Slack would read as a mark, a mention or the end of a link, and what looks like it and is nothing.
_MARKUP = str.maketrans("*_~`<>&|@#", "∗ˍ∼'‹›＆¦＠＃")
_ADDRESS = re.compile(r"(?:\b\w+)?://\S*|\bwww\.\S+", re.IGNORECASE)
#: Characters of a reason that are read: what is kept is far less, and the rest costs time.
_READ = 10 * REASON_LIMIT


def one_line(text: str) -> str:
    """Make a judge's reason safe to show: one plain line of at most REASON_LIMIT characters, no markup, no address.

    A judge has read a stranger's text and may repeat what that told it to say.
    """
    shown = plain(
        text[:_READ].encode("utf-8", "ignore").decode()
    )  # JSON can carry lone surrogates, which `plain` cannot
    return clip(_ADDRESS.sub("(link)", shown).translate(_MARKUP), REASON_LIMIT)


# -- what it comes to -----------------------------------------------------------------------------


def apply(match: Match, opinion: Opinion) -> Match:
    """Hold an opinion against the first judgement, which stands where none was had.

    Raises: ValueError if the judgement is none that may be asked about.
    """
    if match.outcome not in BY_SCORE:
        raise ValueError(f"{match.outcome}: nobody may overrule this")
    if opinion.relevant is None:
        return replace(match, opinion=f"no second opinion ({opinion.by}): {opinion.because}")
    says = f"{opinion.by} is {'for' if opinion.relevant else 'against'} it, {100 * opinion.confidence:.0f} % sure"
    said = replace(match, opinion=f"{says}: {opinion.because}" if opinion.because else says)
    if opinion.relevant == match.matched:
        return said
    outcome = MatchOutcome.MATCHED_OPINION if opinion.relevant else MatchOutcome.OPINION_AGAINST
    return replace(said, outcome=outcome)


# -- the budget -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Budget:
    """How many questions a day, in UTC, may still be asked."""

    limit: int
    #: questions asked on `day`
    spent: int
    day: date

    def spend(self, now: datetime) -> Budget | None:
        """Give what is left after one more question; None if it may not be asked.

        A clock that is set back stays in the latest day it has seen: it must not fill the purse again.
        """
        day = max(self.day, now.astimezone(UTC).date())
        spent = self.spent if day == self.day else 0
        return replace(self, spent=spent + 1, day=day) if spent < self.limit else None
