"""Happenings, and what is told to whom: the decision alone, with nothing faked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import make
import pytest

from monitor.decide import Policy, decide, decide_edit
from monitor.model import (
    Alert,
    AlertKind,
    Corroboration,
    Decision,
    Escalation,
    Followups,
    Item,
    Match,
    MatchOutcome,
    Notify,
    Placement,
    Relation,
    Root,
    Scope,
    Severity,
    Story,
    StoryPolicy,
    TopicStatus,
    Verdict,
    Voice,
)

HERE, THERE = "C0NEWS", "C0OTHER"
POLICY = Policy(channel=HERE, max_age=timedelta(days=3), backfill=timedelta(0))

TOPICS = {
    topic.id: topic
    for topic in (
        make.topic(id="troops", title="Troops", severity=Severity.HIGH),
        make.topic(id="grain", title="Grain", severity=Severity.INFO),
        make.topic(id="nukes", title="Nuclear arms", severity=Severity.CRITICAL),
        make.topic(id="elsewhere", notify=Notify(channel=THERE)),
        make.topic(id="quiet", notify=Notify(followups=Followups.COUNT_ONLY)),
        make.topic(id="loud", notify=Notify(followups=Followups.BROADCAST)),
        make.topic(id="trial", status=TopicStatus.SHADOW),
        make.topic(id="brief", scope=Scope(max_age=timedelta(hours=1))),
        make.topic(id="patient", scope=Scope(max_age=timedelta(days=30))),
    )
}

ROOT = Placement("story-1", Relation.ROOT, because="nothing open is like it")
UPDATE = Placement("story-1", Relation.UPDATE, "parent", 0.6, "the same event as “Troops”")
COPY = Placement("story-1", Relation.COPY, "parent", 0.9, "the same text as “Troops” (Gazette)")


def old(**age: float) -> Item:
    """An item published so long ago."""
    return make.item(published=make.NOW - timedelta(**age), first_seen=make.NOW)


def roots(told: Mapping[str, str | Root] | None) -> dict[str, Root]:
    """Roots that were told, by channel; a bare id is enough."""
    return {
        channel: root if isinstance(root, Root) else Root(make.alert(id=root, channel=channel))
        for channel, root in (told or {}).items()
    }


def took(*topics: str) -> tuple[Match, ...]:
    return tuple(make.match(topic=topic) for topic in topics)


def decided(
    *topics: str,
    item: Item | None = None,
    placement: Placement = ROOT,
    told: Mapping[str, str | Root] | None = None,
    first_poll: bool = False,
    policy: Policy = POLICY,
    matches: tuple[Match, ...] = (),
    story: Story | None = None,
    now: datetime = make.NOW,
) -> Decision:
    """Decide on an item that these topics took, ten minutes old unless given."""
    return decide(
        item or make.item(), matches + took(*topics), placement, story or make.story(), TOPICS,
        first_poll=first_poll, told=roots(told), policy=policy, now=now,
    )  # fmt: skip


def alert(*topics: str, **changes: object) -> Alert:
    """The only alert of what `decided` gives."""
    [told] = decided(*topics, **changes).alerts  # type: ignore[arg-type]  # handed through
    return told


# -- the table ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    topics: tuple[str, ...]
    verdict: Verdict
    #: channel -> kind
    told: dict[str, str] = field(default_factory=dict)
    item: Item = field(default_factory=make.item)
    placement: Placement = ROOT
    #: channels that know the story
    known: tuple[str, ...] = ()
    first_poll: bool = False
    backfill: timedelta = timedelta(0)


CASES = {
    "nothing took it": Case((), Verdict.NO_MATCH),
    "a topic took it": Case(("troops",), Verdict.ALERT, {HERE: "root"}),
    # -- shadow
    "only a topic in shadow took it": Case(("trial",), Verdict.SHADOW),
    "one topic is in shadow, one is not": Case(("trial", "troops"), Verdict.ALERT, {HERE: "root"}),
    # -- the first poll
    "it stood in a new feed": Case(("troops",), Verdict.FIRST_POLL, first_poll=True),
    "it came into a new feed this very moment": Case(("troops",), Verdict.FIRST_POLL, item=old(), first_poll=True),
    "it stood in a new feed, and nothing took it": Case((), Verdict.NO_MATCH, first_poll=True),
    "a backfill reaches it": Case(
        ("troops",), Verdict.ALERT, {HERE: "root"}, item=old(hours=5), first_poll=True, backfill=timedelta(hours=6)
    ),
    "a backfill reaches exactly to it": Case(
        ("troops",), Verdict.ALERT, {HERE: "root"}, item=old(hours=6), first_poll=True, backfill=timedelta(hours=6)
    ),
    "a backfill falls short of it": Case(
        ("troops",), Verdict.FIRST_POLL, item=old(hours=7), first_poll=True, backfill=timedelta(hours=6)
    ),
    "a backfill reaches further than the topic's own bound": Case(
        ("brief",), Verdict.ALERT, {HERE: "root"}, item=old(hours=5), first_poll=True, backfill=timedelta(hours=6)
    ),
    "a backfill reaches what a second outlet tells of a known story": Case(
        ("troops",), Verdict.REPLY, {HERE: "reply"}, placement=UPDATE, known=(HERE,), first_poll=True,
        backfill=timedelta(hours=6),
    ),
    # -- age
    "it is as old as may be": Case(("troops",), Verdict.ALERT, {HERE: "root"}, item=old(days=3)),
    "it is too old": Case(("troops",), Verdict.TOO_OLD, item=old(days=3, seconds=1)),
    "it is too old for the topic": Case(("brief",), Verdict.TOO_OLD, item=old(hours=2)),
    "it is old, but not for the topic": Case(("patient",), Verdict.ALERT, {HERE: "root"}, item=old(days=29)),
    "it is too old for one of two topics": Case(("brief", "troops"), Verdict.ALERT, {HERE: "root"}, item=old(hours=2)),
    "it says it comes from the future": Case(("troops",), Verdict.ALERT, {HERE: "root"}, item=old(days=-400)),
    # -- stories
    "the channel knows the story": Case(
        ("troops",), Verdict.REPLY, {HERE: "reply"}, placement=UPDATE, known=(HERE,)
    ),
    "the channel knows the text": Case(("troops",), Verdict.COPY, placement=COPY, known=(HERE,)),
    "a known story, of which nobody was told": Case(("troops",), Verdict.ALERT, {HERE: "root"}, placement=UPDATE),
    "a known text, of which nobody was told": Case(("troops",), Verdict.ALERT, {HERE: "root"}, placement=COPY),
    "a known story is too old by now": Case(
        ("troops",), Verdict.TOO_OLD, item=old(days=4), placement=UPDATE, known=(HERE,)
    ),
    # -- follow-ups
    "follow-ups are only counted": Case(("quiet",), Verdict.COUNTED, placement=UPDATE, known=(HERE,)),
    "the first of a story is told, though follow-ups are only counted": Case(
        ("quiet",), Verdict.ALERT, {HERE: "root"}
    ),
    "one of two topics wants follow-ups": Case(
        ("quiet", "troops"), Verdict.REPLY, {HERE: "reply"}, placement=UPDATE, known=(HERE,)
    ),
    "a copy, where follow-ups are only counted": Case(("quiet",), Verdict.COPY, placement=COPY, known=(HERE,)),
    # -- channels
    "two topics, one channel": Case(("troops", "grain"), Verdict.ALERT, {HERE: "root"}),
    "two topics, two channels": Case(("troops", "elsewhere"), Verdict.ALERT, {HERE: "root", THERE: "root"}),
    "one channel knows the story, the other does not": Case(
        ("troops", "elsewhere"), Verdict.ALERT, {HERE: "reply", THERE: "root"}, placement=UPDATE, known=(HERE,)
    ),
    "one channel knows the text, the other does not": Case(
        ("troops", "elsewhere"), Verdict.ALERT, {THERE: "root"}, placement=COPY, known=(HERE,)
    ),
    "one channel wants the follow-up, the other counts": Case(
        ("quiet", "elsewhere"), Verdict.REPLY, {THERE: "reply"}, placement=UPDATE, known=(HERE, THERE)
    ),
    "another channel knows the story": Case(
        ("troops",), Verdict.ALERT, {HERE: "root"}, placement=UPDATE, known=(THERE,)
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_happening_leads_to(case: Case) -> None:
    decision = decided(
        *case.topics,
        item=case.item,
        placement=case.placement,
        told={channel: f"root in {channel}" for channel in case.known},
        first_poll=case.first_poll,
        policy=replace(POLICY, backfill=case.backfill),
    )
    assert decision.verdict is case.verdict
    assert {alert.channel: alert.kind.value for alert in decision.alerts} == case.told


# -- reasons --------------------------------------------------------------------------------------

BELOW = make.match(topic="troops", score=2.0, bar=3.3, outcome=MatchOutcome.BELOW_BAR)
REASONS = {
    "there are no topics": decided(),
    "nearest topic troops: below the bar": decided(matches=(replace(BELOW, topic="grain", score=1.0), BELOW)),
    "only topics in shadow took it: trial": decided("trial"),
    "it stood in the feed before the monitor knew the feed": decided("troops", first_poll=True),
    "published 47 hours before it was seen": decided("brief", item=old(hours=47)),
    "published 4 days before it was seen": decided("troops", item=old(days=4)),
    "news to its channel: troops, grain": decided("troops", "grain"),
    "the story is known: the same event as “Troops”": decided("troops", placement=UPDATE, told={HERE: "r"}),
    "held back: the same text as “Troops” (Gazette)": decided("troops", placement=COPY, told={HERE: "r"}),
    "held back: the topic wants follow-ups only counted": decided("quiet", placement=UPDATE, told={HERE: "r"}),
}


@pytest.mark.parametrize(("reason", "decision"), REASONS.items(), ids=REASONS.keys())
def test_reason_is_given(reason: str, decision: Decision) -> None:
    assert decision.because == reason


# -- the alert ------------------------------------------------------------------------------------


def test_alert_names_every_topic_most_severe_first() -> None:
    told = alert("grain", "nukes", "troops")
    assert [match.topic for match in told.matches] == ["nukes", "troops", "grain"]
    assert told.titles == {"nukes": "Nuclear arms", "troops": "Troops", "grain": "Grain"}


def test_of_two_topics_alike_in_severity_the_better_match_comes_first() -> None:
    strong, weak = make.match(topic="loud", score=5.0), make.match(topic="troops", score=4.0)
    assert [match.topic for match in alert(matches=(weak, strong)).matches] == ["loud", "troops"]


def test_alert_is_as_severe_as_its_most_severe_topic() -> None:
    assert alert("grain", "nukes").severity is Severity.CRITICAL


def test_alert_leaves_out_topics_that_did_not_take_the_item() -> None:
    assert [match.topic for match in alert("grain", matches=(BELOW,)).matches] == ["grain"]


def test_alert_leaves_out_topics_in_shadow() -> None:
    assert [match.topic for match in alert("grain", "trial").matches] == ["grain"]


def test_alert_leaves_out_topics_for_which_the_item_is_too_old() -> None:
    assert [match.topic for match in alert("grain", "brief", item=old(hours=2)).matches] == ["grain"]


def test_each_channel_hears_of_its_own_topics_only() -> None:
    alerts = decided("troops", "elsewhere").alerts
    assert {a.channel: [m.topic for m in a.matches] for a in alerts} == {HERE: ["troops"], THERE: ["elsewhere"]}


def test_reply_names_the_root_of_its_own_channel() -> None:
    alerts = decided("troops", "elsewhere", placement=UPDATE, told={HERE: "root 1", THERE: "root 2"}).alerts
    assert {a.channel: a.parent for a in alerts} == {HERE: "root 1", THERE: "root 2"}


def test_root_has_no_parent() -> None:
    assert alert("troops").parent == ""


def test_alert_carries_item_story_and_sources() -> None:
    item = make.item()
    told = alert("troops", item=item)
    assert (told.item, told.story, told.story_title) == (item, "story-1", make.story().title)
    assert (told.sources, told.created) == (("Harbour Wire",), make.NOW)


#: topics, placement -> is it shown in the channel as well?
BROADCASTS = [(("loud",), UPDATE, True), (("troops", "loud"), UPDATE, True), (("troops",), UPDATE, False)]


@pytest.mark.parametrize(("topics", "placement", "shown"), BROADCASTS)
def test_reply_is_broadcast_if_a_topic_wants_it(topics: tuple[str, ...], placement: Placement, *, shown: bool) -> None:
    assert alert(*topics, placement=placement, told={HERE: "root"}).broadcast is shown


def test_root_needs_no_broadcast() -> None:
    assert alert("loud").broadcast is False


# -- ids ------------------------------------------------------------------------------------------


def test_same_decision_twice_is_the_same_alert() -> None:
    assert decided("troops") == decided("troops")


def test_alert_s_id_is_what_it_was_in_every_release() -> None:
    # rows of the outbox and messages in Slack bear it: another would be told again
    told = alert("troops", item=make.item(id="0123456789abcdef"))
    assert told.id == "6fb09110-eb8b-53e8-ab15-fb39a5859328"


def test_alert_s_id_does_not_depend_on_the_hour() -> None:
    late = decide(
        make.item(), took("troops"), ROOT, make.story(), TOPICS,
        first_poll=False, told={}, policy=POLICY, now=make.NOW + timedelta(hours=1),
    )  # fmt: skip
    assert late.alerts[0].id == alert("troops").id


def test_alert_s_id_does_not_depend_on_what_others_were_told() -> None:
    reply = alert("troops", placement=UPDATE, told={HERE: "root"})
    assert (reply.id, reply.kind) == (alert("troops").id, AlertKind.REPLY)


DIFFERENT = {
    "item": alert("troops", item=make.item(title="Other")),
    "story": decide(
        make.item(), took("troops"), ROOT, make.story(id="story-2"), TOPICS,
        first_poll=False, told={}, policy=POLICY, now=make.NOW,
    ).alerts[0],
    "channel": alert("elsewhere"),
}  # fmt: skip


@pytest.mark.parametrize("other", DIFFERENT.values(), ids=DIFFERENT.keys())
def test_another_makes_another_alert(other: Alert) -> None:
    assert other.id != alert("troops").id


# -- edits ----------------------------------------------------------------------------------------

EDITED = make.item(title="North Korean troops not seen near Kursk after all", revision=1)
STAYS = Placement("story-1", Relation.ROOT, because="it stands there since it was first seen")
#: what told the item before its edit
TOLD = replace(alert("troops"), id="told here")
TOLD_THERE = replace(alert("elsewhere"), id="told there")
TOLD_QUIETLY = replace(alert("quiet"), id="told quietly")


def edit(
    *topics: str,
    alerts: tuple[Alert, ...] = (),
    told: Mapping[str, str | Root] | None = None,
    before: Verdict = Verdict.ALERT,
    item: Item = EDITED,
    placement: Placement = STAYS,
) -> Decision:
    """Decide an edit, after which these topics take the item; `before` is the verdict on it until now."""
    return decide_edit(
        item, make.version(verdict=before), took(*topics), placement, make.story(), TOPICS,
        alerts=alerts, told=roots(told), policy=POLICY, now=make.NOW,
    )  # fmt: skip


@dataclass(frozen=True)
class Edit:
    verdict: Verdict
    #: channel -> kind
    told: dict[str, str] = field(default_factory=dict)
    topics: tuple[str, ...] = ()
    alerts: tuple[Alert, ...] = ()
    #: channels that know the story, of this item or another
    known: tuple[str, ...] = ()
    before: Verdict = Verdict.ALERT
    item: Item = EDITED
    placement: Placement = STAYS


EDITS = {
    "its channel was told": Edit(Verdict.REPLY, {HERE: "reply"}, ("troops",), (TOLD,), (HERE,)),
    "two channels were told": Edit(
        Verdict.REPLY, {HERE: "reply", THERE: "reply"}, ("troops", "elsewhere"), (TOLD, TOLD_THERE), (HERE, THERE)
    ),
    "no topic would take it any more": Edit(Verdict.REPLY, {HERE: "reply"}, (), (TOLD,), (HERE,)),
    "another channel's topic takes it now": Edit(
        Verdict.REPLY, {HERE: "reply"}, ("troops", "elsewhere"), (TOLD,), (HERE,)
    ),
    "it is old by now": Edit(Verdict.REPLY, {HERE: "reply"}, ("troops",), (TOLD,), (HERE,), item=old(days=30)),
    "its topic wants follow-ups only counted": Edit(Verdict.COUNTED, {}, ("quiet",), (TOLD_QUIETLY,), (HERE,)),
    "one of two channels wants them counted": Edit(
        Verdict.REPLY, {THERE: "reply"}, (), (TOLD_QUIETLY, TOLD_THERE), (HERE, THERE)
    ),
    "its topic is gone": Edit(
        Verdict.REPLY, {HERE: "reply"}, (), (replace(TOLD, matches=took("gone"), titles={"gone": "Gone"}),), (HERE,)
    ),
    # -- nobody was told
    "a topic takes it only now": Edit(Verdict.ALERT, {HERE: "root"}, ("troops",), before=Verdict.NO_MATCH),
    "a topic takes it only now, and the story is known": Edit(
        Verdict.REPLY, {HERE: "reply"}, ("troops",), (), (HERE,), Verdict.NO_MATCH,
        placement=replace(STAYS, relation=Relation.UPDATE),
    ),
    "a topic takes it only now, and it is old": Edit(
        Verdict.TOO_OLD, {}, ("troops",), before=Verdict.NO_MATCH, item=old(days=30)
    ),
    "still no topic takes it": Edit(Verdict.NO_MATCH, {}, before=Verdict.NO_MATCH),
    **{
        f"it was held back: {verdict}": Edit(verdict, {}, ("troops",), before=verdict)
        for verdict in (
            Verdict.COPY, Verdict.COUNTED, Verdict.SHADOW, Verdict.TOO_OLD, Verdict.FIRST_POLL, Verdict.DROPPED,
            Verdict.WAITING,
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("case", EDITS.values(), ids=EDITS.keys())
def test_edit_leads_to(case: Edit) -> None:
    decision = edit(
        *case.topics,
        alerts=case.alerts,
        told={channel: f"root in {channel}" for channel in case.known},
        before=case.before,
        item=case.item,
        placement=case.placement,
    )
    assert decision.verdict is case.verdict
    assert {alert.channel: alert.kind.value for alert in decision.alerts} == case.told


def told_of_edit(*topics: str, **changes: object) -> Alert:
    [alert] = edit(*topics, **({"alerts": (TOLD,), "told": {HERE: "root"}} | changes)).alerts  # type: ignore[arg-type]
    return alert


def test_edit_says_what_the_item_was() -> None:
    told = told_of_edit("troops")
    assert (told.item, told.formerly) == (EDITED, make.item().title)


def test_edit_is_told_in_the_thread_of_the_story() -> None:
    assert told_of_edit("troops").parent == "root"


def test_edit_of_a_story_whose_root_is_dead_goes_where_the_item_was_told() -> None:
    assert told_of_edit(alerts=(TOLD,), told={}).parent == TOLD.id
    reply = replace(TOLD, id="reply", kind=AlertKind.REPLY, parent="dead root")
    assert told_of_edit(alerts=(reply,), told={}).parent == "dead root"


def test_each_edit_is_told_once() -> None:
    first, again, second = (
        told_of_edit("troops", item=replace(EDITED, revision=revision)).id for revision in (1, 1, 2)
    )
    assert first == again
    assert len({alert("troops", item=make.item(id=EDITED.id)).id, first, second}) == 3


def test_second_edit_follows_the_last_word_of_each_channel() -> None:
    first = told_of_edit("troops")
    second = told_of_edit(alerts=(TOLD, first), item=replace(EDITED, revision=2))
    assert (second.kind, second.parent, second.channel) == (AlertKind.REPLY, "root", HERE)


def test_edit_that_no_topic_takes_names_those_that_took_the_item() -> None:
    assert told_of_edit().matches == TOLD.matches
    stronger = make.match(topic="troops", score=5.0)
    told = decide_edit(
        EDITED, make.version(), (stronger, make.match(topic="grain")), STAYS, make.story(), TOPICS,
        alerts=(TOLD,), told=roots({HERE: "root"}), policy=POLICY, now=make.NOW,
    ).alerts  # fmt: skip
    assert [alert.matches for alert in told] == [(stronger,)]


def test_edit_is_never_broadcast() -> None:
    loud = replace(alert("loud", placement=UPDATE, told={HERE: "root"}), id="loud")
    assert (loud.broadcast, told_of_edit("loud", alerts=(loud,)).broadcast) == (True, False)


EDIT_REASONS = {
    f"its publisher changed it; it was “{make.item().title}”": edit(alerts=(TOLD,), told={HERE: "root"}),
    "its publisher changed it; the topic wants follow-ups only counted": edit(alerts=(TOLD_QUIETLY,)),
    "its publisher changed it; nobody had been told of it": edit("troops", before=Verdict.TOO_OLD),
}


@pytest.mark.parametrize(("reason", "decision"), EDIT_REASONS.items(), ids=EDIT_REASONS.keys())
def test_reason_of_an_edit_is_given(reason: str, decision: Decision) -> None:
    assert decision.because == reason


# -- corroboration --------------------------------------------------------------------------------

SLOW = Corroboration(sources=3, within=timedelta(hours=6))
KINDS = Corroboration(kinds=2, within=timedelta(hours=2))
EITHER = Corroboration(sources=3, kinds=2)
WAITING_TOPICS = {
    topic.id: topic
    for topic in (
        make.topic(id="slow", story=StoryPolicy(corroboration=SLOW)),
        make.topic(id="kinds", story=StoryPolicy(corroboration=KINDS)),
        make.topic(id="either", story=StoryPolicy(corroboration=EITHER)),
        make.topic(
            id="slow-quiet", story=StoryPolicy(corroboration=SLOW), notify=Notify(followups=Followups.COUNT_ONLY)
        ),
        make.topic(id="slow-there", story=StoryPolicy(corroboration=SLOW), notify=Notify(channel=THERE)),
    )
}
TOPICS |= WAITING_TOPICS

WIRE, PAPER, STATE = (
    make.voice("Wire", kind="wire"),
    make.voice("Paper", kind="wire"),
    make.voice("State", kind="state"),
)
COPIER = make.voice("Copier", kind="trade press", own=False)


def told_by(*heard: Voice) -> Story:
    return make.story(voices=heard)


def held(channel: str = HERE, needed: Corroboration = SLOW, **fields: object) -> Root:
    """A root that waits since half an hour ago."""
    created = make.NOW - timedelta(minutes=30)
    alert = make.alert(id="held", channel=channel, corroboration=needed, created=created, **fields)
    return Root(alert, held=True)


@dataclass(frozen=True)
class Wait:
    """What an item comes to in a story with these voices."""

    topics: tuple[str, ...]
    heard: tuple[Voice, ...]
    verdict: Verdict
    told: dict[str, str] = field(default_factory=dict)
    #: what each held root waits for
    held: dict[str, Corroboration] = field(default_factory=dict)
    released: tuple[str, ...] = ()
    known: dict[str, Root] = field(default_factory=dict)
    placement: Placement = UPDATE


WAITS = {
    "one source is not three": Wait(("slow",), (WIRE,), Verdict.WAITING, held={HERE: SLOW}),
    "two are not three": Wait(("slow",), (WIRE, PAPER), Verdict.WAITING, held={HERE: SLOW}),
    "three are": Wait(("slow",), (WIRE, PAPER, STATE), Verdict.ALERT, {HERE: "root"}),
    "a source that only copies is none": Wait(("slow",), (WIRE, PAPER, COPIER), Verdict.WAITING, held={HERE: SLOW}),
    "one kind is not two": Wait(("kinds",), (WIRE, PAPER), Verdict.WAITING, held={HERE: KINDS}),
    "two kinds are": Wait(("kinds",), (WIRE, STATE), Verdict.ALERT, {HERE: "root"}),
    "a kind nobody knows is none": Wait(("kinds",), (WIRE, make.voice("X")), Verdict.WAITING, held={HERE: KINDS}),
    "whichever comes first: kinds": Wait(("either",), (WIRE, STATE), Verdict.ALERT, {HERE: "root"}),
    "whichever comes first: sources": Wait(("either",), (WIRE, PAPER, make.voice("X")), Verdict.ALERT, {HERE: "root"}),
    "a topic that asks for nothing lets it through": Wait(("slow", "troops"), (WIRE,), Verdict.ALERT, {HERE: "root"}),
    "of two topics the least demanding decides": Wait(
        ("slow", "kinds"), (WIRE,), Verdict.WAITING, held={HERE: Corroboration(3, 2, timedelta(hours=2))}
    ),
    "each channel waits for itself": Wait(
        ("slow-there", "troops"), (WIRE,), Verdict.ALERT, {HERE: "root"}, held={THERE: SLOW}
    ),
    # -- while it waits
    "a second source only counts": Wait(("slow",), (WIRE, PAPER), Verdict.WAITING, known={HERE: held()}),
    "a copy only counts": Wait(("slow",), (WIRE, COPIER), Verdict.COPY, known={HERE: held()}, placement=COPY),
    "a third lets it out, and is told by it": Wait(
        ("slow",), (WIRE, PAPER, STATE), Verdict.WAITING, released=("held",), known={HERE: held()}
    ),
    "a third that no topic takes lets it out": Wait(
        (), (WIRE, PAPER, STATE), Verdict.NO_MATCH, released=("held",), known={HERE: held()}
    ),
    "a third in shadow lets it out": Wait(
        ("trial",), (WIRE, PAPER, STATE), Verdict.SHADOW, released=("held",), known={HERE: held()}
    ),
    "a copy may be the one that is counted": Wait(
        ("slow",), (WIRE, PAPER, STATE), Verdict.COPY, released=("held",), known={HERE: held()}, placement=COPY
    ),
    "what it waits for is what it was held for": Wait(
        ("slow",), (WIRE, STATE), Verdict.WAITING, released=("held",), known={HERE: held(needed=KINDS)}
    ),
    "a topic that asks for nothing lets it out, and its item follows": Wait(
        ("troops",), (WIRE, PAPER), Verdict.REPLY, {HERE: "reply"}, released=("held",), known={HERE: held()}
    ),
    "a copy that such a topic takes lets it out": Wait(
        ("troops",), (WIRE, COPIER), Verdict.COPY, released=("held",), known={HERE: held()}, placement=COPY
    ),
    "two channels wait, and both are let out": Wait(
        (), (WIRE, PAPER, STATE), Verdict.NO_MATCH, released=("held", "held"),
        known={HERE: held(), THERE: held(THERE)},
    ),
    # -- after it
    "once it is told, a reply is a reply": Wait(
        ("slow",), (WIRE, PAPER), Verdict.REPLY, {HERE: "reply"}, known={HERE: replace(held(), held=False)}
    ),
    "from its deadline on it waits no more": Wait(
        ("slow",), (WIRE, PAPER), Verdict.REPLY, {HERE: "reply"},
        known={HERE: held(needed=replace(SLOW, within=timedelta(minutes=30)))},
    ),
    "follow-ups only counted are counted": Wait(
        ("slow-quiet",), (WIRE, PAPER), Verdict.COUNTED, known={HERE: replace(held(), held=False)}
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WAITS.values(), ids=WAITS.keys())
def test_story_that_waits_comes_to(case: Wait) -> None:
    decision = decided(*case.topics, placement=case.placement, story=told_by(*case.heard), told=case.known)
    assert decision.verdict is case.verdict
    assert {alert.channel: alert.kind.value for alert in decision.alerts} == case.told
    assert {alert.channel: alert.corroboration for alert in decision.held} == case.held
    assert decision.released == case.released


def test_root_that_waits_says_what_for_and_until_when() -> None:
    assert decided("either", story=told_by(WIRE)).because == (
        "waits for 3 independent sources or 2 kinds of source, until 2024-10-29 20:30 UTC; so far 1 independent source"
    )


def test_item_that_lets_a_root_out_says_so() -> None:
    decision = decided(story=told_by(WIRE, PAPER, STATE), told={HERE: held()})
    assert decision.because == ("there are no topics; the alert that waited goes out: 3 independent sources of 2 kinds")


def test_root_that_waits_is_the_root_that_it_would_have_been() -> None:
    [waiting] = decided("slow", story=told_by(WIRE)).held
    [at_once] = decided("slow", story=told_by(WIRE, PAPER, STATE)).alerts
    assert (waiting.id, waiting.kind, waiting.deadline) == (at_once.id, AlertKind.ROOT, make.NOW + timedelta(hours=6))
    assert at_once.corroboration is None


def test_edit_of_an_item_that_waits_is_not_told_by_itself() -> None:
    root = held()
    decision = edit("slow", alerts=(root.alert,), told={HERE: root}, before=Verdict.WAITING)
    assert (decision.verdict, decision.alerts) == (Verdict.WAITING, ())


def test_edit_of_an_item_that_waited_is_told_once_its_root_is() -> None:
    root = replace(held(), held=False)
    decision = edit("slow", alerts=(root.alert,), told={HERE: root}, before=Verdict.WAITING)
    assert [(alert.parent, alert.corroboration) for alert in decision.alerts] == [("held", None)]


# -- escalation -----------------------------------------------------------------------------------

LOUD = replace(POLICY, escalate_sources=3, escalate_within=timedelta(hours=1))


def sources(*minutes_ago: float) -> Story:
    """A story whose sources first told it so long ago."""
    return told_by(*(make.voice(f"S{n}", first=make.NOW - timedelta(minutes=ago)) for n, ago in enumerate(minutes_ago)))


@dataclass(frozen=True)
class Jump:
    story: Story
    #: channel -> whether it escalates there
    told: dict[str, bool]
    verdict: Verdict
    topics: tuple[str, ...] = ()
    known: dict[str, Root] = field(default_factory=lambda: roots({HERE: "root"}))
    placement: Placement = UPDATE
    policy: Policy = LOUD


THREE = sources(60, 30, 0)
ONE_THERE = {THERE: Root(make.alert(id="there", channel=THERE))}
JUMPS = {
    "three within the hour, of which none is a topic's": Jump(THREE, {HERE: True}, Verdict.REPLY),
    "the third is told anyway": Jump(THREE, {HERE: True}, Verdict.REPLY, ("troops",)),
    "follow-ups are only counted": Jump(THREE, {HERE: True}, Verdict.REPLY, ("quiet",)),
    "only a topic in shadow took it": Jump(THREE, {HERE: True}, Verdict.REPLY, ("trial",)),
    "every channel that knows the story": Jump(
        THREE, {HERE: True, THERE: True}, Verdict.REPLY, known=roots({HERE: "root"}) | ONE_THERE
    ),
    "a channel to which it is news": Jump(
        THREE, {THERE: True, HERE: False}, Verdict.ALERT, ("troops",), known=ONE_THERE
    ),
    "three, but not within the hour": Jump(sources(61, 30, 0), {}, Verdict.NO_MATCH),
    "two within the hour": Jump(sources(30, 0), {}, Verdict.NO_MATCH),
    "a third that only copies": Jump(
        told_by(*sources(30, 0).voices, COPIER), {}, Verdict.COPY, ("troops",), placement=COPY
    ),
    "a copy, after three": Jump(THREE, {}, Verdict.COPY, ("troops",), placement=COPY),
    "once": Jump(
        THREE, {}, Verdict.NO_MATCH, known={HERE: replace(roots({HERE: "r"})[HERE], escalated=True)}
    ),
    "its root named as many": Jump(
        sources(9, 8, 7, 6), {}, Verdict.NO_MATCH, known={HERE: Root(make.alert(independent=THREE.voices))}
    ),
    "its root named fewer": Jump(
        THREE, {HERE: True}, Verdict.REPLY, known={HERE: Root(make.alert(independent=THREE.voices[:2]))}
    ),
    "its root still waits": Jump(
        THREE, {}, Verdict.NO_MATCH, known={HERE: held(needed=Corroboration(kinds=2))}
    ),
    "nobody was told": Jump(THREE, {}, Verdict.NO_MATCH, known={}),
    "never": Jump(THREE, {}, Verdict.NO_MATCH, policy=replace(LOUD, escalate_sources=0)),
}  # fmt: skip


@pytest.mark.parametrize("case", JUMPS.values(), ids=JUMPS.keys())
def test_jump_in_sources_leads_to(case: Jump) -> None:
    decision = decided(*case.topics, placement=case.placement, story=case.story, told=case.known, policy=case.policy)
    assert decision.verdict is case.verdict
    assert {alert.channel: alert.escalation is not None for alert in decision.alerts} == case.told


def test_escalation_is_a_reply_that_is_shown_in_the_channel_and_counts_the_sources() -> None:
    root = Root(make.alert(id="root", matches=took("troops")))
    [told] = decided(story=sources(90, 30, 20, 10), told={HERE: root}, policy=LOUD).alerts
    assert (told.kind, told.parent, told.broadcast) == (AlertKind.REPLY, "root", True)
    assert told.escalation == Escalation(4, 3, timedelta(hours=1))
    assert told.matches == root.alert.matches
    assert told.id != root.alert.id


def test_escalation_of_an_item_that_is_told_anyway_is_one_reply_under_its_own_topics() -> None:
    [told] = decided("grain", story=THREE, told={HERE: "root"}, policy=LOUD).alerts
    assert ([match.topic for match in told.matches], told.broadcast) == (["grain"], True)


def test_escalation_says_what_the_item_would_have_come_to() -> None:
    assert decided(story=THREE, told={HERE: "root"}, policy=LOUD).because == (
        "its story escalates: 3 independent sources, 3 of them of late; by itself: no match, there are no topics"
    )
