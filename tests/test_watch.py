"""Topic files that change under a monitor at work: what is noticed, what is put in force, who is told."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from home import OPS, Home, open_home

from monitor.watch import Watch, snapshot

TROOPS = """\
title       = "Troops"
description = "North Korea sends soldiers to Russia."
examples    = ["North Korean soldiers arrive in Russia", "North Korean troops near Kursk"]
owner       = "@peninsula-desk"
noise       = 0.000000001

[terms]
always = ["north korean"]

[[tests]]
title  = "North Korean soldiers seen near Kursk"
expect = "alert"
"""
SHIPS = TROOPS.replace("North Korea", "Warship").replace("north korean", "warshipn").replace('"Troops"', '"Ships"')
BROKEN = TROOPS.replace('"alert"', '"alarm"')
FAILING = TROOPS.replace("seen near Kursk", "seen near Kursk, again").replace('"alert"', '"silent"')


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "troops.toml").write_text(TROOPS, encoding="utf-8")
    return folder


# -- what is a change -----------------------------------------------------------------------------

CHANGES: dict[str, Callable[[Path], object]] = {
    "a topic is written": lambda folder: (folder / "troops.toml").write_text(SHIPS),
    "a topic is added": lambda folder: (folder / "ships.toml").write_text(SHIPS),
    "a topic is removed": lambda folder: (folder / "troops.toml").unlink(),
    "a topic is put in another's place": lambda folder: other(folder).replace(folder / "troops.toml"),
    "a pack is added": lambda folder: (folder / "_pack.toml").write_text('severity = "high"\n'),
    "a link to nowhere is added": lambda folder: (folder / "x.toml").symlink_to("nowhere"),
    "the folder is gone": lambda folder: folder.rename(folder.with_name("gone")),
}
NO_CHANGES: dict[str, Callable[[Path], object]] = {
    "nothing happens": lambda folder: folder,
    "a draft is written": lambda folder: (folder / "_draft.toml").write_text("half"),
    "an editor keeps a file open": lambda folder: (folder / ".troops.toml.swp").write_text("half"),
    "notes are written": lambda folder: (folder / "notes.md").write_text("half"),
}


def other(folder: Path) -> Path:
    """The same text, of the same time, in another file."""
    times = (folder / "troops.toml").stat().st_mtime_ns
    path = folder / "other"
    path.write_text(TROOPS, encoding="utf-8")
    os.utime(path, ns=(times, times))
    return path


@pytest.mark.parametrize("happening", CHANGES)
def test_change_is_seen(happening: str, rules: Path) -> None:
    before = snapshot([rules])
    CHANGES[happening](rules)
    assert snapshot([rules]) != before


@pytest.mark.parametrize("happening", NO_CHANGES)
def test_what_is_no_change_of_topics_is_not_seen(happening: str, rules: Path) -> None:
    before = snapshot([rules])
    NO_CHANGES[happening](rules)
    assert snapshot([rules]) == before


def test_change_counts_once_it_stands_still(rules: Path) -> None:
    first = snapshot([rules])
    watch = Watch(first)
    (rules / "ships.toml").write_text("title = ")
    half = snapshot([rules])
    (rules / "ships.toml").write_text(SHIPS)
    whole = snapshot([rules])
    assert [watch.changed(seen) for seen in (first, half, whole, whole)] == [False, False, False, True]
    watch.read = whole
    assert [watch.changed(seen) for seen in (whole, whole, first, whole)] == [False] * 4


def test_what_was_not_read_well_is_read_again_at_the_next_looks(rules: Path) -> None:
    watch = Watch(None)
    assert [watch.changed(snapshot([rules])) for _ in range(3)] == [False, True, True]


# -- what a monitor makes of it -------------------------------------------------------------------


async def looked(home: Home) -> list[str]:
    """Look twice, read what changed, deliver, and give what ops were told, a line each."""
    before = len(home.sink.messages)
    for _ in range(2):
        if await home.monitor.rules_changed():
            await home.monitor.reload(asked=False)
    await home.monitor.deliver()
    told = [m.message.text for m in home.sink.messages[before:] if m.message and m.alert.channel == OPS]
    return [line for text in told for line in text.removeprefix("The monitor itself: ").split("; ")]


def in_force(home: Home) -> list[str]:
    return [topic.title for topic in home.monitor.judge.matcher.topics.values()]


async def test_new_topic_is_in_force_without_a_word(tmp_path: Path, rules: Path) -> None:
    async with open_home(tmp_path, rules=rules) as home:
        (rules / "ships.toml").write_text(SHIPS, encoding="utf-8")
        assert (await looked(home), in_force(home)) == ([], ["Ships", "Troops"])
        (rules / "troops.toml").unlink()
        assert (await looked(home), in_force(home)) == ([], ["Ships"])


@pytest.mark.parametrize(
    ("text", "said"),
    [(BROKEN, "troops.toml:12:10: tests.expect: \"alarm\" is none of alert, silent"),
     (FAILING, "troops.toml:10: the test “North Korean soldiers seen near Kursk, again” fails: expected silent"),
     (TROOPS + "\n[[tests", "troops.toml:14:8: not valid TOML"),
     (TROOPS.replace("[terms]", '[terms]\nexclude = ["north korean"]'), "is excluded too")],
)  # fmt: skip
async def test_what_is_wrong_leaves_the_old_set_in_force_and_is_told_once(
    text: str, said: str, tmp_path: Path, rules: Path
) -> None:
    async with open_home(tmp_path, rules=rules) as home:
        (rules / "ships.toml").write_text(SHIPS, encoding="utf-8")
        (rules / "troops.toml").write_text(text, encoding="utf-8")
        first, *others = await looked(home)
        assert first == "topic files are wrong: the topics that were in force stay in force until they are mended"
        told = " ".join(others).replace("ˍ", "_")
        assert said in told
        assert "(owner: @peninsula-desk)" in told
        assert in_force(home) == ["Troops"]
        os.utime(rules / "troops.toml")
        await home.monitor.reload()
        assert await looked(home) == []


async def test_mended_files_are_in_force_and_it_is_told(tmp_path: Path, rules: Path) -> None:
    async with open_home(tmp_path, rules=rules) as home:
        (rules / "troops.toml").write_text(BROKEN, encoding="utf-8")
        assert len(await looked(home)) > 1
        (rules / "troops.toml").write_text(TROOPS.replace('"Troops"', '"Soldiers"'), encoding="utf-8")
        assert await looked(home) == ["the topic files are well again: topics in force: 1"]
        assert in_force(home) == ["Soldiers"]


async def test_other_problems_are_told_and_moved_ones_are_not(tmp_path: Path, rules: Path) -> None:
    async with open_home(tmp_path, rules=rules) as home:
        (rules / "troops.toml").write_text(BROKEN, encoding="utf-8")
        assert len(await looked(home)) > 1
        (rules / "troops.toml").write_text(f"# mending\n{BROKEN}", encoding="utf-8")
        assert await looked(home) == []
        (rules / "troops.toml").write_text(BROKEN + "x = 1\n", encoding="utf-8")
        assert 'unknown key "x"' in " ".join(await looked(home))


async def test_what_was_told_is_remembered_by_the_next_process(tmp_path: Path, rules: Path) -> None:
    async with open_home(tmp_path, rules=rules) as home:
        (rules / "ships.toml").write_text(BROKEN, encoding="utf-8")
        assert len(await looked(home)) > 1
        fact = await home.ask(lambda store: store.fact("rules refused"))
    (rules / "ships.toml").unlink()
    async with open_home(tmp_path, rules=rules) as home:
        assert "ships.toml" in fact
        await home.monitor.reload()
        assert await looked(home) == ["the topic files are well again: topics in force: 1"]


async def test_broken_pack_names_its_owner(tmp_path: Path, rules: Path) -> None:
    async with open_home(tmp_path, rules=rules) as home:
        (rules / "_pack.toml").write_text('owner = "@all-desks"\nseverity = "hihg"\n', encoding="utf-8")
        assert "(owner: @all-desks)" in " ".join(await looked(home))
        assert in_force(home) == ["Troops"]


async def test_many_problems_are_told_in_part(tmp_path: Path, rules: Path) -> None:
    async with open_home(tmp_path, rules=rules) as home:
        for n in range(20):
            (rules / f"x{n}.toml").write_text("title = 1\n", encoding="utf-8")
        assert (await looked(home))[-1].endswith("more: monitor rules check")


async def test_tests_are_embedded_once(tmp_path: Path, rules: Path) -> None:
    async with open_home(tmp_path, rules=rules) as home:
        await home.monitor.reload()
        texts = home.monitor.learning.embedder.texts  # type: ignore[attr-defined]  # it is the fake
        before = len(texts)
        await home.monitor.reload()
        assert texts[before:] == []


async def test_folder_that_is_gone_leaves_the_old_set_in_force(tmp_path: Path, rules: Path) -> None:
    async with open_home(tmp_path, rules=rules) as home:
        CHANGES["the folder is gone"](rules)
        assert "cannot be read" in " ".join(await looked(home))
        assert in_force(home) == ["Troops"]
