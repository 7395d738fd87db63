"""Why a person was told, or not: what is remembered of an item, or what would come of a text, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from monitor.model import Delivery, Explained, Feed, Item, Match, MatchOutcome, Relation

#: Topics shown for a text that nobody has seen before: those that took it, and as many of the nearest others.
NEAREST = 5


_JOINED = {Relation.COPY: "It is a copy", Relation.UPDATE: "It is an update"}


def explain(known: Explained) -> str:
    """All that is remembered of an item, a paragraph a question."""
    story = known.story
    told = ", ".join(story.sources[:6]) + (" …" if len(story.sources) > 6 else "")
    place = "It opened the story" if known.placement.relation is Relation.ROOT else _JOINED[known.placement.relation]
    return "\n".join(
        [
            *_item(known.item),
            "",
            f"Verdict   {known.verdict} — {known.because}",
            "",
            *_matches(known.matches, none="no topic came near: nothing above one in twenty ordinary items"),
            "",
            f"Story     {story.id}: {story.items} item{'s' * (story.items != 1)} from {told}",
            f"          {place}: {known.placement.because}",
            "",
            *_deliveries(known.deliveries),
        ]
    )


def explain_text(title: str, matches: Sequence[Match]) -> str:
    """What the topics make of a text."""
    ranked = sorted(matches, key=lambda match: (not match.matched, match.bar - match.score))
    taken = sum(match.matched for match in ranked)
    verdict = f"{taken} topic{'s' * (taken != 1)} would take it" if taken else "no topic would take it"
    return "\n".join(
        [f"Text      {title}", "", f"Verdict   {verdict}", "", *_matches(ranked[: taken + NEAREST], none="")]
    )


def as_data(matches: Iterable[Match]) -> list[dict[str, object]]:
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
        }
        for m in matches
    ]


def explained_data(known: Explained) -> dict[str, object]:
    """All that is remembered of an item, for programs."""
    return {
        "id": known.item.id,
        "title": known.item.title,
        "source": known.item.source,
        "link": known.item.link,
        "verdict": known.verdict.value,
        "because": known.because,
        "matches": as_data(known.matches),
        "story": known.story.id,
        "relation": known.placement.relation.value,
        "story_because": known.placement.because,
        "deliveries": [
            {"kind": d.alert.kind.value, "channel": d.alert.channel, "state": d.state.value, "receipt": d.receipt}
            for d in known.deliveries
        ],
    }


def judgement(match: Match) -> str:
    """One topic's judgement in a sentence."""
    rarity = f"as rare as 1 in {one_in(match.score)}; the bar is 1 in {one_in(match.bar)}"
    match match.outcome:
        case MatchOutcome.MATCHED_TERM:
            reason = f"alerts on the term {_quoted(match.terms)} whatever the score ({rarity})"
        case MatchOutcome.NO_REQUIRED_TERM:
            gate = match.gate if len(match.gate) <= 60 else match.gate[:60] + "…"
            reason = f"rare enough ({rarity}), but has none of the required terms {gate}"
        case MatchOutcome.EXCLUDED_TERM:
            reason = f"shut out by the term {_quoted(match.terms)} ({rarity})"
        case MatchOutcome.NEARER_NEGATIVE:
            reason = f"rare enough ({rarity}), but nearer to the negative “{match.negative}” than to any example"
        case MatchOutcome.OUT_OF_SCOPE:
            reason = f"outside the topic's scope: {match.gate} ({rarity})"
        case MatchOutcome.BELOW_BAR:
            reason = f"not rare enough: {rarity}"
        case _:
            reason = rarity + (f"; terms {_quoted(match.terms)}" if match.terms else "")
    return f"{reason}; most like “{match.nearest}”"


def one_in(decades: float) -> str:
    """Say a rarity as a count of ordinary items, in two figures."""
    count = 10**decades
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


def _matches(matches: Sequence[Match], none: str) -> list[str]:
    if not matches:
        return [f"Topics    {none}"]
    lines = []
    for n, match in enumerate(matches):
        mark = "✓" if match.matched else "·"
        lines += [
            f"{'Topics' if not n else '':<10}{mark} {match.topic}: {match.outcome}",
            f"            {judgement(match)}",
        ]
    return lines


def _deliveries(deliveries: Sequence[Delivery]) -> list[str]:
    if not deliveries:
        return ["Sent      nothing"]
    lines = []
    for n, delivery in enumerate(deliveries):
        receipt = f", receipt {delivery.receipt}" if delivery.receipt else ""
        trouble = f", {delivery.error}" if delivery.error else ""
        alert = delivery.alert
        lines.append(
            f"{'Sent' if not n else '':<10}{alert.kind} to {alert.channel}: {delivery.state} after "
            f"{delivery.attempt} tr{'y' if delivery.attempt == 1 else 'ies'}{receipt}{trouble}"
        )
    return lines


def _quoted(terms: Sequence[str]) -> str:
    return ", ".join(f"“{term}”" for term in terms)


def _time(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC" if time else "at an unknown time"
