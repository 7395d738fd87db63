"""An archive through the same steps as live items: its own times are the clock, nothing is sent, no state is left behind.

A root that waits for corroboration stands in no row's `alerts` until a later item completes it: then in that item's, as a
root of the topics that it waited under. One that nothing completes stands in none: live it would go out at its deadline,
and from then on items are replies.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from monitor.language import identified
from monitor.learning import Learning
from monitor.match import Matcher
from monitor.model import Alert, EmbeddedItem, Item, Match, Record
from monitor.phrases import why
from monitor.pipeline import Judge, Roots

#: Which items are put in stories.
Stories: TypeAlias = Literal["all", "matched", "none"]

#: Items embedded at once: enough to sort by length, few enough that lines come steadily.
CHUNK = 256


@dataclass(frozen=True, slots=True)
class Replayed:
    """What one item of an archive came to."""

    item: Item
    matches: tuple[Match, ...]
    #: None where the item was put in no story
    record: Record | None
    #: rarity in decades for every topic; empty unless asked for
    scores: Mapping[str, float]
    #: roots that waited, and that this item completes
    released: tuple[Alert, ...] = ()

    def row(self, *, with_scores: bool) -> dict[str, object]:
        """The line that `monitor replay` prints."""
        placement = self.record.placement if self.record else None
        decision = self.record.decision if self.record else None
        row: dict[str, object] = {
            "id": self.item.id,
            "story": placement.story if placement else None,
            "relation": placement.relation.value if placement else None,
            "matches": [
                {"topic": m.topic, "score": round(m.score, 4), "because": why(m)} for m in self.matches if m.matched
            ],
            "alerts": _alerts((*self.released, *decision.alerts)) if decision else [],
        }
        if with_scores:
            row["scores"] = {topic: round(score, 4) for topic, score in self.scores.items()}
        return row


def replay(
    items: Sequence[Item], learning: Learning, judge: Judge, stories: Stories, *, with_scores: bool
) -> Iterator[Replayed]:
    """Put items through match, group and decide, in the order given."""
    matcher = judge.matcher
    embed = learning.embed if matcher.topics else learning.embed_gists
    roots = Roots(lambda _story: {}, judge)
    for start in range(0, len(items), CHUNK):
        chunk = items[start : start + CHUNK]
        judge.stories.forget()
        for embedded in embed(list(map(identified, chunk))):
            item = embedded.item
            matches = tuple(matcher.judge(embedded))
            record = None
            released: tuple[Alert, ...] = ()
            if stories == "all" or (stories == "matched" and any(match.matched for match in matches)):
                record = judge.judge(embedded, matches, first_poll=False, told=roots.told, now=item.at)
                released = _released(record, roots)
                roots.note(record)
            scores = _scores(matcher, embedded) if with_scores else {}
            yield Replayed(item, matches, record, scores, released)


def _scores(matcher: Matcher, embedded: EmbeddedItem) -> dict[str, float]:
    return dict(zip(matcher.topics, map(float, matcher.scores(embedded)), strict=True))


def _released(record: Record, roots: Roots) -> tuple[Alert, ...]:
    told = roots.told(record.placement.story)
    return tuple(root.alert for root in told.values() if root.alert.id in record.decision.released)


def _alerts(alerts: Iterable[Alert]) -> list[dict[str, str]]:
    return [{"topic": match.topic, "kind": alert.kind.value} for alert in alerts for match in alert.matches]
