"""Whether an item deserves an alert: what the topics said, where it stands in its story, what each channel was told before.

Every item gets a verdict with a reason, also when nothing is sent. Nothing is looked up and nothing is done here.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from monitor.model import (
    Alert,
    AlertKind,
    Corroboration,
    Decision,
    Escalation,
    Followups,
    Item,
    Match,
    Placement,
    Relation,
    Root,
    Severity,
    Story,
    Topic,
    TopicStatus,
    Verdict,
    Version,
)

#: Alert ids are uuid5 in this namespace: the same decision made twice, after a crash say, is the same row of the outbox.
_NAMESPACE = uuid.UUID("6d3f7a52-7c1c-5e0b-9f42-0c1e6a5b8d11")

_SEVERITIES = list(Severity)


@dataclass(frozen=True, slots=True)
class Policy:
    """What the configuration says of alerts."""

    #: where a topic sends that names no channel
    channel: str
    #: items published longer ago are not alerted on; a topic's scope may say otherwise
    max_age: timedelta
    #: on a feed's first poll, items published within this time alert all the same; zero means none do
    backfill: timedelta
    #: a story escalates when so many independent sources first told it within so long; zero means that none does
    escalate_sources: int = 0
    escalate_within: timedelta = timedelta(hours=1)


def decide(
    item: Item,
    matches: Sequence[Match],
    placement: Placement,
    story: Story,
    topics: Mapping[str, Topic],
    *,
    first_poll: bool,
    told: Mapping[str, Root],
    policy: Policy,
    now: datetime,
) -> Decision:
    """Decide what to tell, and whom; also what an item means for its story that no topic takes.

    matches: every topic's judgement of the item, taken or not.
    first_poll: the feed had never been polled successfully before.
    told: channels that know the story, or will, each with its root.
    story: as it is with the item in it.
    """
    decision = _by_itself(
        item, matches, placement, story, topics, first_poll=first_poll, told=told, policy=policy, now=now
    )
    decision = _released(decision, story, told)
    return _escalated(decision, item, placement, story, told, policy, now)


def _by_itself(
    item: Item,
    matches: Sequence[Match],
    placement: Placement,
    story: Story,
    topics: Mapping[str, Topic],
    *,
    first_poll: bool,
    told: Mapping[str, Root],
    policy: Policy,
    now: datetime,
) -> Decision:
    taken = [match for match in matches if match.matched]
    if not taken:
        return Decision(Verdict.NO_MATCH, _nearest_miss(matches))
    active = [match for match in taken if topics[match.topic].status is TopicStatus.ACTIVE]
    if not active:
        return Decision(Verdict.SHADOW, f"only topics in shadow took it: {_names(taken)}")
    age = now - item.at
    if first_poll and (not policy.backfill or age > policy.backfill):
        return Decision(Verdict.FIRST_POLL, "it stood in the feed before the monitor knew the feed")
    fresh = [match for match in active if age <= (topics[match.topic].scope.max_age or policy.max_age)]
    # a backfill was asked for by name, and its bound is its own
    if not fresh and not first_poll:
        return Decision(Verdict.TOO_OLD, f"published {_days(age)} before it was seen")
    return _tell(item, fresh or active, placement, story, topics, told, policy, now)


def decide_edit(
    item: Item,
    before: Version,
    matches: Sequence[Match],
    placement: Placement,
    story: Story,
    topics: Mapping[str, Topic],
    *,
    alerts: Sequence[Alert],
    told: Mapping[str, Root],
    policy: Policy,
    now: datetime,
) -> Decision:
    """Decide what an edit of a known item deserves.

    Channels that were told of the item are told of the edit, in the story's thread, also if no topic would take it any
    more: it may take back what was said. A channel that was not is told only if the edit is what made a topic take it.

    alerts: those that told the item, or will. told: channels that know its story, or will, each with its root.
    """
    waiting = {channel for channel, root in told.items() if _waits(root, now)}
    edits = [
        _edited(last, item, before, [m for m in matches if m.topic in last.titles and m.matched], story, told, now)
        for last in {alert.channel: alert for alert in alerts}.values()
        if last.channel not in waiting and not _counts_only(last, topics)
    ]
    if edits:
        return Decision(Verdict.REPLY, f"its publisher changed it; it was “{before.title}”", tuple(edits))
    if any(alert.channel in waiting for alert in alerts):
        return Decision(Verdict.WAITING, "its publisher changed it; the alert that waits will tell it as it is then")
    if alerts:
        return Decision(Verdict.COUNTED, "its publisher changed it; the topic wants follow-ups only counted")
    if before.verdict is not Verdict.NO_MATCH:
        # what was held back for being old, a copy, or there before us is still that
        return Decision(before.verdict, "its publisher changed it; nobody had been told of it")
    return decide(item, matches, placement, story, topics, first_poll=False, told=told, policy=policy, now=now)


def _counts_only(alert: Alert, topics: Mapping[str, Topic]) -> bool:
    known = [topics[match.topic] for match in alert.matches if match.topic in topics]
    return bool(known) and all(topic.notify.followups is Followups.COUNT_ONLY for topic in known)


def _edited(
    last: Alert,
    item: Item,
    before: Version,
    matches: Sequence[Match],
    story: Story,
    told: Mapping[str, Root],
    now: datetime,
) -> Alert:
    root = told.get(last.channel)
    return replace(
        last,
        id=_alert_id(last.channel, story, item),
        kind=AlertKind.REPLY,
        item=item,
        matches=tuple(matches) or last.matches,
        created=now,
        broadcast=False,
        sources=story.sources,
        independent=story.independent,
        parent=root.alert.id if root else last.parent or last.id,
        formerly=before.title,
        corroboration=None,
        escalation=None,
    )


def _alert_id(channel: str, story: Story, item: Item) -> str:
    edition = f"|{item.revision}" if item.revision else ""
    return str(uuid.uuid5(_NAMESPACE, f"{channel}|{story.id}|{item.id}{edition}"))


def _tell(
    item: Item,
    matches: Sequence[Match],
    placement: Placement,
    story: Story,
    topics: Mapping[str, Topic],
    told: Mapping[str, Root],
    policy: Policy,
    now: datetime,
) -> Decision:
    by_channel: dict[str, list[Match]] = {}
    for match in matches:
        by_channel.setdefault(topics[match.topic].notify.channel or policy.channel, []).append(match)
    each = [
        _tell_channel(channel, told.get(channel), item, group, placement, story, topics, now)
        for channel, group in by_channel.items()
    ]
    best = min(each, key=lambda decision: _BEST_FIRST.index(decision.verdict))
    return Decision(
        best.verdict,
        f"news to its channel: {_names(matches)}" if best.verdict is Verdict.ALERT else best.because,
        alerts=tuple(alert for one in each for alert in one.alerts),
        held=tuple(alert for one in each for alert in one.held),
        released=tuple(root for one in each for root in one.released),
    )


#: Of what one item comes to in several channels, its verdict is the first of these.
_BEST_FIRST = [Verdict.ALERT, Verdict.REPLY, Verdict.WAITING, Verdict.COPY, Verdict.COUNTED]


def _tell_channel(
    channel: str,
    root: Root | None,
    item: Item,
    matches: Sequence[Match],
    placement: Placement,
    story: Story,
    topics: Mapping[str, Topic],
    now: datetime,
) -> Decision:
    needed = _needed(matches, topics)
    is_enough = needed is None or needed.met_by(story.independent)
    if root is None:
        alert = _alert(AlertKind.ROOT, item, matches, story, topics, channel, now)
        if is_enough:
            return Decision(Verdict.ALERT, "news to its channel", (alert,))
        alert = replace(alert, corroboration=needed)
        return Decision(Verdict.WAITING, _waits_for(alert, story), held=(alert,))
    waits, is_copy = _waits(root, now), placement.relation is Relation.COPY
    # what completes the root's own wait is told by the root; what needs no wait lets the root go first, and follows it
    if waits and not is_copy and (_is_met(root, story) or not is_enough):
        return Decision(Verdict.WAITING, _waits_for(root.alert, story))
    released = (root.alert.id,) if waits and is_enough and not _is_met(root, story) else ()
    if is_copy:
        return Decision(Verdict.COPY, f"held back: {placement.because}", released=released)
    if all(topics[match.topic].notify.followups is Followups.COUNT_ONLY for match in matches):
        because = "held back: the topic wants follow-ups only counted"
        return Decision(Verdict.COUNTED, because, released=released)
    reply = _alert(AlertKind.REPLY, item, matches, story, topics, channel, now, parent=root.alert.id)
    reply = replace(reply, broadcast=reply.broadcast or root.more)
    return Decision(Verdict.REPLY, f"the story is known: {placement.because}", (reply,), released=released)


# -- corroboration --------------------------------------------------------------------------------


def _needed(matches: Sequence[Match], topics: Mapping[str, Topic]) -> Corroboration | None:
    """What the least demanding of the topics asks for; None if one asks for nothing.

    One count is enough for a topic, and one topic is enough for the channel: so the least of each.
    """
    asked = [topics[match.topic].story.corroboration for match in matches]
    given = [one for one in asked if one is not None]
    if len(given) < len(asked):
        return None
    return Corroboration(
        sources=min((one.sources for one in given if one.sources is not None), default=None),
        kinds=min((one.kinds for one in given if one.kinds is not None), default=None),
        within=min(one.within for one in given),
    )


def _waits(root: Root, now: datetime) -> bool:
    """Tell whether a root still waits; from its deadline on it goes out whatever comes."""
    deadline = root.alert.deadline
    return root.held and deadline is not None and now < deadline


def _is_met(root: Root, story: Story) -> bool:
    return root.alert.corroboration is not None and root.alert.corroboration.met_by(story.independent)


def _released(decision: Decision, story: Story, told: Mapping[str, Root]) -> Decision:
    """Let out the roots that have what they waited for, whatever came of the item itself."""
    ids = [root.alert.id for root in told.values() if root.held and _is_met(root, story)]
    if not ids:
        return decision
    because = f"{decision.because}; the alert that waited goes out: {_heard(story)}"
    return replace(decision, because=because, released=(*decision.released, *ids))


def _waits_for(alert: Alert, story: Story) -> str:
    needed, deadline = alert.corroboration, alert.deadline
    if needed is None or deadline is None:
        raise ValueError("it waits for nothing")
    asked = [f"{needed.sources} independent sources"] if needed.sources else []
    asked += [f"{needed.kinds} kinds of source"] if needed.kinds else []
    return f"waits for {' or '.join(asked)}, until {deadline:%Y-%m-%d %H:%M} UTC; so far {_heard(story)}"


def _heard(story: Story) -> str:
    sources, kinds = len(story.independent), len(story.kinds)
    said = f"{sources} independent source{'s' * (sources != 1)}"
    return f"{said} of {kinds} kinds" if kinds > 1 else said


# -- escalation -----------------------------------------------------------------------------------


def _escalated(
    decision: Decision,
    item: Item,
    placement: Placement,
    story: Story,
    told: Mapping[str, Root],
    policy: Policy,
    now: datetime,
) -> Decision:
    """Tell a jump in sources, once in each channel, whatever came of the item itself."""
    jump = _jump(story, policy, now)
    if jump is None or placement.relation is Relation.COPY:
        return decision
    alerts = {alert.channel: alert for alert in decision.alerts}
    known = dict(alerts)
    for channel, root in told.items():
        # a root that names so many says as much as an escalation
        if not (root.held or root.escalated or len(root.alert.independent) >= policy.escalate_sources):
            alert = known.get(channel) or _outside(root.alert, item, story, now)
            alerts[channel] = replace(alert, broadcast=True, escalation=jump)
    if alerts == known:
        return decision
    said = f"its story escalates: {jump.sources} independent sources, {jump.recent} of them of late"
    if not known:
        because = f"{said}; by itself: {decision.verdict}, {decision.because}"
        return replace(decision, verdict=Verdict.REPLY, because=because, alerts=tuple(alerts.values()))
    return replace(decision, because=f"{decision.because}; {said}", alerts=tuple(alerts.values()))


def _jump(story: Story, policy: Policy, now: datetime) -> Escalation | None:
    recent = [voice for voice in story.independent if now - policy.escalate_within <= voice.first <= now]
    if not policy.escalate_sources or len(recent) < policy.escalate_sources:
        return None
    return Escalation(len(story.independent), len(recent), policy.escalate_within)


def _outside(root: Alert, item: Item, story: Story, now: datetime) -> Alert:
    """A reply about an item of which its channel would not have been told: under the root's topics, as it has none here."""
    return replace(
        root,
        id=_alert_id(root.channel, story, item),
        kind=AlertKind.REPLY,
        item=item,
        created=now,
        sources=story.sources,
        independent=story.independent,
        parent=root.id,
        corroboration=None,
    )


# -- alerts ---------------------------------------------------------------------------------------


def _alert(
    kind: AlertKind,
    item: Item,
    matches: Sequence[Match],
    story: Story,
    topics: Mapping[str, Topic],
    channel: str,
    now: datetime,
    *,
    parent: str = "",
) -> Alert:
    ranked = sorted(matches, key=lambda m: (-_SEVERITIES.index(topics[m.topic].severity), -m.score, m.topic))
    return Alert(
        id=_alert_id(channel, story, item),
        kind=kind,
        channel=channel,
        story=story.id,
        story_title=story.title,
        item=item,
        matches=tuple(ranked),
        titles={match.topic: topics[match.topic].title for match in ranked},
        severity=topics[ranked[0].topic].severity,
        created=now,
        broadcast=kind is AlertKind.REPLY
        and any(topics[match.topic].notify.followups is Followups.BROADCAST for match in ranked),
        sources=story.sources,
        independent=story.independent,
        parent=parent,
    )


def _nearest_miss(matches: Sequence[Match]) -> str:
    if not matches:
        return "there are no topics"
    best = max(matches, key=lambda match: match.score - match.bar)
    return f"nearest topic {best.topic}: {best.outcome}"


def _names(matches: Sequence[Match]) -> str:
    return ", ".join(match.topic for match in matches)


def _days(age: timedelta) -> str:
    hours = age / timedelta(hours=1)
    return f"{hours / 24:.0f} days" if hours >= 48 else f"{hours:.0f} hours"
