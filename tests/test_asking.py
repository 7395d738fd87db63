"""Second opinions, from the poll that asks to the alert that says what was said."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import make
from world import GAZETTE, TROOPS, WIRE, World

from monitor.model import MatchOutcome, Opinion, Question, TopicStatus, Verdict
from monitor.opinion import Borderline, no_opinion
from monitor.pipeline import Asking

FOR, AGAINST = Opinion(True, 0.9, "it tells of the troops", "judge-1"), Opinion(False, 0.8, "a feature", "judge-1")


@dataclass
class FakeJudge:
    """Gives the same opinion on everything."""

    opinion: Opinion
    id: str = "judge-1@7"
    name: str = "judge-1"
    asked: list[Question] = field(default_factory=list)

    async def give(self, questions: Sequence[Question]) -> list[Opinion]:
        self.asked += questions
        return [self.opinion] * len(questions)


def world_with(judge: FakeJudge, *, noise: float = 1 / 2000, budget: int = 100, **topic: object) -> World:
    """A world in which everything that the score decides is borderline."""
    world = World(topics=(make.topic(noise=noise, **topic),))
    world.asking = Asking(judge, Borderline(below=100, above=100), budget)
    return world


def told(world: World, title: str) -> tuple[Verdict, MatchOutcome, str]:
    (found,) = [one for verdict in Verdict for one in world.store.with_verdict(verdict) if one.item.title == title]
    return found.verdict, found.matches[0].outcome, found.matches[0].opinion


async def test_an_opinion_for_it_lets_in_what_was_below_the_bar() -> None:
    judge = FakeJudge(FOR)
    world = world_with(judge, noise=1e-90)
    await world.know()
    await world.publish(WIRE, TROOPS)
    assert told(world, TROOPS[0]) == (
        Verdict.ALERT, MatchOutcome.MATCHED_OPINION, "judge-1 is for it, 90 % sure: it tells of the troops",
    )  # fmt: skip
    await world.deliver()
    assert "judge-1 is for it" in world.sink.messages[0].message.terminal.replace("\n", " ")


async def test_an_opinion_against_it_keeps_out_what_was_above() -> None:
    world = world_with(FakeJudge(AGAINST))
    await world.know()
    await world.publish(WIRE, TROOPS)
    assert told(world, TROOPS[0])[:2] == (Verdict.NO_MATCH, MatchOutcome.OPINION_AGAINST)


async def test_without_an_opinion_the_first_judgement_stands_and_the_alert_says_so() -> None:
    world = world_with(FakeJudge(no_opinion("timeout", "judge-1")))
    await world.know()
    await world.publish(WIRE, TROOPS)
    assert told(world, TROOPS[0]) == (Verdict.ALERT, MatchOutcome.MATCHED, "no second opinion (judge-1): timeout")
    await world.deliver()
    assert "no second opinion (judge-1): timeout" in world.sink.messages[0].message.terminal.replace("\n", " ")


async def test_what_was_asked_once_is_known() -> None:
    judge = FakeJudge(FOR)
    world = world_with(judge)
    await world.know()
    await world.publish(WIRE, TROOPS)
    await world.publish(GAZETTE, TROOPS)
    assert [asked.title for asked in judge.asked] == [TROOPS[0]]


async def test_after_a_failure_the_next_outlet_s_report_is_asked_about() -> None:
    judge = FakeJudge(no_opinion("timeout", "judge-1"))
    world = world_with(judge)
    await world.know()
    await world.publish(WIRE, TROOPS)
    await world.publish(GAZETTE, TROOPS)
    assert len(judge.asked) == 2


async def test_a_day_has_its_budget_also_after_a_restart() -> None:
    judge = FakeJudge(FOR)
    world = world_with(judge, budget=1)
    await world.know()
    await world.publish(WIRE, TROOPS)
    world.restart()
    other = ("North Korean soldiers seen at Kursk again", "Officers say that they came by train.")
    await world.publish(GAZETTE, other)
    assert len(judge.asked) == 1
    assert told(world, other[0])[2] == "no second opinion (judge-1): over budget"
    world.wait(days=1)
    third = ("North Korean soldiers near Kursk, third time", "They are to be five thousand.")
    await world.publish(GAZETTE, third)
    assert len(judge.asked) == 2


async def test_nobody_is_asked_about_a_topic_in_shadow() -> None:
    judge = FakeJudge(FOR)
    world = world_with(judge, status=TopicStatus.SHADOW)
    await world.know()
    await world.publish(WIRE, TROOPS)
    assert judge.asked == []


async def test_nobody_is_asked_about_what_stood_in_a_new_feed_or_is_too_old() -> None:
    judge = FakeJudge(FOR)
    world = world_with(judge)
    await world.publish(WIRE, TROOPS)
    await world.know()
    await world.publish(GAZETTE, TROOPS, age=timedelta(days=30))
    assert judge.asked == []
