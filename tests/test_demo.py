"""The main job, whole: `monitor demo` with the real models, the shipped topics and the sample feeds. About a minute."""

from __future__ import annotations

import asyncio
import io
from dataclasses import dataclass
from pathlib import Path

import pytest

from monitor import demo
from monitor.errors import StateError
from monitor.model import Explained, FeedState, Verdict
from monitor.sample_feeds import SampleItem, outlets
from monitor.store import Store

SAMPLES = {item.link: item for outlet in outlets() for item in outlet.items}


@dataclass(frozen=True)
class Shown:
    text: str
    topics: list[str]
    #: every item of the samples, by its link
    items: dict[str, Explained]
    feeds: list[FeedState]
    outbox: dict[str, int]

    def verdict(self, sample: SampleItem) -> Verdict:
        return self.items[sample.link].verdict


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    state = tmp_path_factory.mktemp("demo") / "state"
    out = io.StringIO()
    asyncio.run(demo.run(state, 0, out))
    store = Store.open(state)
    known = [one for verdict in Verdict for one in store.with_verdict(verdict)]
    shown = Shown(
        out.getvalue(),
        store.alerted_topics(),
        {one.item.link: one for one in known},
        store.feeds(),
        store.outbox_counts(),
    )
    store.close()
    return shown


@pytest.mark.model
def test_every_sample_is_judged(shown: Shown) -> None:
    assert shown.items.keys() == SAMPLES.keys()
    assert [state.last_error for state in shown.feeds] == [""] * 8


@pytest.mark.model
def test_at_least_twenty_topics_alert(shown: Shown) -> None:
    assert len(shown.topics) >= 20


@pytest.mark.model
def test_what_must_stay_silent_stays_silent(shown: Shown) -> None:
    told = [
        f"{sample.title} ({sample.look_alike}): {[m.topic for m in shown.items[sample.link].matches if m.matched]}"
        for sample in SAMPLES.values()
        if not sample.topics and shown.verdict(sample) is not Verdict.NO_MATCH
    ]
    assert told == []


@pytest.mark.model
@pytest.mark.parametrize(
    "copy", [sample for sample in SAMPLES.values() if sample.copy_of], ids=lambda sample: sample.id
)
def test_of_a_text_that_came_twice_one_is_held_back(shown: Shown, copy: SampleItem) -> None:
    """The one seen later: the feeds are polled in the order of their addresses, so that may be the original."""
    original = next(sample for sample in SAMPLES.values() if sample.id == copy.copy_of)
    first, second = sorted(
        (shown.items[copy.link], shown.items[original.link]), key=lambda known: known.item.first_seen
    )
    assert second.verdict is Verdict.COPY
    assert second.placement.parent == first.item.id
    assert first.verdict in (Verdict.ALERT, Verdict.REPLY)
    assert f"{second.item.source}: {second.item.title}" in shown.text[shown.text.index("HELD BACK") :]


@pytest.mark.model
def test_most_of_what_must_alert_does(shown: Shown) -> None:
    wanted = [sample for sample in SAMPLES.values() if sample.topics]
    silent = [sample.title for sample in wanted if shown.verdict(sample) is Verdict.NO_MATCH]
    assert len(silent) <= len(wanted) * 0.1, silent


@pytest.mark.model
def test_every_alert_was_delivered(shown: Shown) -> None:
    assert shown.outbox.keys() == {"sent"}


@pytest.mark.model
def test_the_second_poll_has_two_answers_of_nothing_new(shown: Shown) -> None:
    # thirteen days later validators are not believed, and so both are whole answers
    assert "2 polls same body" in shown.text
    assert shown.text.count("same body") >= 2


@pytest.mark.model
def test_the_text_has_its_parts_and_the_table(shown: Shown) -> None:
    parts = ["Serving 8 sample feeds", "FIRST POLL", "SECOND POLL", "HELD BACK", "IN SHORT", "NEXT"]
    places = [shown.text.index(part) for part in parts]
    assert places == sorted(places)
    table = shown.text[shown.text.index("IN SHORT") : shown.text.index("NEXT")]
    rows = {line.split()[0]: line for line in table.splitlines()[2:] if line.strip()}
    assert {"feeds", "items", "matches", "stories", "alerts", "replies", "held", "silent"} <= rows.keys()
    assert rows["items"].split()[1] == str(len(SAMPLES))
    assert f"on {len(shown.topics)} topics" in rows["alerts"]
    assert "\x1b" not in shown.text  # colours only on a terminal


# -- the folder it works in; without a model -------------------------------------------------------


def test_a_folder_that_no_demo_made_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("ten years of work")
    with pytest.raises(StateError, match="no demo made it"):
        demo.prepare(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "ten years of work"


def test_a_demos_own_folder_is_emptied_unless_it_is_to_be_kept(tmp_path: Path) -> None:
    settings = demo.prepare(tmp_path / "demo")
    (settings.parent / "left.txt").write_text("x")
    assert demo.prepare(tmp_path / "demo", keep=True) == settings
    assert (settings.parent / "left.txt").exists()
    demo.prepare(tmp_path / "demo")
    assert [path.name for path in settings.parent.iterdir()] == ["monitor.toml"]
