"""What people say of alerts becomes proposals: which, in what words, and what they would have changed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import make
import pytest
from fakes import FakeEmbedder, background, ordinary

from monitor.feedback import Effect, Proposal, proposals, proposed, proposed_data
from monitor.learning import Learning
from monitor.model import Alert, Feedback, FeedbackKind, MatchOutcome, Topic, TopicTest
from monitor.rules import load_rules
from monitor.trial import effects

USEFUL, WRONG, MUTE = FeedbackKind.USEFUL, FeedbackKind.WRONG, FeedbackKind.MUTE
TOPIC = make.topic(path="rules/dprk-troops.toml")
TOPICS = {TOPIC.id: TOPIC}


def said(*opinions: tuple[FeedbackKind, str]) -> list[Feedback]:
    return [Feedback("a1", kind, user, make.NOW) for kind, user in opinions]


def alert(above: float = 1.0, **fields: object) -> Alert:
    return make.alert(matches=(make.match(score=3.3 + above, bar=3.3, **fields),))


def proposed_kinds(alert: Alert, *opinions: tuple[FeedbackKind, str], topic: Topic = TOPIC) -> list[FeedbackKind]:
    return [proposal.kind for proposal in proposals([(alert, said(*opinions))], {topic.id: topic})]


# -- what is proposed ------------------------------------------------------------------------------


def test_wrong_alert_becomes_a_negative_with_a_test() -> None:
    [proposal] = proposals([(alert(), said((WRONG, "U1")))], TOPICS)

    title = alert().item.title
    assert proposal.changed.negatives == (*TOPIC.negatives, title)
    assert proposal.changed.tests == (TopicTest(title, alert=False),)
    assert proposal.changed.examples == TOPIC.examples


def test_useful_alert_that_only_just_passed_becomes_an_example_with_a_test() -> None:
    [proposal] = proposals([(alert(above=0.2), said((USEFUL, "U1")))], TOPICS)

    title = alert().item.title
    assert proposal.changed.examples == (*TOPIC.examples, title)
    assert proposal.changed.tests == (TopicTest(title, alert=True),)


def test_proposal_says_where_it_is_not_sure_that_its_alert_is_meant() -> None:
    unsure, sure = Feedback("a1", WRONG, "U1", make.NOW, among=3), Feedback("a1", WRONG, "U2", make.NOW)
    [one] = proposals([(alert(), [unsure])], TOPICS)
    [other] = proposals([(alert(), [unsure, sure])], TOPICS)

    said = "said of a message that tells 3 alerts: look whether this one is meant"
    assert [said in proposed(proposal, Effect(True, 9, (), ()), 5) for proposal in (one, other)] == [True, False]


@pytest.mark.parametrize(
    ("alert", "opinions", "kinds"),
    [
        (alert(above=0.6), [(USEFUL, "U1")], []),  # it passes well as it is
        (alert(above=0.1, outcome=MatchOutcome.MATCHED_TERM), [(USEFUL, "U1")], []),  # no example let it in
        (alert(), [(MUTE, "U1")], []),
        (alert(), [(WRONG, "U1"), (USEFUL, "U2")], []),  # they disagree
        (alert(), [(WRONG, "U1"), (USEFUL, "U2"), (WRONG, "U3")], [WRONG]),
    ],
)
def test_what_people_say_decides_together(
    alert: Alert, opinions: list[tuple[FeedbackKind, str]], kinds: list[FeedbackKind]
) -> None:
    assert proposed_kinds(alert, *opinions) == kinds


@pytest.mark.parametrize(
    "topic",
    [
        make.topic(negatives=(alert().item.title,)),
        make.topic(tests=(TopicTest(alert().item.title, alert=False),)),
        make.topic(id="another"),  # the topic is gone
    ],
)
def test_what_the_author_has_dealt_with_is_not_proposed(topic: Topic) -> None:
    assert proposed_kinds(alert(), (WRONG, "U1"), topic=topic) == []


# -- what it would have changed --------------------------------------------------------------------

TROOPS = make.topic(
    id="troops", path="rules/troops.toml", title="North Korean soldiers in Russia", noise=1 / 20,
    description="North Korea sends soldiers and troops to Russia.",
    examples=("North Korean soldiers arrive in Russia for training", "North Korean troops in Russia near Kursk"),
)  # fmt: skip
CHESS = "North Korean chess players arrive in Russia for a tournament"


def effect(kind: FeedbackKind, title: str, *past: str) -> tuple[Proposal, Effect]:
    learning = Learning(FakeEmbedder(), ordinary, background())  # type: ignore[arg-type]  # as good as the real one
    item = make.item(title=title, text="")
    told = make.alert(item=item, matches=(make.match(topic="troops", score=3.4),), titles={"troops": "Troops"})
    found = list(proposals([(told, said((kind, "U1")))], {"troops": TROOPS}))
    items = [make.item(title=one, text="", published=make.NOW - timedelta(days=n)) for n, one in enumerate(past)]
    vectors = learning.embedder.embed([one.title for one in items])
    [done] = effects(found, list(zip(items, vectors, strict=True)), learning.matcher, learning.embed)
    return done


def test_negative_shows_what_would_have_gone() -> None:
    _, done = effect(WRONG, CHESS, CHESS, "North Korean soldiers arrive in Russia", "Rain over the weekend")

    assert done.works
    assert [item.title for item in done.gone] == [CHESS]
    assert (done.come, done.looked_at) == ((), 3)


def test_proposal_is_told_in_words_and_lines_that_can_be_pasted() -> None:
    told = proposed(*effect(WRONG, CHESS, CHESS, "Rain over the weekend"), shown=5)

    assert told == (
        "troops · rules/troops.toml\n"
        f"  wrong, said U1 on 2024-10-29: “{CHESS}”\n"
        "  add to negatives:\n"
        f'      "{CHESS}",\n'
        "  add at the end of the file:\n"
        "      [[tests]]\n"
        f'      title  = "{CHESS}"\n'
        '      expect = "silent"\n'
        "  this item would be silent; 1 less and 0 more of the last 2 items, by title and lead\n"
        f"      - 2024-10-29 {CHESS} (Harbour Wire)"
    )


def test_many_changes_are_counted_not_listed() -> None:
    proposal, _ = effect(WRONG, CHESS)
    items = tuple(make.item(title=f"Chess {n}") for n in range(9))

    lines = proposed(proposal, Effect(True, 100, items, ()), shown=3).splitlines()

    assert lines[-1] == "      and 6 more"
    assert sum(line.startswith("      - ") for line in lines) == 3


def test_proposal_that_does_not_do_what_it_is_for_says_so() -> None:
    proposal, _ = effect(USEFUL, "North Korean soldiers in Russia")

    assert "the item would not alert with this" in proposed(proposal, Effect(False, 0, (), ()), shown=3)
    assert proposed_data(proposal, Effect(False, 0, (), ()))["works"] is False


@pytest.mark.parametrize("title", ['He said: "never" \\ again', "Кім і Путін", "A 'quoted' # comment = [x]"])
def test_what_is_pasted_loads_and_means_what_was_proposed(tmp_path: Path, title: str) -> None:
    proposal, _ = effect(WRONG, title)
    file = tmp_path / "troops.toml"
    file.write_text(
        f'title = "Troops"\ndescription = "North Korea sends troops to Russia."\nexamples = ["One", "Two"]\n'
        f"negatives = [\n{proposal.line}\n]\n\n{proposal.test}\n",
        encoding="utf-8",
    )

    [topic] = load_rules(tmp_path)

    assert topic.negatives == (title,)
    assert [(test.title, test.alert) for test in topic.tests] == [(title, False)]
