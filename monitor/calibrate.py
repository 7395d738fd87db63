"""How well a topic's bar parts what is on its subject from what is not, by what people judged. Pure.

Takes judged items with what the topic makes of each, gives shares with their intervals; of few items it says so instead.
What nobody judged counts for nothing: feedback knows what alerted, tests what an author thought of; labels are a fair draw.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tabulate import tabulate

from monitor.model import Alert, Feed, Feedback, FeedbackKind, Item, Label, LabelOrigin, Match, MatchOutcome, Topic
from monitor.text import text_hash

#: Bars that are shown beside the file's own: one in so many ordinary items.
STEPS = (100, 200, 500, 1000, 2000, 5000, 10_000)
#: A share is worth telling if its interval (95 %) is no wider than this.
WIDEST = 0.4
_NO_TIME = datetime.min.replace(tzinfo=UTC)
#: of a normal distribution, 95 %
_Z = 1.959964


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many, and where the true share lies: Wilson's score interval, 95 %."""

    part: int
    of: int

    @property
    def value(self) -> float | None:
        return self.part / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float]:
        """0 to 1 where there is nothing to tell by."""
        if not self.of:
            return 0.0, 1.0
        share, n, z2 = self.part / self.of, self.of, _Z * _Z
        middle = (share + z2 / (2 * n)) / (1 + z2 / n)
        reach = _Z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
        # exactly 0 or 1 where none or all are: rounding would leave a trace
        return (0.0 if self.part == 0 else middle - reach, 1.0 if self.part == self.of else middle + reach)

    @property
    def tells(self) -> bool:
        low, high = self.interval
        return high - low <= WIDEST


@dataclass(frozen=True, slots=True)
class Setting:
    """A bar, and what comes of it."""

    noise: float
    #: of what it takes, what is on the subject
    precision: Share
    #: of what is on the subject, what it leaves
    missed: Share


@dataclass(frozen=True, slots=True)
class Calibration:
    topic: Topic
    #: judged items, by who said so
    origins: Mapping[LabelOrigin, int]
    on: int
    #: loosest first; the file's own among them
    settings: tuple[Setting, ...]

    @property
    def judged(self) -> int:
        return sum(self.origins.values())


def calibrate(topic: Topic, judged: Sequence[tuple[Label, Match]]) -> Calibration:
    """Say what each bar would make of what was judged.

    judged: with the topic's own judgement at a bar no stricter than the loosest that is shown (`loose`).
    """
    noises = sorted({*(1 / step for step in STEPS), topic.noise}, reverse=True)
    return Calibration(
        topic,
        Counter(label.origin for label, _ in judged),
        sum(label.on for label, _ in judged),
        tuple(_setting(noise, judged) for noise in noises),
    )


def loose(topic: Topic) -> float:
    """The noise by which a topic is to be learnt, so that all of its settings can be told."""
    return max(topic.noise, 1 / STEPS[0])


def _setting(noise: float, judged: Sequence[tuple[Label, Match]]) -> Setting:
    taken = [label.on for label, match in judged if _takes(match, noise)]
    on = sum(label.on for label, _ in judged)
    return Setting(noise, Share(sum(taken), len(taken)), Share(on - sum(taken), on))


def _takes(match: Match, noise: float) -> bool:
    by_score = match.outcome in (MatchOutcome.MATCHED, MatchOutcome.MATCHED_OPINION)
    return match.outcome is MatchOutcome.MATCHED_TERM or (by_score and match.score >= -math.log10(noise) - 1e-9)


# -- who judged -----------------------------------------------------------------------------------


def labels_of_tests(topic: Topic) -> Iterator[Label]:
    """What the topic's author asks of it."""
    for test in topic.tests:
        item = Item(text_hash(test.title), Feed("test:"), test.title, test.text, "", "", test.lang, None, _NO_TIME)
        yield Label(topic.id, item, test.alert, LabelOrigin.TEST)


def labels_of_feedback(said: Iterable[tuple[Alert, Sequence[Feedback]]]) -> Iterator[Label]:
    """What people's reactions say of alerts; nothing where as many say one as the other."""
    for alert, opinions in said:
        useful = len({one.user for one in opinions if one.kind is FeedbackKind.USEFUL})
        wrong = len({one.user for one in opinions if one.kind is FeedbackKind.WRONG})
        if useful != wrong:
            for match in alert.matches:
                yield Label(match.topic, alert.item, useful > wrong, LabelOrigin.FEEDBACK)


def each_once(labels: Iterable[Label]) -> list[Label]:
    """Each item once for its topic, as it was judged last: give tests first, then feedback, then labels."""
    return list({(label.topic, label.item.title, label.item.text): label for label in labels}.values())


def to_label(scores: Mapping[str, float], titles: Mapping[str, str], known: Iterable[str], count: int) -> list[str]:
    """Draw items to be judged, of those that score at least as high as the loosest bar: a fair draw, by hashes of their ids.

    scores, titles: by item id, the former in decades. known: titles that were judged already; of others each comes once.
    """
    near = sorted(
        (item for item, score in scores.items() if score >= math.log10(STEPS[0])), key=text_hash, reverse=True
    )
    once = {titles[item]: item for item in near}
    return [item for title, item in reversed(once.items()) if title not in set(known)][:count]


# -- words ----------------------------------------------------------------------------------------


def calibration_text(one: Calibration) -> str:
    """A topic's settings, a line each, for a terminal."""
    origins = ", ".join(f"{count} by {origin}" for origin, count in one.origins.items())
    said = f"{one.judged} judged{f' ({origins})' if origins else ''}, {one.on} on the subject"
    head = f"{one.topic.id} · {one.topic.title}\n  {said}"
    rows = [
        (
            f"1/{1 / each.noise:,.0f}{' (the file)' if each.noise == one.topic.noise else ''}",
            f"{each.precision.part} of {each.precision.of}",
            _share(each.precision),
            f"{each.missed.part} of {each.missed.of}",
            _share(each.missed),
        )
        for each in one.settings
    ]
    heads = ["noise", "right of taken", "precision", "missed", "miss rate"]
    table = tabulate(rows, heads, "simple", disable_numparse=True, colalign=("left", "right", "left", "right", "left"))
    lines = [f"  {line}" for line in table.splitlines()]
    return "\n".join([head, *lines, *(f"  {said}" for said in lacks(one))])


def lacks(one: Calibration) -> list[str]:
    """What is missing before the file's own setting can be told."""
    own = next(each for each in one.settings if each.noise == one.topic.noise)
    said = []
    if not own.precision.tells:
        said.append(
            f"too little to tell the precision: {own.precision.of} of what it takes were judged; --label asks for more"
        )
    if not own.missed.tells:
        said.append(
            f"too little to tell the miss rate: {own.missed.of} judged items are on the subject; --label finds more"
        )
    elif not one.origins.get(LabelOrigin.LABEL):
        said.append("the miss rate is of what alerted or an author thought of; --label draws from all that comes near")
    return said


def _share(share: Share) -> str:
    if share.value is None or not share.tells:
        return "too little"
    low, high = share.interval
    return f"{share.value:.0%} ({low:.0%} to {high:.0%})"


def calibration_data(one: Calibration) -> dict[str, object]:
    """The same for programs; also where there is too little to tell."""
    return {
        "topic": one.topic.id,
        "noise": one.topic.noise,
        "judged": {origin.value: count for origin, count in one.origins.items()},
        "on": one.on,
        "settings": [
            {"noise": each.noise, "precision": _share_data(each.precision), "miss_rate": _share_data(each.missed)}
            for each in one.settings
        ],
        "lacks": lacks(one),
    }


def _share_data(share: Share) -> dict[str, object]:
    low, high = share.interval
    value = None if share.value is None else round(share.value, 4)
    return {
        "part": share.part,
        "of": share.of,
        "share": value,
        "low": round(low, 4),
        "high": round(high, 4),
        "tells": share.tells,
    }
