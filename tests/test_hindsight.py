"""What topics would have done, over a state and over a file; no model, real SQLite."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import make
import pytest
from click.testing import CliRunner, Result
from fakes import FakeEmbedder, background, ordinary
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.cli import main
from monitor.decide import Policy
from monitor.group import OpenStories
from monitor.hindsight import (
    Archive,
    Change,
    Hindsight,
    Remembered,
    Tried,
    change,
    changed_keys,
    compare,
    differing,
    read_file,
    silent,
)
from monitor.learning import Learning
from monitor.match import Matcher
from monitor.model import (
    Corroboration,
    Followups,
    Item,
    Notify,
    Placement,
    Relation,
    StoryPolicy,
    Terms,
    Topic,
    TopicStatus,
    TopicTest,
    Verdict,
)
from monitor.recall import recall
from monitor.sample_feeds import outlets
from monitor.space import CompactSpace
from monitor.store import Store
from monitor.terminal import columns
from monitor.text import gist, text_hash
from monitor.tried import changes_data, changes_markdown, changes_text, histogram, tried_data, tried_html, tried_text

LEARNING = Learning(FakeEmbedder(), ordinary, background())  # type: ignore[arg-type]  # it has all that Learning asks of one
POLICY = Policy("C0NEWS", max_age=timedelta(days=3), backfill=timedelta(0))
TROOPS = make.topic(
    title="Troops",
    description="North Korean soldiers fight for Russia",
    examples=("North Korean soldiers arrive in Russia", "Pyongyang sends soldiers to the front"),
    noise=1 / 100,
)
#: only a term takes an item
NAMED = make.topic(id="named", title="Chess", description="Clubs", examples=("Clubs",), noise=1e-9,
                   terms=Terms(always=("chess club",)))  # fmt: skip
WIRE, GAZETTE, TIMES = (make.feed(url=f"https://{name}.example/", title=name) for name in ("wire", "gazette", "times"))
CHESS = [
    make.item(feed=feed, title=f"The chess club {title}", text="", published=make.NOW + timedelta(hours=hours),
              first_seen=make.NOW + timedelta(hours=hours))
    for feed, title, hours in ((WIRE, "elects a treasurer", 0), (GAZETTE, "has a new treasurer", 2), (TIMES, "in court", 30))
]  # fmt: skip


def learn(topics: Sequence[Topic], asked: Sequence[str]) -> Matcher:
    return LEARNING.matcher(topics, asked=asked)


def stories() -> OpenStories:
    return OpenStories(CompactSpace(background()), timedelta(hours=72))


def of_file(items: Sequence[Item], span: timedelta | None = None, policy: Policy = POLICY) -> Hindsight:
    return Hindsight(read_file(items, span, LEARNING, stories, None, silent), LEARNING, None, policy)


@contextmanager
def of_store(items: Sequence[Item], parents: Sequence[str]) -> Iterator[tuple[Archive, Store]]:
    """A state in which each item stands in the story that its parent opened; an empty parent: its own."""
    with closing(Store.in_memory()) as store:
        for feed in {item.feed.url: item.feed for item in items}.values():
            store.add_feed(feed, make.NOW)
        for item, parent in zip(items, parents, strict=True):
            placement = Placement(parent or item.id, Relation.UPDATE if parent else Relation.ROOT, parent)
            vector = FakeEmbedder().embed([gist(item.title, item.text)])[0]
            record = make.record(
                item=item, vector=vector, placement=placement, text_hash=text_hash(gist(item.title, item.text))
            )
            store.commit_poll(make.polled(feed=item.feed), [record], LEARNING.embedder.id)
        yield remembered(store), store


def remembered(store: Store, model: str = LEARNING.embedder.id) -> Remembered:
    span = timedelta(days=30)
    return Remembered(store, recall(store, model, span, make.NOW - span, 10, None, "").past)


def attempt(hindsight: Hindsight, topic: Topic, whole: int = 10) -> Tried:
    return hindsight.send(hindsight.look(learn([topic], [topic.id]), [topic.id], whole, 10), 10)[0]


def verdicts(tried: Tried) -> list[tuple[str, bool]]:
    return [(one.verdict.value, one.at is not None) for one in tried.sent]


# -- stories, and what is sent --------------------------------------------------------------------


def test_items_of_a_state_stand_where_they_stood_live() -> None:
    with of_store(CHESS, ["", "", CHESS[0].id]) as (archive, store):
        tried = attempt(Hindsight(archive, LEARNING, store, POLICY), NAMED)
    assert verdicts(tried) == [("alert", True), ("alert", True), ("reply", True)]


def test_items_of_a_file_are_put_in_stories() -> None:
    again = replace(CHESS[0], id="again", feed=GAZETTE)
    assert verdicts(attempt(of_file([CHESS[0], again]), NAMED)) == [("alert", True), ("copy", False)]


def test_follow_ups_that_are_only_counted_are_not_sent() -> None:
    counting = replace(NAMED, notify=Notify(followups=Followups.COUNT_ONLY))
    with of_store(CHESS[:2], ["", CHESS[0].id]) as (archive, store):
        tried = attempt(Hindsight(archive, LEARNING, store, POLICY), counting)
    assert verdicts(tried) == [("alert", True), ("counted", False)]


def test_alert_that_waits_goes_out_with_its_second_source_that_no_topic_takes() -> None:
    waiting = replace(NAMED, story=StoryPolicy(corroboration=Corroboration(sources=2)))
    other = make.item(feed=GAZETTE, title="A treasurer", text="", published=CHESS[0].at + timedelta(hours=1))
    other = replace(other, first_seen=other.published or make.NOW)
    with of_store([CHESS[0], other], ["", CHESS[0].id]) as (archive, store):
        [sent] = attempt(Hindsight(archive, LEARNING, store, POLICY), waiting).sent
    assert (sent.item.id, sent.verdict, sent.at) == (CHESS[0].id, Verdict.WAITING, other.at)


def test_alert_that_waits_in_vain_goes_out_at_its_deadline() -> None:
    waiting = replace(NAMED, story=StoryPolicy(corroboration=Corroboration(sources=2, within=timedelta(hours=6))))
    with of_store(CHESS[::2], ["", ""]) as (archive, store):
        first, last = attempt(Hindsight(archive, LEARNING, store, POLICY), waiting).sent
    assert (first.at, last.at) == (CHESS[0].at + timedelta(hours=6), None)


def test_old_items_and_first_polls_count_as_news() -> None:
    old = replace(CHESS[0], published=make.NOW - timedelta(days=20))
    assert verdicts(attempt(of_file([old]), NAMED)) == [("alert", True)]


def test_topic_in_shadow_shows_what_it_would_send() -> None:
    assert verdicts(attempt(of_file(CHESS[:1]), replace(NAMED, status=TopicStatus.SHADOW))) == [("alert", True)]


def test_items_before_the_span_are_not_looked_at() -> None:
    assert attempt(of_file(CHESS, timedelta(hours=1)), NAMED).items == 1


def test_empty_file_is_an_archive_too() -> None:
    tried = attempt(of_file([]), NAMED)
    assert (tried.items, tried.sent, tried.span) == (0, (), None)


def test_items_that_the_model_never_saw_are_left_out_and_counted() -> None:
    with of_store(CHESS, ["", "", ""]) as (_, store):
        archive = remembered(store, "other@1")
    assert (len(archive.past), archive.past.unread) == (0, 3)


# -- judging whole --------------------------------------------------------------------------------

DIGEST = make.item(
    title="Five things to know today", published=make.NOW,
    text=" ".join(["Rain is expected over the long weekend, and umbrellas are advised by everybody in town. " * 4,
                   "North Korean soldiers arrive in Russia."]),
)  # fmt: skip


def test_item_of_which_one_sentence_matters_is_found_whole() -> None:
    low = replace(TROOPS, noise=1 / 200)
    tried = attempt(of_file([DIGEST]), low, whole=10)
    alone = attempt(of_file([DIGEST]), low, whole=0)
    assert (len(alone.sent), len(tried.sent)) == (0, 1 if DIGEST.id in tried.scores and tried.whole else 0)


def test_vectors_of_sentences_are_kept_for_the_next_time() -> None:
    item = make.item(
        title="North Korean soldiers arrive in Russia", text="Soldiers arrive. A second sentence about the front."
    )
    with of_store([item], [""]) as (archive, store):
        before = len(store.vectors([text_hash(item.title)], LEARNING.embedder.id))
        attempt(Hindsight(archive, LEARNING, store, POLICY), replace(TROOPS, noise=1e-60))
        assert (before, len(store.vectors([text_hash(item.title)], LEARNING.embedder.id))) == (0, 1)


# -- the pages ------------------------------------------------------------------------------------

HOSTILE = make.item(
    title="<script>alert(1)</script> chess club | @everyone ![x](http://evil.example/x)", text="", feed=WIRE,
    link='https://x.example/"onmouseover="alert(1)',
)  # fmt: skip


def test_page_holds_no_markup_of_strangers() -> None:
    page = tried_html(attempt(of_file([HOSTILE, *CHESS]), NAMED), None)
    assert "<script>alert(1)" not in page
    assert '"onmouseover=' not in page
    assert page.count("<script>") == 1


def test_page_asks_nothing_of_elsewhere() -> None:
    page = tried_html(attempt(of_file(CHESS), NAMED), None)
    assert not re.findall(r"(?:src|href)=(?!\"https://harbourwire)", page.partition("<body>")[2])
    assert "default-src 'none'" in page


def test_link_that_is_no_web_address_is_no_link() -> None:
    page = tried_html(attempt(of_file([replace(HOSTILE, link="javascript:alert(1)")]), NAMED), None)
    assert "javascript:" not in page


def test_review_holds_no_markup_of_strangers() -> None:
    told = changes_markdown(changes([], [NAMED], [HOSTILE]), 10)
    assert "<script>" not in told
    assert "@everyone" not in told
    assert "![" not in told


def test_text_draws_the_bar_among_the_scores() -> None:
    lines = tried_text(attempt(of_file(archive(["north korean soldiers arrive in russia"])), TROOPS), 5).splitlines()
    [at] = [n for n, line in enumerate(lines) if line.lstrip().startswith("bar ")]
    assert lines[at].endswith("1 in 100")
    assert lines[at + 1].lstrip().startswith("1 in 100 ")


def test_histogram_counts_every_score_once() -> None:
    tried = attempt(
        of_file(archive(["north korean soldiers arrive in russia", "pyongyang sends soldiers to the front"])), TROOPS
    )
    assert sum(one.items for one in histogram(tried)) == len([score for score in tried.scores.values() if score >= 1.5])


def test_lists_are_as_long_as_asked() -> None:
    assert "and 2 earlier" in tried_text(attempt(of_file(CHESS), NAMED), 1)


def test_no_line_is_wider_than_the_terminal() -> None:
    tried = attempt(of_file([*CHESS, replace(HOSTILE, title="象棋俱乐部 chess club " * 9)]), NAMED)
    assert max(map(columns, tried_text(tried, 5, room=80).splitlines())) <= 80


def test_title_that_several_print_is_listed_once() -> None:
    twice = [make.item(feed=feed, title="A chess player in court", text="") for feed in (WIRE, GAZETTE)]
    assert tried_text(attempt(of_file(twice), NAMED), 5).count("A chess player in court") == 1


def test_programs_get_every_item() -> None:
    data = tried_data(attempt(of_file(CHESS), NAMED))
    assert (data["stories"], len(data["taken"])) == (2, 3)  # type: ignore[arg-type]  # a list
    assert json.loads(json.dumps(data)) == data


def test_change_is_told_to_programs() -> None:
    [row] = changes_data(changes([NAMED], []))
    assert (row["change"], row["taken_before"], row["taken_after"]) == ("removed", 3, None)


def test_nothing_that_differs_is_said_so() -> None:
    assert (changes_text([], 5), changes_markdown([], 5)) == ("no topic differs", "No topic differs.")


# -- laws -----------------------------------------------------------------------------------------

WORDS = "north korean soldiers arrive in russia for training near kursk rain weekend chess club treasurer front".split()
ITEMS = st.lists(
    st.lists(st.sampled_from(WORDS), min_size=2, max_size=9).map(" ".join), min_size=1, max_size=12, unique=True
)


def archive(titles: Sequence[str]) -> list[Item]:
    times = (make.NOW + timedelta(minutes=n) for n in range(len(titles)))
    return [
        make.item(title=title, text="", link=f"https://x.example/{n}", published=at, first_seen=at)
        for n, (title, at) in enumerate(zip(titles, times, strict=True))
    ]


@settings(deadline=None, max_examples=40)
@given(ITEMS, st.integers(0, 11))
def test_item_that_becomes_an_example_is_taken(titles: list[str], which: int) -> None:
    items = archive(titles)
    item = items[which % len(items)]
    topic = replace(TROOPS, examples=(*TROOPS.examples, item.title))
    assert item.id in {one.item.id for one in attempt(of_file(items), topic).sent}


@settings(deadline=None, max_examples=40)
@given(ITEMS, st.floats(0.001, 0.3), st.floats(0.001, 0.3))
def test_more_noise_takes_nothing_less(titles: list[str], one: float, other: float) -> None:
    hindsight = of_file(archive(titles))
    strict, loose = (
        {sent.item.id for sent in attempt(hindsight, replace(TROOPS, noise=noise)).sent}
        for noise in sorted((one, other))
    )
    assert strict <= loose


# -- changes --------------------------------------------------------------------------------------


def changes(old: Sequence[Topic], new: Sequence[Topic], items: Sequence[Item] = CHESS) -> list[Change]:
    return compare(old, new, learn, of_file(items), 10)


def test_same_folder_twice_changes_nothing() -> None:
    assert differing([TROOPS, NAMED], [NAMED, TROOPS]) == []


def test_where_a_test_stands_is_no_change() -> None:
    tests = (TopicTest("x", True, line=3),)
    assert changed_keys(replace(NAMED, tests=tests), replace(NAMED, tests=(replace(tests[0], line=9),))) == ()


def test_topic_that_is_added_shows_what_it_would_have_taken() -> None:
    [one] = changes([TROOPS], [TROOPS, NAMED])
    assert (one.kind, one.topic, {each.sign for each in one.items}, len(one.items)) == ("added", "named", {"+"}, 3)


def test_topic_that_is_removed_shows_what_it_took() -> None:
    [one] = changes([TROOPS, NAMED], [TROOPS])
    assert (one.kind, {each.sign for each in one.items}) == ("removed", {"-"})


def test_changed_key_is_named_with_what_it_does() -> None:
    [one] = changes([NAMED], [replace(NAMED, terms=Terms(always=("chess club",), exclude=("court",)))])
    assert (one.keys, [(each.sign, each.sent.item.id) for each in one.items]) == (("terms",), [("-", CHESS[2].id)])


def test_score_is_told_before_and_after() -> None:
    items = archive(["north korean soldiers arrive in russia"])
    [one] = compare([replace(TROOPS, noise=1e-60)], [TROOPS], learn, of_file(items), 10)
    [item] = one.items
    assert item.sign == "+"
    assert item.before == pytest.approx(item.after)


def test_topic_that_goes_to_shadow_sends_nothing_more() -> None:
    [one] = changes([NAMED], [replace(NAMED, status=TopicStatus.SHADOW)])
    assert (one.keys, one.after, [each.sign for each in one.items]) == (("status",), None, ["-"] * 3)


def test_other_follow_ups_are_told_otherwise() -> None:
    again = replace(CHESS[0], id="again", title=f"{CHESS[0].title} today", feed=GAZETTE)
    counting = replace(NAMED, notify=Notify(followups=Followups.COUNT_ONLY))
    [one] = changes([NAMED], [counting], [CHESS[0], again])
    assert [(each.sign, each.sent.verdict.value) for each in one.items] in ([("±", "counted")], [])


def test_another_owner_changes_nothing_that_is_sent() -> None:
    [one] = changes([NAMED], [replace(NAMED, owner="@desk")])
    assert (one.keys, one.before, one.after, one.items) == (("owner",), None, None, ())


def test_a_topic_that_never_was_cannot_change() -> None:
    with pytest.raises(ValueError, match="never was"):
        change(None, None, None, None)


# -- the commands, with the models ----------------------------------------------------------------


def run(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["--config", str(folder / "monitor.toml"), "rules", *words])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped topics in a repository, and the items of the sample feeds as a file."""
    folder = tmp_path_factory.mktemp("home")
    shutil.copytree(Path(__file__).parents[1] / "rules", folder / "rules")
    (folder / "monitor.toml").write_text('state = "state"\nrules = "rules"\n', encoding="utf-8")
    with closing(Store.open(folder / "state")):
        pass  # where vectors are kept from one command to the next
    rows = [
        {"id": item.id, "title": item.title, "text": item.summary, "published": item.published.isoformat(),
         "lang": outlet.language, "source": outlet.name, "url": item.link}
        for outlet in outlets() for item in outlet.items if not item.topics or "north-korean-troops" in item.topics
    ]  # fmt: skip
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    (folder / "items.jsonl").write_text("\n".join(lines), encoding="utf-8")
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=folder, check=True)  # noqa: S603, S607 - words of ours
    return folder


@pytest.mark.model
def test_topic_is_tried_on_a_file_changed_and_compared(home: Path) -> None:
    archive = ["--archive", str(home / "items.jsonl"), "--whole", "5"]
    tried = run(
        home, "try", "north-korean-troops", *archive, "--json", "--noise", "1/100000", "--html", str(home / "page.html")
    )
    assert tried.exit_code == 0, tried.output
    data = json.loads(tried.stdout)
    assert data["against_file"]["keys"] == ["noise"]
    assert (home / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert run(home, "diff", *archive).stdout == "no topic differs\n"

    file = home / "rules" / "north-korean-troops.toml"
    file.rename(home / "rules" / "_draft.toml")
    compared = run(home, "diff", *archive, "--format", "markdown", "--exit-code")
    assert compared.exit_code == 1
    assert "north\\-korean\\-troops" in compared.stdout
    assert "| − | alert |" in compared.stdout


PARAGRAPH = """Sanctions on the shadow fleet
- The European Union blacklists another 150 oil tankers of Russia's shadow fleet.
- Britain sanctions 18 tankers that carry Russian crude above the price cap.
- Estonia's navy stops a tanker without a flag on its way to Primorsk.
"""


@pytest.mark.model
def test_new_topic_is_well_and_passes_its_tests_at_once(home: Path) -> None:
    (home / "paragraph.txt").write_text(PARAGRAPH, encoding="utf-8")
    made = run(
        home, "new", "shadow-fleet", "--from-text", str(home / "paragraph.txt"), "--whole", "5",
        "--archive", str(home / "items.jsonl"),
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    file = home / "rules" / "shadow-fleet.toml"
    assert "# measured: " in file.read_text(encoding="utf-8")
    checked = run(home, "check", str(file))
    assert (checked.exit_code, checked.stdout.splitlines()[0]) == (0, f"1 topic is well in {file}")
    assert run(home, "test", "--run", "shadow-fleet").exit_code == 0
