"""Rows as part 4.2 of the design fixes them: other programs read them."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import fakes
import make
import pytest

from monitor.archive import read_archive
from monitor.decide import Policy
from monitor.learning import Learning
from monitor.model import (
    Corroboration,
    Item,
    StoryPolicy,
    StoryStep,
    StoryTest,
    Terms,
    Topic,
    TopicStatus,
    TopicTest,
)
from monitor.pipeline import Judge
from monitor.replay import CHUNK, Stories, replay
from monitor.trial import Trial, run_tests, texts_of_tests

TROOPS = make.topic(
    id="dprk-troops",
    description="North Korean soldiers fight for Russia",
    examples=("North Korean soldiers arrive in Russia", "Pyongyang sends soldiers to the front"),
    noise=1 / 100,
)
CLEAR = make.topic(
    id="brics-clear", title="BRICS Clear", description="A settlement system of BRICS",
    examples=("BRICS leaders discuss settlement",), terms=Terms(always=("brics clear",)), noise=1 / 100_000,
)  # fmt: skip

ARCHIVE: list[dict[str, Any]] = [
    {"id": "n1", "title": "North Korean soldiers arrive in Russia", "text": "Seoul counts three thousand of them.",
     "lang": "en", "published": "2024-10-28T09:00:00Z", "source": "Harbour Wire", "url": "https://h.example/1"},
    {"id": "n2", "title": "Rain expected over the weekend in the south", "published": "2024-10-28T10:00:00Z"},
    {"id": "n3", "title": "North Korean soldiers arrive in Russia", "text": "Seoul counts three thousand of them.",
     "lang": "en", "published": "2024-10-28T11:00:00Z", "source": "Meridian Courier", "url": "https://m.example/1"},
    {"id": 4, "title": "What is BRICS Clear?", "published": "2024-10-28T12:00:00Z"},
    {"id": "n5", "title": "North Korean soldiers arrive in Russia, Kyiv says", "text": "Officers came with them.",
     "lang": "en", "published": "2024-10-28T17:00:00Z", "source": "Third Wire"},
    {"id": "n6", "title": "Rain expected over the weekend in the south, again", "published": "2024-10-29T12:00:00Z"},
]  # fmt: skip


def learning() -> Learning:
    embedder = fakes.FakeEmbedder()
    return Learning(embedder, fakes.ordinary, fakes.background())  # type: ignore[arg-type]  # it has all that Learning asks of one


def judge(topics: Sequence[Topic]) -> Judge:
    learnt = learning()
    policy = Policy(make.CHANNEL, timedelta(days=3), timedelta(0))
    return Judge(learnt.matcher(topics), learnt.background, timedelta(hours=72), policy)


def items(folder: Path, rows: Sequence[dict[str, Any]] = ARCHIVE) -> list[Item]:
    path = folder / "items.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found, problems = read_archive(path, make.NOW)
    assert problems == []
    return found


def rows(
    folder: Path, stories: Stories = "all", *, topics: Sequence[Topic] = (TROOPS, CLEAR), scores: bool = False,
    archive: Sequence[dict[str, Any]] = ARCHIVE,
) -> list[dict[str, Any]]:  # fmt: skip
    done = replay(items(folder, archive), learning(), judge(topics), stories, with_scores=scores)
    return [json.loads(json.dumps(one.row(with_scores=scores))) for one in done]


# -- the row ---------------------------------------------------------------------------------------


def test_rows_come_in_the_order_given_with_the_keys_of_the_contract(tmp_path: Path) -> None:
    found = rows(tmp_path)
    assert [row["id"] for row in found] == ["n1", "n2", "n3", "4", "n5", "n6"]
    assert all(list(row) == ["id", "story", "relation", "matches", "alerts"] for row in found)


def test_a_story_told_once_copied_and_updated(tmp_path: Path) -> None:
    told = {row["id"]: row for row in rows(tmp_path)}
    because = told["n1"]["matches"][0].pop("because")
    score = told["n1"]["matches"][0].pop("score")
    assert told["n1"] == {
        "id": "n1",
        "story": "n1",
        "relation": "root",
        "matches": [{"topic": "dprk-troops"}],
        "alerts": [{"topic": "dprk-troops", "kind": "root"}],
    }
    assert score >= 2
    assert "North Korean soldiers arrive in Russia" in because
    assert [(told[key]["story"], told[key]["relation"], told[key]["alerts"]) for key in ("n3", "n5")] == [
        ("n1", "copy", []),
        ("n1", "update", [{"topic": "dprk-troops", "kind": "reply"}]),
    ]


def test_what_matches_nothing_is_grouped_all_the_same(tmp_path: Path) -> None:
    told = {row["id"]: row for row in rows(tmp_path)}
    assert told["n2"] == {"id": "n2", "story": "n2", "relation": "root", "matches": [], "alerts": []}
    assert (told["n6"]["story"], told["n6"]["relation"], told["n6"]["alerts"]) == ("n2", "update", [])


def test_a_term_is_told_with_the_score_however_low(tmp_path: Path) -> None:
    match = next(row for row in rows(tmp_path) if row["id"] == "4")["matches"][0]
    assert match["topic"] == "brics-clear"
    assert "BRICS Clear" in match["because"]
    assert isinstance(match["score"], float)


# -- which items are grouped -----------------------------------------------------------------------


def test_without_stories_nothing_is_grouped_or_alerted(tmp_path: Path) -> None:
    found = rows(tmp_path, "none")
    assert {(row["story"], row["relation"], len(row["alerts"])) for row in found} == {(None, None, 0)}
    assert [bool(row["matches"]) for row in found] == [True, False, True, True, True, False]


def test_matched_groups_only_what_a_topic_took(tmp_path: Path) -> None:
    found = rows(tmp_path, "matched")
    assert [row["story"] for row in found] == ["n1", None, "n1", "4", "n1", None]
    assert [row["relation"] for row in found] == ["root", None, "copy", "root", "update", None]
    assert found[4]["alerts"] == [{"topic": "dprk-troops", "kind": "reply"}]


def test_no_topic_is_for_grouping_alone(tmp_path: Path) -> None:
    found = rows(tmp_path, topics=(), scores=True)
    assert [row["relation"] for row in found] == ["root", "root", "copy", "root", "update", "update"]
    assert all(row["matches"] == row["alerts"] == [] and row["scores"] == {} for row in found)
    assert all(row["story"] is None for row in rows(tmp_path, "matched", topics=()))


def test_a_topic_in_shadow_matches_and_alerts_nobody(tmp_path: Path) -> None:
    shadow = make.topic(id="clear-shadow", status=TopicStatus.SHADOW, terms=CLEAR.terms, noise=1e-5)
    row = rows(tmp_path, topics=(shadow,))[3]
    assert [match["topic"] for match in row["matches"]] == ["clear-shadow"]
    assert (row["relation"], row["alerts"]) == ("root", [])


# -- stories that wait -----------------------------------------------------------------------------

SLOW = replace(TROOPS, story=StoryPolicy(corroboration=Corroboration(sources=2, within=timedelta(days=2))))


def test_a_root_that_waits_is_told_by_the_item_that_completes_it(tmp_path: Path) -> None:
    told = {row["id"]: row for row in rows(tmp_path, topics=(SLOW,))}
    assert [told[key]["alerts"] for key in ("n1", "n3", "n5")] == [
        [],
        [],  # a copy is no second source
        [{"topic": "dprk-troops", "kind": "root"}],
    ]


def test_after_its_deadline_a_root_that_waited_stands_nowhere_and_items_are_replies(tmp_path: Path) -> None:
    hasty = replace(SLOW, story=StoryPolicy(corroboration=Corroboration(sources=9, within=timedelta(hours=6))))
    told = {row["id"]: row for row in rows(tmp_path, topics=(hasty,))}
    assert [told[key]["alerts"] for key in ("n1", "n3", "n5")] == [[], [], [{"topic": "dprk-troops", "kind": "reply"}]]


# -- scores ----------------------------------------------------------------------------------------


def test_scores_has_every_topic_for_every_item_in_one_order(tmp_path: Path) -> None:
    found = rows(tmp_path, "none", scores=True)
    assert all(list(row) == ["id", "story", "relation", "matches", "alerts", "scores"] for row in found)
    assert all(list(row["scores"]) == ["dprk-troops", "brics-clear"] for row in found)
    assert all(score >= 0 for row in found for score in row["scores"].values())
    assert found[0]["scores"]["dprk-troops"] > found[0]["scores"]["brics-clear"]
    assert found[3]["scores"]["brics-clear"] > found[3]["scores"]["dprk-troops"]
    assert found[0]["scores"]["dprk-troops"] == found[0]["matches"][0]["score"]


def test_scores_are_the_same_whatever_is_grouped(tmp_path: Path) -> None:
    modes: tuple[Stories, ...] = ("all", "matched", "none")
    one, two, three = ([row["scores"] for row in rows(tmp_path, mode, scores=True)] for mode in modes)
    assert one == two == three


# -- time ------------------------------------------------------------------------------------------


def test_the_archives_own_times_are_the_clock(tmp_path: Path) -> None:
    """However old the archive is, nothing in it is too old; and after the window a story is told anew."""
    old = [row | {"published": f"1999-01-{day:02d}"} for row, day in zip(ARCHIVE[::2], (1, 2, 20), strict=True)]
    old[1] = ARCHIVE[2] | {"published": "1999-01-02"}
    old[2] = ARCHIVE[2] | {"id": "later", "published": "1999-01-20", "source": "Third Wire"}
    found = rows(tmp_path, archive=old)
    assert [row["relation"] for row in found] == ["root", "copy", "root"]
    assert [[alert["kind"] for alert in row["alerts"]] for row in found] == [["root"], [], ["root"]]


def test_a_long_archive_is_embedded_in_chunks_and_forgets_nothing_recent(tmp_path: Path) -> None:
    long = [
        {"id": n, "title": f"Filler {n} of words{n} and things{n}", "published": "2024-10-28T09:00:00Z"}
        for n in range(CHUNK + 20)
    ]
    long[0] = ARCHIVE[0]
    long[-1] = ARCHIVE[2]
    found = rows(tmp_path, archive=long)
    assert len(found) == CHUNK + 20
    assert (found[-1]["story"], found[-1]["relation"]) == ("n1", "copy")


def test_an_empty_archive_gives_no_rows(tmp_path: Path) -> None:
    assert rows(tmp_path, archive=[]) == []


def test_replaying_again_tells_the_same(tmp_path: Path) -> None:
    assert rows(tmp_path, scores=True) == rows(tmp_path, scores=True)


def test_rows_come_while_the_archive_is_read(tmp_path: Path) -> None:
    """One chunk at a time: who reads the first line waits for no other chunk."""
    learnt = learning()
    archive = items(tmp_path, [{"id": n, "title": f"Item {n}"} for n in range(CHUNK + 1)])
    next(replay(archive, learnt, judge([TROOPS]), "none", with_scores=False))
    embedder = learnt.embedder
    assert isinstance(embedder, fakes.FakeEmbedder)
    assert len(embedder.texts) == CHUNK


# -- the tests inside topic files ------------------------------------------------------------------


def run(topics: list[Topic]) -> list[Trial]:
    return list(run_tests(topics, judge(topics), learning().vectors(texts_of_tests(topics))))


@pytest.mark.parametrize(
    ("title", "alert", "passed", "says"),
    [
        ("What is BRICS Clear?", True, True, "expected alert: matched by term; alerts on the term “brics clear”"),
        ("What is BRICS Clear?", False, False, "expected silent: matched by term; alerts on the term “brics clear”"),
        ("Rain in the south", False, True, "expected silent: below the bar; not rare enough"),
        ("Rain in the south", True, False, "expected alert: below the bar; not rare enough"),
    ],
)
def test_a_topics_own_tests(title: str, alert: bool, passed: bool, says: str) -> None:
    topic = replace(CLEAR, tests=(TopicTest(title, alert, line=12),))
    trials = run([topic])
    assert [(trial.name, trial.line, trial.passed) for trial in trials] == [(title, 12, passed)]
    assert trials[0].because.startswith(says)


@pytest.mark.parametrize(
    ("expected", "passed", "says"),
    [(("root", "copy", "update"), True, ""), (("root", "update", "update"), False, "step 2, “"), ((), True, "")],
)
def test_a_topics_own_story_tests(expected: tuple[str, ...], passed: bool, says: str) -> None:
    steps = tuple(
        StoryStep(timedelta(hours=n), ARCHIVE[key]["title"], word, ARCHIVE[key]["text"])
        for n, (key, word) in enumerate(zip((0, 2, 4), expected, strict=False))
    )
    topic = replace(TROOPS, story_tests=(StoryTest("told, copied, updated", steps, 30),))
    [trial] = run([topic])
    assert (trial.name, trial.passed) == ("told, copied, updated", passed)
    assert trial.because.startswith(says)


def test_the_tests_of_a_topic_that_is_off_are_not_run() -> None:
    off = replace(CLEAR, status=TopicStatus.OFF, tests=(TopicTest("What is BRICS Clear?", True),))
    assert run([off]) == []
