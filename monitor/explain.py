"""Why a person was told, or not: what is remembered of an item, or what would come of a text, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from monitor.model import (
    Delivery,
    DeliveryState,
    Explained,
    Feed,
    HoldReason,
    Item,
    Match,
    MatchOutcome,
    Placement,
    Relation,
    Timeline,
)
from monitor.text import fold

#: Topics shown for a text that nobody has seen before: those that took it, and as many of the nearest others.
NEAREST = 5


_JOINED = {Relation.COPY: "It is a copy", Relation.UPDATE: "It is an update"}


def explain(
    known: Explained, next_digest: datetime | None = None, places: Mapping[str, str] = MappingProxyType({})
) -> str:
    """All that is remembered of an item, a paragraph a question.

    next_digest: when what is held is told; None: nobody knows. places: file and line of topics, by id.
    """
    story = known.story
    told = ", ".join(story.sources[:6]) + (" …" if len(story.sources) > 6 else "")
    place = "It opened the story" if known.placement.relation is Relation.ROOT else _JOINED[known.placement.relation]
    return "\n".join(
        [
            *_item(known.item),
            "",
            f"Verdict   {known.verdict} — {known.because}",
            "",
            *_matches(known.matches, places, none="no topic came near: nothing above one in twenty ordinary items"),
            "",
            f"Story     {story.id}: {story.items} item{'s' * (story.items != 1)} from {told}",
            f"          {place}{' (by hand)' * known.by_hand}: {known.placement.because}",
            "",
            *_deliveries(known.deliveries, next_digest),
        ]
    )


def explain_text(title: str, matches: Sequence[Match], places: Mapping[str, str] = MappingProxyType({})) -> str:
    """What the topics make of a text."""
    ranked = sorted(matches, key=lambda match: (not match.matched, match.bar - match.score))
    taken = sum(match.matched for match in ranked)
    verdict = f"{taken} topic{'s' * (taken != 1)} would take it" if taken else "no topic would take it"
    return "\n".join(
        [f"Text      {title}", "", f"Verdict   {verdict}", "", *_matches(ranked[: taken + NEAREST], places, none="")]
    )


def as_data(matches: Iterable[Match], places: Mapping[str, str] = MappingProxyType({})) -> list[dict[str, object]]:
    """The same for programs."""
    return [
        {
            "topic": m.topic,
            "outcome": m.outcome.value,
            "matched": m.matched,
            "score": round(m.score, 3),
            "bar": round(m.bar, 3),
            "nearest": m.nearest,
            "negative": m.negative,
            "terms": list(m.terms),
            "gate": m.gate,
            "words": list(m.words),
            "unit": m.unit,
            "opinion": m.opinion,
            "place": places.get(m.topic, ""),
        }
        for m in matches
    ]


def explained_data(known: Explained, places: Mapping[str, str] = MappingProxyType({})) -> dict[str, object]:
    """All that is remembered of an item, for programs."""
    return {
        "id": known.item.id,
        "title": known.item.title,
        "source": known.item.source,
        "link": known.item.link,
        "verdict": known.verdict.value,
        "because": known.because,
        "matches": as_data(known.matches, places),
        "story": known.story.id,
        "relation": known.placement.relation.value,
        "story_because": known.placement.because,
        "by_hand": known.by_hand,
        "deliveries": [
            {
                "kind": d.alert.kind.value,
                "channel": d.alert.channel,
                "state": d.state.value,
                "receipt": d.receipt,
                **(_hold_data(d) if d.state is DeliveryState.HELD else {}),
            }
            for d in known.deliveries
        ],
    }


def _hold_data(delivery: Delivery) -> dict[str, object]:
    until = delivery.not_before
    return {"reason": delivery.reason, "because": delivery.because, "not_before": until and until.isoformat()}


def explain_pair(one: Explained, other: Explained, timeline: Timeline, compared: str) -> str:
    """Why two items are, or are not, one story.

    timeline: the story of the first. compared: what grouping says of the two by themselves.
    """
    pair = (one, other)
    together = one.story.id == other.story.id
    lines = [
        f"Verdict   one story: {one.story.id}"
        if together
        else f"Verdict   two stories: {one.story.id}, {other.story.id}",
        "",
        *(f"By hand   “{known.item.title}”: {known.placement.because}" for known in pair if known.by_hand),
    ]
    if together:
        lines += [f"Joined    {_joined([known.item.title, *joined_by(known.item.id, timeline)])}" for known in pair]
    return "\n".join([*lines, f"Compared  {compared}"])


def pair_data(one: Explained, other: Explained, timeline: Timeline, compared: str) -> dict[str, object]:
    """The same for programs."""
    together = one.story.id == other.story.id
    return {
        "one_story": together,
        "items": [
            {
                "id": known.item.id,
                "title": known.item.title,
                "story": known.story.id,
                "by_hand": known.by_hand,
                "because": known.placement.because,
                "joined_by": joined_by(known.item.id, timeline) if together else [],
            }
            for known in (one, other)
        ],
        "compared": compared,
    }


def joined_by(item_id: str, timeline: Timeline) -> list[str]:
    """The titles of what an item was joined by, and that, and so on to the root; empty for a root."""
    places = {telling.item.id: telling.placement for telling in timeline.tellings}
    titles = {telling.item.id: telling.item.title for telling in timeline.tellings}
    return [titles[parent] for parent in _ancestors(item_id, places)]


def _ancestors(item_id: str, places: Mapping[str, Placement]) -> Iterator[str]:
    met = {item_id}
    while (parent := places[item_id].parent) in places and parent not in met:
        met.add(parent)
        yield parent
        item_id = parent


def _joined(titles: Sequence[str]) -> str:
    first, *parents = [f"“{title}”" for title in titles]
    return f"{first} joined by " + ", which was joined by ".join(parents) if parents else f"{first} opened it"


def judgement(match: Match) -> str:
    """One topic's judgement in a sentence or two."""
    return "; ".join(filter(None, (_reason(match), _told_by(match), match.opinion)))


def _reason(match: Match) -> str:
    rarity = f"as rare as 1 in {one_in(match.score)}; the bar is 1 in {one_in(match.bar)}"
    terms = _quoted(found_as(match))
    match match.outcome:
        case MatchOutcome.MATCHED_TERM:
            return f"alerts on the term {terms} whatever the score ({rarity})"
        case MatchOutcome.NO_REQUIRED_TERM:
            return f"rare enough ({rarity}), but has none of the required terms {_gate(match)}"
        case MatchOutcome.EXCLUDED_TERM:
            return f"shut out by the term {terms} ({rarity})"
        case MatchOutcome.NEARER_NEGATIVE:
            return f"rare enough ({rarity}), but nearer to the negative “{match.negative}” than to any example"
        case MatchOutcome.OUT_OF_SCOPE:
            return f"outside the topic's scope: {match.gate} ({rarity})"
        case MatchOutcome.OPINION_AGAINST:
            return f"rare enough, but only just, and the second opinion is against it ({rarity})"
        case MatchOutcome.MATCHED_OPINION:
            return f"not quite rare enough, but the second opinion is for it ({rarity})"
        case MatchOutcome.BELOW_BAR:
            also = [f"it has none of the required terms {_gate(match)}"] if match.gate else []
            also += [f"it is nearer to the negative “{match.negative}” than to any example"] if match.negative else []
            return f"not rare enough: {rarity}" + "".join(f"; besides, {one}" for one in also)
        case _:
            return rarity + (f"; terms {terms}" if terms else "")


def _told_by(match: Match) -> str:
    """What of the item counted, and what of the topic it resembles."""
    unit = f"its part “{match.unit}” is " if match.unit else ""
    return f"{unit}most like “{match.nearest}”" if match.nearest else ""


def _gate(match: Match) -> str:
    return match.gate if len(match.gate) <= 60 else match.gate[:60] + "…"


def found_as(match: Match) -> list[str]:
    """The terms that were found, each as its author wrote it and, where that differs, as it stands in the item."""
    words = match.words or match.terms  # what was judged by an earlier version has no words
    pairs = zip(match.terms, words, strict=True)
    return [term if fold(term) == fold(word) else f"{word} ({term})" for term, word in pairs]


#: Nobody can tell one in 10**6 from one in 10**7 by some thousand items.
_RAREST = 6.0


def one_in(decades: float) -> str:
    """Say a rarity as a count of ordinary items, in two figures; at most a million."""
    count = 10 ** min(decades, _RAREST)
    digits = max(0, len(str(int(count))) - 2)
    return f"{round(count, -digits):,.0f}"


def source(feed: Feed) -> str:
    """Name a source with what an analyst weighs it by."""
    about = ", ".join(filter(None, (feed.kind, feed.country)))
    return f"{feed.name} ({about})" if about else feed.name


def _item(item: Item) -> list[str]:
    return [
        f"Item      {item.id}",
        f"          {item.title}",
        f"          {source(item.feed)}" + (f", in {item.language}" if item.language else ""),
        f"          published {_time(item.published)}, first seen {_time(item.first_seen)}",
        *([f"          {item.link}"] if item.link else []),
    ]


def _matches(matches: Sequence[Match], places: Mapping[str, str], none: str) -> list[str]:
    if not matches:
        return [f"Topics    {none}"]
    lines = []
    for n, match in enumerate(matches):
        mark = "✓" if match.matched else "·"
        lines += [
            f"{'Topics' if not n else '':<10}{mark} {match.topic}: {match.outcome}",
            f"            {judgement(match)}",
            *([f"            {places[match.topic]}"] if match.topic in places else []),
        ]
    return lines


def _deliveries(deliveries: Sequence[Delivery], next_digest: datetime | None) -> list[str]:
    if not deliveries:
        return ["Sent      nothing"]
    lines = []
    for n, delivery in enumerate(deliveries):
        receipt = f", receipt {delivery.receipt}" if delivery.receipt else ""
        trouble = f", {delivery.error}" if delivery.error else ""
        alert = delivery.alert
        lines.append(
            f"{'Sent' if not n else '':<10}{alert.kind} to {alert.channel}: {_state(delivery, next_digest)}{receipt}{trouble}"
        )
    return lines


def _state(delivery: Delivery, next_digest: datetime | None) -> str:
    if delivery.state is DeliveryState.HELD:
        by = f" ({delivery.because})" if delivery.because else ""
        until = f"until {_time(delivery.not_before)}"
        if delivery.reason == HoldReason.CORROBORATION:
            until += " at most"
        elif delivery.not_before is None:
            until = "until the channel's next digest" + (f", {_time(next_digest)}" if next_digest else "")
        return f"{delivery.state} for {delivery.reason}{by}, {until}"
    if delivery.state is DeliveryState.BATCHED:
        return f"{delivery.state}, told in the message of {delivery.carrier}"
    if delivery.state is DeliveryState.DROPPED:
        return f"{delivery.state}: {delivery.reason}"
    return f"{delivery.state} after {delivery.attempt} tr{'y' if delivery.attempt == 1 else 'ies'}"


def _quoted(terms: Sequence[str]) -> str:
    return ", ".join(f"“{term}”" for term in terms)


def _time(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC" if time else "at an unknown time"
