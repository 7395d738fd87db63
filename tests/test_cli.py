"""The commands as people type them: what they print, where, with which exit code. Models are loaded by the last part only."""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import click
import make
import pytest
import structlog
from click.testing import CliRunner, Result
from fakes import Answer, FeedServer

from monitor.cli import main
from monitor.database import FILE, Lock
from monitor.model import (
    Ailment,
    AlertKind,
    Condition,
    Decision,
    DeliveryState,
    Hold,
    HoldReason,
    Link,
    Placement,
    Relation,
    Verdict,
)
from monitor.store import Store

Run = Callable[..., Result]

TROOPS = """\
title = "North Korean troops in Russia"
description = "North Korea sends soldiers to fight for Russia against Ukraine."
examples = ["North Korean soldiers arrive in Russia for training", "Kim's troops are seen near Kursk"]

[terms]
always = ["north korean soldiers in russia"]

[[tests]]
title = "Seoul says thousands of North Korean soldiers in Russia are training"
expect = "alert"

[[tests]]
title = "Central bank of Norway keeps interest rate unchanged"
expect = "silent"
"""
FEED = "https://wire.example/rss"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration and one topic, from which commands are given."""
    monkeypatch.chdir(tmp_path)
    for name in ("MONITOR_CONFIG", "STATE_DIRECTORY", "SLACK_BOT_TOKEN", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "monitor.toml").write_text('state = "state"\nrules = "rules"\n', encoding="utf-8")
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "troops.toml").write_text(TROOPS, encoding="utf-8")
    return tmp_path


@pytest.fixture
def monitor(home: Path) -> Run:  # noqa: ARG001 - the folder it runs in
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, arguments)

    return run


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    """The state that the commands will read, with one feed."""
    store = Store.open(home / "state")
    store.add_feed(make.feed(), make.NOW)
    yield store
    store.close()


def commit(store: Store) -> str:
    """One alert in the outbox; its id."""
    record = make.alert_record()
    later = make.NOW + timedelta(minutes=10)
    store.commit_poll(make.polled(next_poll=later), [record], "bag@1")
    return record.decision.alerts[0].id


@pytest.fixture(autouse=True)
def _log() -> Iterator[None]:
    """Commands set up the log, on a stderr that is gone after them."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)
    logging.basicConfig(force=True)


# -- the outbox -----------------------------------------------------------------------------------


def test_outbox_is_listed_latest_first(monitor: Run, store: Store) -> None:
    delivery_id = commit(store)
    result = monitor("outbox", "list")
    [_, _, row] = result.output.splitlines()
    assert result.exit_code == 0
    assert row.split()[:4] == [delivery_id[:8], "queued", "root", "C0NEWS"]


def test_outbox_is_listed_for_programs(monitor: Run, store: Store) -> None:
    delivery_id = commit(store)
    [row] = json.loads(monitor("outbox", "list", "--json").output)
    assert (row["id"], row["state"], row["error"], row["attempts"]) == (delivery_id, "queued", "", 0)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--state", "queued"], 1), (["--state", "dead"], 0), (["--state", "dead", "--state", "queued"], 1),
        (["--channel", "C0NEWS"], 1), (["--channel", "C0OTHER"], 0), (["--since", "1d"], 0), (["--since", "9999d"], 1),
    ],
)  # fmt: skip
def test_outbox_is_listed_as_far_as_asked(monitor: Run, store: Store, arguments: list[str], found: int) -> None:
    commit(store)
    assert len(json.loads(monitor("outbox", "list", "--json", *arguments).output)) == found


def test_delivery_is_shown_whole_by_the_beginning_of_its_id(monitor: Run, store: Store) -> None:
    delivery_id = commit(store)
    store.claim(delivery_id, make.message(), make.NOW)
    store.settle(delivery_id, DeliveryState.DEAD, make.NOW, error="slack: invalid_blocks")
    said = monitor("outbox", "show", delivery_id[:8]).output
    wanted = [
        f"Delivery  {delivery_id}", "Is        dead: root to C0NEWS, tried once", "Trouble   slack: invalid_blocks",
        "Tells     “North Korean troops seen near Kursk, Seoul says”", "  Troops seen near Kursk",
        "sending → dead: slack: invalid_blocks",
    ]  # fmt: skip
    assert [line for line in wanted if line not in said] == []


def test_delivery_is_shown_for_programs(monitor: Run, store: Store) -> None:
    delivery_id = commit(store)
    store.claim(delivery_id, make.message(), make.NOW)
    shown = json.loads(monitor("outbox", "show", delivery_id, "--json").output)
    assert shown["message"]["text"] == "HIGH: Troops seen near Kursk"
    assert [event["to"] for event in shown["events"]] == ["queued", "sending"]
    assert [told["alert"] for told in shown["tells"]] == [delivery_id]


def test_delivery_that_nobody_knows_is_told_so(monitor: Run, store: Store) -> None:
    commit(store)
    result = monitor("outbox", "show", "nonesuch")
    assert result.exit_code == 1
    assert result.stderr.startswith("monitor: no delivery 'nonesuch': monitor outbox list shows")


@pytest.mark.parametrize("name", ["--dead", "ID"])
def test_dead_delivery_is_queued_again(monitor: Run, store: Store, name: str) -> None:
    delivery_id = commit(store)
    store.settle(delivery_id, DeliveryState.DEAD, make.NOW)
    result = monitor("outbox", "retry", name if name == "--dead" else delivery_id)
    assert (result.exit_code, result.output) == (0, "1 to be tried again\n")
    assert store.outbox_counts() == {"queued": 1}


def test_delivery_that_was_sent_is_left_as_it_is(monitor: Run, store: Store) -> None:
    delivery_id = commit(store)
    store.settle(delivery_id, DeliveryState.SENT, make.NOW, receipt="ts1")
    for command in (["retry", delivery_id], ["drop", delivery_id, "--reason", "no"]):
        result = monitor("outbox", *command)
        assert (result.exit_code, result.stderr) == (1, f"monitor: {delivery_id} is sent: left as it is\n")


def test_delivery_is_dropped_for_a_reason_and_by_somebody(
    monitor: Run, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USER", "nina")
    delivery_id = commit(store)
    assert monitor("outbox", "drop", delivery_id).exit_code == 2
    assert monitor("outbox", "drop", delivery_id, "--reason", "told by phone").output == "1 dropped\n"
    [dropped] = store.deliveries()
    assert (dropped.state, dropped.reason) == (DeliveryState.DROPPED, "told by phone")
    assert store.events_of(delivery_id)[-1].detail == "nina: told by phone"


def test_retry_needs_to_know_what(monitor: Run, store: Store) -> None:
    commit(store)
    assert monitor("outbox", "retry").exit_code == 2


@pytest.mark.parametrize(("command", "code"), [("list", 0), ("show x", 1), ("retry x", 1), ("drop x --reason y", 1)])
def test_outbox_that_is_not_there_yet_is_not_made(monitor: Run, home: Path, command: str, code: int) -> None:
    assert monitor("outbox", *command.split()).exit_code == code
    assert not (home / "state").exists()


def test_status_says_what_is_blocked_and_what_to_do(monitor: Run, store: Store) -> None:
    commit(store)
    store.block("C0NEWS", "slack: not_in_channel: the bot is not in the channel; /invite it", None, make.NOW)
    assert "C0NEWS since 2024-10-29 14:30: slack: not_in_channel" in monitor("status").output
    [blocked] = json.loads(monitor("status", "--json").output)["blocked"]
    assert (blocked["channel"], blocked["waiting"]) == ("C0NEWS", 1)


def test_status_says_what_is_wrong_with_topic_files(monitor: Run, store: Store) -> None:
    store.remember("rules refused", "rules/troops.toml: unknown key")
    assert "stay in force until they are mended\n  rules/troops.toml: unknown key" in monitor("status").stdout
    assert json.loads(monitor("status", "--json").stdout)["rules_refused"] == ["rules/troops.toml: unknown key"]


NAMED = 'state = "state"\nrules = "rules"\n[alerts]\nchannel = "#alerts"\n[ops]\nchannel = "alerts"\n'


def test_channels_that_are_named_are_refused_where_there_is_slack(
    monitor: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "monitor.toml").write_text(NAMED, encoding="utf-8")
    assert monitor("check").exit_code == 0
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-1-2")
    for command in ("check", "run"):
        result = monitor(command)
        assert result.exit_code == 78
        assert [line.partition("; ")[0] for line in result.stderr.splitlines()[-2:]] == [
            'monitor: the configuration: alerts.channel: "#alerts" is a channel\'s name',
            'the configuration: ops.channel: "alerts" is a channel\'s name',
        ]


def test_channels_that_nobody_names_are_told_once_where_there_is_slack(
    monitor: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(2):
        (home / "rules" / f"troops{n}.toml").write_text(TROOPS, encoding="utf-8")
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-1-2")
    result = monitor("check")
    assert (result.exit_code, result.stderr.count("names a channel")) == (78, 1)
    (home / "rules" / "troops0.toml").write_text(f'{TROOPS}\n[notify]\nchannel = "C0123456789"\n', encoding="utf-8")
    result = monitor("check")
    assert (result.exit_code, "troops1.toml: names no channel: set notify.channel here" in result.stderr) == (78, True)


def test_topic_whose_channel_is_named_is_refused_where_there_is_slack(
    monitor: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = home / "rules" / "troops.toml"
    topic.write_text(f'{TROOPS}\n[notify]\nchannel = "#troops"\n', encoding="utf-8")
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-1-2")
    result = monitor("check")
    assert result.exit_code == 78
    assert 'troops.toml: notify.channel: "#troops" is a channel\'s name; write its id' in result.stderr


def test_check_warns_of_what_waits_for_a_digest_that_never_comes(monitor: Run, home: Path) -> None:
    (home / "monitor.toml").write_text('[digest]\ndaily = ""\nweekly = ""\n', encoding="utf-8")
    result = monitor("check")
    assert (result.exit_code, "warning: alerts.daily_budget: 100 a day" in result.stdout) == (0, True)


# -- help and usage -------------------------------------------------------------------------------


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command's words, groups included."""
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


@pytest.mark.parametrize("words", [*commands(main)], ids=" ".join)
def test_command_has_help(monitor: Run, words: tuple[str, ...]) -> None:
    result = monitor(*words, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: main")


def test_version_is_told(monitor: Run) -> None:
    assert monitor("--version").stdout.startswith("monitor, version ")


USAGE = {
    "unknown command": ("sing",),
    "unknown option": ("status", "--loud"),
    "no command of a group": ("feeds", "sing"),
    "explain without anything": ("explain",),
    "explain an item and a text": ("explain", "abcdef", "--text", "x"),
    "replay without an archive": ("replay",),
    "replay of a file that is not there": ("replay", "nowhere.jsonl"),
    "replay with other stories": ("replay", "monitor.toml", "--stories", "some"),
    "feed without an address": ("feeds", "add"),
    "feed that is a file": ("feeds", "add", "rss.xml"),
    "feed of an unknown kind": ("feeds", "add", FEED, "--kind", "rumour"),
    "import of a file that is not there": ("feeds", "import", "nowhere.opml"),
    "topics by a broken pattern": ("rules", "test", "--run", "("),
    "check of topics in another form": ("rules", "check", "--format", "yaml"),
    "show of no topic": ("rules", "show"),
    "demo on a port that is none": ("demo", "--port", "70000"),
    "check of a feed that is no address and no file": ("feeds", "check", "nowhere.opml"),
    "check of a feed that is a folder": ("feeds", "check", "rules"),
    "check of a feed with a pause that is none": ("feeds", "check", FEED, "--again", "soon"),
    "release of no feed": ("feeds", "release"),
    "drop of no feed": ("feeds", "drop"),
    "explain two items and a text": ("explain", "abcdef", "fedcba", "--text", "x"),
    "stories since no span": ("stories", "list", "--since", "yesterday"),
    "no story at all": ("stories", "list", "--limit", "0"),
    "show of nothing": ("stories", "show"),
    "merge of one story": ("stories", "merge", "abcdef"),
    "split of nothing": ("stories", "split"),
    "new of no topic": ("rules", "new"),
    "new of what is no id": ("rules", "new", "../x", "--title", "x", "--description", "x"),
    "new about nothing": ("rules", "new", "x", "--title", "x"),
    "labels for no topic": ("rules", "calibrate", "--label", "3"),
    "labels for which there is no place": ("rules", "calibrate", "troops", "--label", "3"),
    "try of no topic": ("rules", "try"),
    "try since no span": ("rules", "try", "troops", "--since", "yesterday"),
    "try with a noise that is none": ("rules", "try", "troops", "--noise", "loud"),
    "try over a file that is not there": ("rules", "try", "troops", "--archive", "nowhere.jsonl"),
    "diff against a folder that is not there": ("rules", "diff", "--against", "nowhere"),
    "diff in another format": ("rules", "diff", "--format", "poem"),
    "silence of nothing": ("silence", "add", "--for", "2h"),
    "silence without an end": ("silence", "add", "--topic", "troops"),
    "silence with two ends": ("silence", "add", "--topic", "troops", "--for", "2h", "--until", "18:00"),
    "silence until no time": ("silence", "add", "--topic", "troops", "--until", "tomorrow"),
    "silence until a time that is over": ("silence", "add", "--topic", "troops", "--until", "2024-01-01 08:00"),
    "silence of an unknown topic": ("silence", "add", "--topic", "troop", "--for", "2h"),
    "end of a silence without a number": ("silence", "remove", "three"),
}


@pytest.mark.parametrize("words", USAGE.values(), ids=USAGE.keys())
def test_wrong_usage_ends_with_2(monitor: Run, words: tuple[str, ...]) -> None:
    assert monitor(*words).exit_code == 2


@pytest.mark.parametrize("words", USAGE.values(), ids=USAGE.keys())
def test_wrong_usage_says_so_on_stderr(monitor: Run, words: tuple[str, ...]) -> None:
    result = monitor(*words)
    assert (result.stdout, "Error: " in result.stderr) == ("", True)


# -- configuration --------------------------------------------------------------------------------

#: every command that reads the configuration, as far as it goes without a model
CONFIGURED = [
    ("check",), ("status",), ("status", "--json"), ("explain", "abcdef"), ("feeds", "list"), ("feeds", "add", FEED),
    ("feeds", "remove", FEED), ("feeds", "export"), ("rules", "list"), ("rules", "check"), ("rules", "test"),
    ("rules", "show", "troops"), ("run",),
    ("once",), ("feeds", "check"), ("feeds", "check", FEED), ("feeds", "release", FEED), ("feeds", "drop", FEED),
    ("stories", "list"), ("stories", "show", "abcdef"), ("stories", "merge", "abcdef", "fedcba"),
    ("stories", "split", "abcdef"), ("explain", "abcdef", "fedcba"),
    ("rules", "try", "troops"), ("rules", "diff"), ("rules", "calibrate"), ("rules", "suggest"),
    ("rules", "new", "x", "--title", "x", "--description", "x"),
    ("stories", "split", "abcdef"), ("explain", "abcdef", "fedcba"), ("silence", "list"), ("silence", "remove", "1"),
    ("silence", "add", "--topic", "troops", "--for", "2h"), ("digest",), ("digest", "--now"),
]  # fmt: skip


@pytest.mark.parametrize("words", CONFIGURED, ids=" ".join)
def test_bad_configuration_ends_with_78(monitor: Run, home: Path, words: tuple[str, ...]) -> None:
    (home / "monitor.toml").write_text("sate = 1\n", encoding="utf-8")
    assert monitor(*words).exit_code == 78


def test_bad_configuration_is_told_with_all_problems(monitor: Run, home: Path) -> None:
    (home / "monitor.toml").write_text('sate = 1\n[polling]\ninterval = "1s"\n', encoding="utf-8")
    told = monitor("check").stderr.splitlines()
    assert [line.removeprefix("monitor: ").partition(": ")[0] for line in told] == [
        "monitor.toml:1:1",
        "monitor.toml:3:12",
    ]


def test_bad_configuration_puts_nothing_on_stdout(monitor: Run, home: Path) -> None:
    (home / "monitor.toml").write_text("sate = 1\n", encoding="utf-8")
    assert monitor("status").stdout == ""


def test_configuration_that_is_asked_for_and_not_there_ends_with_78(monitor: Run) -> None:
    result = monitor("--config", "nowhere.toml", "status")
    assert (result.exit_code, "nowhere.toml" in result.stderr) == (78, True)


def test_configuration_can_be_named_in_the_environment(
    monitor: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "other.toml").write_text('rules = "elsewhere"\n', encoding="utf-8")
    monkeypatch.setenv("MONITOR_CONFIG", "other.toml")
    assert "elsewhere" in monitor("rules", "check", "--fast").stdout


def test_token_that_is_none_ends_with_78(monitor: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "hunter2-SECRET")
    result = monitor("run")
    assert (result.exit_code, "SECRET" in result.output) == (78, False)


# -- check ----------------------------------------------------------------------------------------


def test_check_of_a_good_house_is_well(monitor: Run) -> None:
    result = monitor("check")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[:2] == ["configuration: monitor.toml", f"topics: 1 in {Path.cwd() / 'rules'}"]


def test_check_names_file_and_line_of_a_broken_topic(monitor: Run, home: Path) -> None:
    broken = home / "rules" / "grain.toml"
    broken.write_text('title = "Grain"\ndescription = "Grain leaves."\nseverity = "hihg"\n', encoding="utf-8")
    result = monitor("check")
    assert result.exit_code == 1
    assert f"{broken}:3:12: severity" in result.stdout


def test_check_names_file_and_line_of_a_channel_whose_sink_is_unknown(monitor: Run, home: Path) -> None:
    sink = '[[sink]]\nname = "desk"\nkind = "apprise"\nurl = "$DESK"\n'
    (home / "monitor.toml").write_text(sink, encoding="utf-8")
    topic = home / "rules" / "grain.toml"
    topic.write_text('title = "Grain"\ndescription = "Grain leaves."\n[notify]\nchannel = "dask:"\n', encoding="utf-8")
    result = monitor("check")
    assert result.exit_code == 1
    assert f'{topic}:4:11: notify.channel: monitor.toml has no [[sink]] "dask"; did you mean "desk"?' in result.stdout


def test_check_of_an_empty_folder_of_topics_ends_with_1(monitor: Run, home: Path) -> None:
    (home / "rules" / "troops.toml").unlink()
    result = monitor("check")
    assert (result.exit_code, "nothing would ever alert" in result.stderr) == (1, True)


def test_check_of_a_missing_folder_of_topics_ends_with_1(monitor: Run, home: Path) -> None:
    (home / "monitor.toml").write_text('rules = "nowhere"\n', encoding="utf-8")
    assert monitor("check").exit_code == 1


def test_check_makes_no_state(monitor: Run, home: Path) -> None:
    monitor("check")
    assert not (home / "state").exists()


# -- rules ----------------------------------------------------------------------------------------


def test_rules_are_listed(monitor: Run) -> None:
    assert monitor("rules", "list").stdout.splitlines()[2].split()[0] == "troops"


def test_rules_are_listed_for_programs(monitor: Run) -> None:
    [topic] = json.loads(monitor("rules", "list", "--json").stdout)
    assert (topic["id"], topic["noise"], topic["tests"]) == ("troops", "1/2000", 2)


def test_new_overwrites_no_file(monitor: Run, home: Path) -> None:
    result = monitor("rules", "new", "troops", "--title", "x", "--description", "x")
    assert (result.exit_code, (home / "rules" / "troops.toml").read_text(encoding="utf-8")) == (1, TROOPS)


def test_try_of_a_topic_that_is_none_names_the_nearest(monitor: Run) -> None:
    result = monitor("rules", "try", "trops")
    assert (result.exit_code, 'did you mean "troops"?' in result.stderr) == (1, True)


def test_try_where_nothing_was_seen_ends_with_69(monitor: Run, home: Path) -> None:
    result = monitor("rules", "try", "troops")
    assert (result.exit_code, "--archive" in result.stderr, (home / "state").exists()) == (69, True, False)


def test_diff_outside_of_a_repository_ends_with_1(monitor: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(home.parent))
    result = monitor("rules", "diff")
    assert (result.exit_code, "--against" in result.stderr) == (1, True)


def test_diff_with_the_same_folder_finds_nothing(monitor: Run) -> None:
    result = monitor("rules", "diff", "--against", "rules", "--exit-code")
    assert (result.exit_code, result.stdout) == (0, "no topic differs\n")


def test_rules_check_counts_the_good_ones(monitor: Run) -> None:
    result = monitor("rules", "check", "--fast")
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, f"1 topic is well in {Path.cwd() / 'rules'}")


def test_rules_check_tells_all_problems_at_once(monitor: Run, home: Path) -> None:
    (home / "rules" / "a.toml").write_text('title = "A"\n', encoding="utf-8")
    (home / "rules" / "b.toml").write_text("= 1\n", encoding="utf-8")
    result = monitor("rules", "check", "--fast")
    assert result.exit_code == 1
    assert all(f"rules/{name}.toml" in result.stdout for name in "ab")


def test_rules_check_fails_on_a_warning_if_it_is_strict(monitor: Run, home: Path) -> None:
    (home / "rules" / "troops.toml").write_text(TROOPS.partition("[[tests]]")[0], encoding="utf-8")
    assert monitor("rules", "check", "--fast").exit_code == 0
    strict = monitor("rules", "check", "--fast", "--strict")
    assert (strict.exit_code, "warning: no [[tests]]" in strict.stdout) == (1, True)


def test_rules_check_asks_for_what_the_policy_says(monitor: Run, home: Path) -> None:
    (home / "monitor.toml").write_text('[rules_policy]\nowner = "error"\n', encoding="utf-8")
    result = monitor("rules", "check", "--fast")
    assert (result.exit_code, "rules/troops.toml:1:1: no owner; say whom" in result.stdout) == (1, True)


def test_rules_check_of_one_file_speaks_of_that_alone(monitor: Run, home: Path) -> None:
    (home / "rules" / "a.toml").write_text('title = "A"\n', encoding="utf-8")
    (home / "rules" / "b.toml").write_text(TROOPS, encoding="utf-8")
    assert "a.toml" not in monitor("rules", "check", "--fast", "rules/b.toml").stdout
    twice = monitor("rules", "check", "--fast", "rules/troops.toml").stdout
    assert "rules/troops.toml:1:9: title: the topic b has the title" in twice
    assert monitor("rules", "check", "--fast", "rules/troops.toml", "rules").stdout.count("a.toml") == 1


def test_rules_check_shows_the_line_if_asked(monitor: Run, home: Path) -> None:
    (home / "rules" / "troops.toml").write_text(TROOPS.replace("title", "titel", 1), encoding="utf-8")
    lines = monitor("rules", "check", "--fast", "--show-source").stdout.splitlines()
    assert lines[-2:] == ['    titel = "North Korean troops in Russia"', "    ^"]
    assert "    ^" not in monitor("rules", "check", "--fast").stdout


def test_rules_check_answers_programs(monitor: Run, home: Path) -> None:
    (home / "rules" / "a.toml").write_text('title = "A"\ndescription = "B"\nseverity = 1\n', encoding="utf-8")
    [error] = json.loads(monitor("rules", "check", "--fast", "--format", "json").stdout)["problems"]
    assert (error["line"], error["column"], error["level"]) == (3, 12, "error")
    github = monitor("rules", "check", "--fast", "--format", "github").stdout
    assert github.startswith("::error file=rules/a.toml,line=3,col=12::severity: 1 is none of")
    suite = ElementTree.fromstring(monitor("rules", "check", "--fast", "--format", "junit").stdout)  # noqa: S314 - ours
    assert [(case.get("name"), len(case)) for case in suite] == [("rules/a.toml", 1), ("rules/troops.toml", 0)]


@pytest.mark.usefixtures("store")
def test_rules_check_knows_the_feed_list_and_the_channels(
    monitor: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scoped = TROOPS + '[scope]\nsources = ["Wier"]\n[notify]\nchannel = "#desk"\n'
    (home / "rules" / "troops.toml").write_text(scoped, encoding="utf-8")
    result = monitor("rules", "check", "--fast")
    assert (result.exit_code, "scope.sources: no feed on the list is" in result.stdout) == (0, True)
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-1234567890-abcdef")
    result = monitor("rules", "check", "--fast")
    assert (result.exit_code, '"#desk" is a channel\'s name, and Slack wants its id' in result.stdout) == (1, True)


def test_fast_rules_check_loads_no_model_and_makes_no_state(home: Path) -> None:
    program = (
        "import sys, monitor.cli; from click.testing import CliRunner; "
        "result = CliRunner().invoke(monitor.cli.main, ['rules', 'check', '--fast']); "
        "print(result.exit_code, *sorted(name for name in sys.modules if '.' not in name))"
    )
    done = subprocess.run(  # noqa: S603 - our own text
        [sys.executable, "-c", program], cwd=home, capture_output=True, text=True, timeout=60, check=True
    )
    code, *loaded = done.stdout.split()
    assert (code, {"torch", "sentence_transformers", "aiohttp", "py3langid"} & set(loaded)) == ("0", set())
    assert not (home / "state").exists()


# -- the hook -------------------------------------------------------------------------------------


def test_hook_of_pre_commit_refuses_a_broken_topic(home: Path) -> None:
    """The entry as .pre-commit-hooks.yaml has it, run in a repository as pre-commit would run it."""
    root = Path(__file__).parents[1]
    hook = dict(re.findall(r"^[ -] (\w+): (.+)$", (root / ".pre-commit-hooks.yaml").read_text("utf-8"), re.MULTILINE))
    assert (hook["pass_filenames"], hook["language"]) == ("false", "system")
    assert re.search(hook["files"].strip("'"), "rules/grain.toml")
    program, *arguments = shlex.split(hook["entry"])
    assert program == "monitor"
    git = shutil.which("git") or pytest.skip("no git")
    subprocess.run([git, "init", "--quiet"], cwd=home, check=True)  # noqa: S603 - our own words

    def commit() -> subprocess.CompletedProcess[str]:
        subprocess.run([git, "add", "."], cwd=home, check=True)  # noqa: S603 - our own words
        return subprocess.run(  # noqa: S603 - our own words
            [sys.executable, "-m", "monitor", *arguments], cwd=home, capture_output=True, text=True, timeout=60, check=False,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(root)},
        )  # fmt: skip

    assert commit().returncode == 0
    (home / "rules" / "grain.toml").write_text('title = "Grain"\nseverity = high\n', encoding="utf-8")
    refused = commit()
    assert (refused.returncode, "rules/grain.toml:2:12: not valid TOML" in refused.stdout) == (1, True)


# -- show and schema ------------------------------------------------------------------------------


def test_topic_is_shown_with_every_default(monitor: Run, home: Path) -> None:
    shown = monitor("rules", "show", "troops").stdout
    assert 'noise = "1/2000"' in shown
    assert "# max_age: not set" in shown
    (home / "rules" / "troops.toml").write_text(shown, encoding="utf-8")
    assert tomllib.loads(monitor("rules", "show", "troops").stdout) == tomllib.loads(shown)
    assert json.loads(monitor("rules", "show", "troops", "--json").stdout)["scope"]["max_age"] is None


def test_shown_topic_says_where_each_value_stands(monitor: Run, home: Path) -> None:
    (home / "rules" / "_pack.toml").write_text('\nowner = "@desk"\n', encoding="utf-8")
    lines = monitor("rules", "show", "troops").stdout.splitlines()
    assert lines[0] == f"# {Path.cwd() / 'rules' / 'troops.toml'}"
    assert 'title = "North Korean troops in Russia"  # troops.toml:1' in lines
    assert {'owner = "@desk"  # _pack.toml:2', 'mode = "instant"  # default'} <= set(lines)
    stands = json.loads(monitor("rules", "show", "troops", "--json").stdout)["stands"]
    assert stands["owner"] == {"file": str(Path.cwd() / "rules" / "_pack.toml"), "line": 2}
    assert stands["notify.mode"] is None


def test_topics_of_several_folders_are_checked_together(monitor: Run, home: Path) -> None:
    (home / "monitor.toml").write_text('rules = ["rules", "more"]\n', encoding="utf-8")
    (home / "more").mkdir()
    (home / "more" / "troops.toml").write_text(TROOPS, encoding="utf-8")
    result = monitor("rules", "check", "--fast")
    first, second = Path.cwd() / "rules" / "troops.toml", Path.cwd() / "more" / "troops.toml"
    assert f"{second}: {first} is the same topic" in result.stdout
    assert result.exit_code == 1
    assert monitor("rules", "check", "--fast", "more").exit_code == 0


def test_broken_pack_fails_the_check_of_each_of_its_files(monitor: Run, home: Path) -> None:
    (home / "rules" / "_pack.toml").write_text('severity = "hihg"\n', encoding="utf-8")
    for words in ((), ("rules/troops.toml",), ("rules/_pack.toml",)):
        result = monitor("rules", "check", "--fast", *words)
        assert (result.exit_code, 'rules/_pack.toml:1:12: severity: "hihg" is none of' in result.stdout) == (1, True)
    assert "_pack.toml:1:12" in monitor("rules", "show", "troops").stdout


def test_topic_that_is_not_there_or_broken_cannot_be_shown(monitor: Run, home: Path) -> None:
    missing = monitor("rules", "show", "trops")
    assert (missing.exit_code, 'did you mean "troops"?' in missing.stderr) == (1, True)
    (home / "rules" / "troops.toml").write_text("= 1\n", encoding="utf-8")
    broken = monitor("rules", "show", "troops")
    assert (broken.exit_code, "troops.toml:1:1: not valid TOML" in broken.stdout) == (1, True)


def test_schema_is_written(monitor: Run) -> None:
    published = Path(__file__).parents[1] / "deploy" / "topic.schema.json"
    assert monitor("rules", "schema").stdout == published.read_text(encoding="utf-8")
    pack = published.with_name("pack.schema.json")
    assert monitor("rules", "schema", "--pack").stdout == pack.read_text(encoding="utf-8")


# -- feeds ----------------------------------------------------------------------------------------


def feeds(monitor: Run) -> list[tuple[str, str, str]]:
    return [(f["url"], f["title"], f["language"]) for f in json.loads(monitor("feeds", "list", "--json").stdout)]


def test_feed_added_is_listed(monitor: Run) -> None:
    result = monitor("feeds", "add", FEED, "--title", "Wire", "--kind", "wire", "--language", "en")
    assert (result.exit_code, result.stdout) == (0, "added: Wire\n")
    assert feeds(monitor) == [(FEED, "Wire", "en")]


def test_feed_added_twice_is_corrected(monitor: Run) -> None:
    monitor("feeds", "add", FEED, "--title", "Wier")
    assert monitor("feeds", "add", FEED, "--title", "Wire").stdout == "corrected: Wire\n"
    assert feeds(monitor) == [(FEED, "Wire", "")]


def test_feed_removed_is_not_listed(monitor: Run) -> None:
    monitor("feeds", "add", FEED)
    assert monitor("feeds", "remove", FEED).exit_code == 0
    assert feeds(monitor) == []


def test_removing_an_unknown_feed_ends_with_1(monitor: Run) -> None:
    result = monitor("feeds", "remove", FEED)
    assert (result.exit_code, result.stderr) == (1, f"monitor: {FEED} is not on the list\n")


def test_feeds_exported_can_be_imported(monitor: Run, home: Path) -> None:
    monitor("feeds", "add", FEED, "--title", "Wire & Co", "--language", "uk", "--country", "Ukraine")
    monitor("feeds", "add", "https://gazette.example/rss?a=1&b=2")
    before = monitor("feeds", "list", "--json").stdout
    (home / "feeds.opml").write_bytes(monitor("feeds", "export").stdout_bytes)
    (home / "state" / FILE).unlink()
    assert monitor("feeds", "import", "feeds.opml").stdout == "2 feeds added, 0 were on the list\n"
    assert monitor("feeds", "list", "--json").stdout == before


def test_import_names_what_is_wrong(monitor: Run, home: Path) -> None:
    (home / "feeds.opml").write_text("<html>no list</html>", encoding="utf-8")
    result = monitor("feeds", "import", "feeds.opml")
    assert (result.exit_code, "feeds.opml" in result.output) == (1, True)


def test_shipped_feed_list_can_be_imported(monitor: Run) -> None:
    assert monitor("feeds", "import", "{shipped}").stdout == "93 feeds added, 0 were on the list\n"


def test_list_of_no_feeds_says_how_to_get_some(monitor: Run) -> None:
    assert monitor("feeds", "list").stdout == "no feeds yet: monitor feeds import {shipped}\n"


def test_listing_makes_no_state(monitor: Run, home: Path) -> None:
    monitor("feeds", "list")
    assert not (home / "state").exists()


def test_failing_feed_is_listed_with_its_cause(monitor: Run, store: Store) -> None:
    store.commit_failed_poll(make.feed(), "http 503", 1.5, make.NOW, make.NOW)
    assert "http 503 (1.5)" in monitor("feeds", "list").stdout


# -- what the storm breaker holds -----------------------------------------------------------------


def hold(store: Store, *titles: str) -> None:
    decision = Decision(Verdict.HELD, "9 of 9 items are new to us")
    items = [make.item(title=title, link=f"https://harbourwire.example/{title}") for title in titles]
    store.commit_poll(make.polled(), [make.record(item=item, decision=decision) for item in items], "bag@1")


def test_release_says_what_will_happen(monitor: Run, store: Store) -> None:
    hold(store, "a", "b")
    result = monitor("feeds", "release", make.feed().url)
    assert (result.exit_code, result.stdout) == (0, f"2 items of {make.feed().url} will be judged at its next poll\n")
    assert store.feeds()[0].released


def test_drop_says_what_happened(monitor: Run, store: Store) -> None:
    hold(store, "a", "b")
    result = monitor("feeds", "drop", make.feed().url)
    assert (result.exit_code, result.stdout) == (0, f"2 items of {make.feed().url} dropped\n")
    assert store.verdict_counts() == {"dropped": 2}


@pytest.mark.parametrize("command", ["release", "drop"])
@pytest.mark.parametrize("url", [make.feed().url, FEED])
def test_nothing_held_ends_with_1(monitor: Run, store: Store, command: str, url: str) -> None:
    commit(store)
    result = monitor("feeds", command, url)
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"monitor: nothing of {url} is held\n")


def test_held_items_are_counted_in_the_list_for_programs(monitor: Run, store: Store) -> None:
    hold(store, "a", "b")
    [listed] = json.loads(monitor("feeds", "list", "--json").stdout)
    assert (listed["held"], listed["moved_to"], listed["pause"]) == (2, "", 600.0)


# -- feeds check: asked on loopback, for no other network is allowed here ---------------------------

PUBLISHED = datetime.now(UTC) - timedelta(hours=3)
GOOD = make.rss(("Troops seen near Kursk", "Seoul told lawmakers so."), ("Warships sail", "So."), published=PUBLISHED)


@pytest.fixture
def server(home: Path) -> Iterator[FeedServer]:
    """Feeds that the configuration lets the commands ask."""
    settings = (home / "monitor.toml").read_text(encoding="utf-8")
    allowed = '[polling]\nallow_private = ["127.0.0.1"]\nhost_gap = "0s"\n'
    (home / "monitor.toml").write_text(settings + allowed, encoding="utf-8")
    with FeedServer() as server:
        server.serve("/good", Answer(GOOD, etag='"1"'))
        yield server


def opml(home: Path, *urls: str) -> str:
    outlines = "".join(f'<outline text="{url[-4:]}" xmlUrl="{url}"/>' for url in urls)
    (home / "feeds.opml").write_text(f'<opml version="2.0"><body>{outlines}</body></opml>', encoding="utf-8")
    return "feeds.opml"


def test_good_feed_is_described(monitor: Run, server: FeedServer) -> None:
    result = monitor("feeds", "check", server.url("/good"), "--again", "0s")
    assert (result.exit_code, result.stderr) == (0, "")
    first, *findings = result.stdout.splitlines()
    assert first == server.url("/good")
    assert findings[0] == "  note    document     “Outlet”, 2 items in 1 KB"
    assert findings[-1].startswith(
        "  note    second poll  nothing changed; asked for changes alone, its server says so"
    )


def test_all_feeds_of_an_opml_file_are_checked_and_its_faults_told(
    monitor: Run, home: Path, server: FeedServer
) -> None:
    file = opml(home, server.url("/good"), "rss.xml", server.url("/gone"))
    result = monitor("feeds", "check", file, "--again", "0s", "--json")
    checked = json.loads(result.stdout)
    assert [(feed["feed"], feed["usable"]) for feed in checked] == [
        (server.url("/good"), True), (server.url("/gone"), False),
    ]  # fmt: skip
    assert checked[1]["findings"] == [
        {"level": "error", "about": "fetching", "says": "http 404: nothing stands at this address"}
    ]
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "monitor: 1 of 2 cannot be used", 'feeds.opml:1: xmlUrl "rss.xml" is no http:// or https:// address',
    ]  # fmt: skip


def test_list_is_checked_where_nothing_is_named(monitor: Run, store: Store, server: FeedServer) -> None:
    store.remove_feed(make.feed().url)
    store.add_feed(make.feed(url=server.url("/good"), title="Wire"), make.NOW)
    result = monitor("feeds", "check", "--again", "0s")
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, f"Wire {server.url('/good')}")
    assert store.feeds()[0].last_poll is None


def test_check_of_an_empty_list_says_how_to_get_feeds(monitor: Run, home: Path) -> None:
    assert monitor("feeds", "check").stdout == "no feeds yet: monitor feeds import {shipped}\n"
    assert json.loads(monitor("feeds", "check", "--json").stdout) == []
    assert not (home / "state").exists()


def test_check_of_a_file_that_is_no_opml_ends_with_1(monitor: Run, home: Path) -> None:
    (home / "feeds.opml").write_text("<html/>", encoding="utf-8")
    result = monitor("feeds", "check", "feeds.opml")
    assert (result.exit_code, result.stdout, "not OPML" in result.stderr) == (1, "", True)


def test_private_address_is_refused_with_the_setting_that_allows_it(monitor: Run) -> None:
    result = monitor("feeds", "check", "http://127.0.0.2:9/rss")
    assert (result.exit_code, "allow_private" in result.stdout) == (1, True)


# -- status ---------------------------------------------------------------------------------------


def test_status_before_the_first_run_says_so(monitor: Run) -> None:
    result = monitor("status")
    assert (result.exit_code, result.stdout.startswith("nothing yet in ")) == (0, True)


def test_status_before_the_first_run_is_empty_for_programs(monitor: Run) -> None:
    assert json.loads(monitor("status", "--json").stdout) == {
        "totals": {}, "outbox": {}, "held": {}, "verdicts": {}, "failing": [], "conditions": [], "outage": None, "model": "",
        "blocked": [], "canary": None, "trouble": "", "buttons": None, "rules_refused": [],
    }  # fmt: skip


def test_status_counts(monitor: Run, store: Store) -> None:
    commit(store)
    status = json.loads(monitor("status", "--json").stdout)
    assert status["totals"] == {"feeds": 1, "items": 1, "stories": 1, "told": 1, "alerts": 1, "matched": 1}
    assert (status["outbox"], status["verdicts"]) == ({"queued": 1}, {"alert": 1})


@pytest.mark.parametrize("state", [DeliveryState.BLOCKED, DeliveryState.DEAD])
def test_status_ends_with_1_while_an_alert_is_stuck(monitor: Run, store: Store, state: DeliveryState) -> None:
    store.settle(commit(store), state, make.NOW, error="not_in_channel")
    result = monitor("status")
    assert (result.exit_code, result.stderr) == (1, "monitor: 1 alerts are stuck\n")


def test_status_names_the_feeds_that_fail(monitor: Run, store: Store) -> None:
    store.commit_failed_poll(make.feed(), "timeout", 1.0, make.NOW, make.NOW)
    assert "1 feeds failing" in monitor("status").stdout


def test_status_names_what_is_wrong_with_a_feed_and_what_to_do(monitor: Run, store: Store) -> None:
    hold(store, "a", "b")
    url = make.feed().url
    words = "2 items are held back: much that is old became new at once. Tell them: monitor feeds release "
    out = monitor("status").stdout
    assert "1 feeds want a look" in out
    assert f"storm        {words}{url}" in out
    [found, *_] = json.loads(monitor("status", "--json").stdout)["conditions"]
    assert (found["feed"], found["condition"]) == (url, "storm")
    assert found["because"] == f"{words}{url} · forget them: monitor feeds drop {url}"


def test_status_tells_an_outage_of_our_own(monitor: Run, store: Store) -> None:
    outage = Ailment("", Condition.OUTAGE, "most hosts cannot be reached", make.NOW, told=make.NOW)
    store.commit_review([outage], None, make.NOW)
    assert "outage of our own network since 2024-10-29 14:30 UTC" in monitor("status").stdout
    assert json.loads(monitor("status", "--json").stdout)["outage"] == "2024-10-29T14:30:00+00:00"
    store.commit_review([replace(outage, absent_since=make.NOW)], None, make.NOW)
    assert json.loads(monitor("status", "--json").stdout)["outage"] is None


def test_status_says_how_the_connection_for_buttons_stands_while_a_monitor_is_at_work(
    monitor: Run, store: Store, home: Path
) -> None:
    store.keep_link(Link(make.NOW, "slack: invalid_auth"))
    assert json.loads(monitor("status", "--json").stdout)["buttons"] is None
    with Lock(home / "state"):
        assert "buttons: not connected since 2024-10-29 14:30 UTC: slack: invalid_auth" in monitor("status").stdout


def test_status_ends_with_1_while_the_monitor_cannot_work(monitor: Run, store: Store, home: Path) -> None:  # noqa: ARG001
    with Lock(home / "state") as lock:
        lock.note("since 14:20 UTC nothing is polled or sent: the database cannot be written")
        result = monitor("status")
    assert (result.exit_code, result.stderr) == (
        1,
        "monitor: since 14:20 UTC nothing is polled or sent: the database cannot be written\n",
    )


def test_status_is_well_though_feeds_are_not(monitor: Run, store: Store) -> None:
    hold(store, "a")
    store.commit_failed_poll(make.feed(), "http 410", 1.0, make.NOW, make.NOW)
    assert monitor("status").exit_code == 0


@pytest.mark.parametrize("words", [("status",), ("feeds", "list"), ("explain", "abcdef"), ("check",)], ids=" ".join)
def test_state_that_is_no_database_ends_with_69(monitor: Run, home: Path, words: tuple[str, ...]) -> None:
    (home / "state").mkdir()
    (home / "state" / FILE).write_text("somebody's notes\n" * 99, encoding="utf-8")
    result = monitor(*words)
    assert (result.exit_code, str(home / "state" / FILE) in result.stderr) == (69, True)


@pytest.mark.parametrize("words", [("run",), ("once",)], ids=" ".join)
def test_state_that_is_no_folder_ends_with_69(monitor: Run, home: Path, words: tuple[str, ...]) -> None:
    (home / "state").write_text("somebody's notes", encoding="utf-8")
    result = monitor(*words)
    assert (result.exit_code, str(home / "state") in result.stderr) == (69, True)


@pytest.mark.parametrize("words", [("run",), ("once",)], ids=" ".join)
def test_state_at_which_another_works_ends_with_75(monitor: Run, home: Path, words: tuple[str, ...]) -> None:
    with Lock(home / "state"):
        assert monitor(*words).exit_code == 75


# -- explain --------------------------------------------------------------------------------------


def test_explain_of_an_unknown_item_ends_with_1(monitor: Run) -> None:
    result = monitor("explain", "f00f00f00")
    assert (result.exit_code, result.stdout, "f00f00f00" in result.stderr) == (1, "", True)


def test_explain_finds_an_item_by_its_link(monitor: Run, store: Store) -> None:
    commit(store)
    assert make.item().title in monitor("explain", make.item().link).stdout


def test_explain_names_file_and_line_of_each_topic(monitor: Run, store: Store, home: Path) -> None:
    commit(store)
    (home / "rules" / "dprk-troops.toml").write_text(f"\n{TROOPS}", encoding="utf-8")
    place = f"{Path.cwd() / 'rules' / 'dprk-troops.toml'}:2"
    assert place in monitor("explain", make.item().id).stdout
    assert json.loads(monitor("explain", make.item().id, "--json").stdout)["matches"][0]["place"] == place


def test_explain_gives_verdict_and_delivery_to_programs(monitor: Run, store: Store) -> None:
    commit(store)
    told = json.loads(monitor("explain", make.item().id, "--json").stdout)
    assert (told["verdict"], [d["state"] for d in told["deliveries"]]) == ("alert", ["queued"])


def test_explain_names_the_one_of_two_items_that_was_not_seen(monitor: Run, store: Store) -> None:
    commit(store)
    result = monitor("explain", make.item().id, "f00f00f00")
    assert (result.exit_code, result.stderr) == (1, "monitor: no item 'f00f00f00' was seen\n")


def test_explain_of_an_item_beside_itself_ends_with_1(monitor: Run, store: Store) -> None:
    commit(store)
    result = monitor("explain", make.item().id, make.item().link)
    assert (result.exit_code, "is that same item" in result.stderr) == (1, True)


# -- silences and digests -------------------------------------------------------------------------


def test_silence_is_added_listed_and_removed(monitor: Run, store: Store) -> None:
    words = ("silence", "add", "--topic", "TROOPS", "--source", "harbour wire", "--words", "kursk", "--for", "2h")
    added = monitor(*words, "--comment", "known", "--author", "ann")
    assert added.stdout.startswith("silence 1 holds topic troops, source Harbour Wire, “kursk” until 20")
    [one] = store.silences(datetime.now(UTC))
    assert (one.topic, one.source, one.words, one.author, one.comment) == (
        "troops",
        "Harbour Wire",
        ("kursk",),
        "ann",
        "known",
    )
    assert timedelta(minutes=119) < one.until - datetime.now(UTC) <= timedelta(hours=2)
    listed = monitor("silence", "list").stdout
    assert "topic troops, source Harbour Wire, “kursk”" in listed
    assert "known" in listed
    assert monitor("silence", "remove", "1").stdout == "silence 1 is over; what it held is told by the next digest\n"
    assert json.loads(monitor("silence", "list", "--json").stdout) == []
    [over] = json.loads(monitor("silence", "list", "--all", "--json").stdout)
    assert (over["id"], over["words"]) == (1, ["kursk"])
    again = monitor("silence", "remove", "1")
    assert (again.exit_code, "no silence 1 is in force" in again.stderr) == (1, True)


@pytest.mark.parametrize(
    ("option", "value", "meant"),
    [
        ("--topic", "troop", "did you mean 'troops'?"),
        ("--source", "Harbor Wire", "did you mean 'Harbour Wire'?"),
        ("--channel", "#general", "known are: terminal"),
    ],
)
def test_silence_with_a_slip_in_it_is_refused(monitor: Run, store: Store, option: str, value: str, meant: str) -> None:
    result = monitor("silence", "add", option, value, "--for", "2h")
    assert (result.exit_code, f"{option}: {value!r} is not known; {meant}" in result.stderr) == (2, True)
    assert store.silences() == []


def test_silence_until_an_hour_is_until_it_is_next(monitor: Run, home: Path, store: Store) -> None:
    (home / "monitor.toml").write_text('rules = "rules"\n[alerts]\ntimezone = "Asia/Kathmandu"\n', encoding="utf-8")
    assert monitor("silence", "add", "--topic", "troops", "--until", "08:00").exit_code == 0
    [one] = store.silences()
    assert one.until.astimezone(UTC).strftime("%H:%M") == "02:15"
    assert timedelta(0) < one.until - datetime.now(UTC) <= timedelta(days=1)


def test_silence_of_a_story_goes_by_the_beginning_of_an_item(monitor: Run, store: Store) -> None:
    commit(store)
    assert monitor("silence", "add", "--story", make.item().id[:8], "--for", "2h").exit_code == 0
    assert store.silences()[0].story == "story-1"


def use_up(store: Store) -> None:
    """One alert that is over the budget."""
    store.hold({commit(store): Hold(HoldReason.BUDGET, because="100 a day in C0NEWS")}, make.NOW)


def test_status_counts_what_is_held_by_reason(monitor: Run, store: Store) -> None:
    use_up(store)
    assert "held: budget" in monitor("status").stdout
    assert json.loads(monitor("status", "--json").stdout)["held"] == {"budget": 1}
    assert 'news_monitor_held_alerts{reason="budget"} 1' in monitor("status", "--metrics").stdout


def test_explain_says_until_when_an_alert_is_held(monitor: Run, store: Store) -> None:
    use_up(store)
    told = monitor("explain", make.item().id).stdout.splitlines()[-1]
    assert "held for budget (100 a day in C0NEWS), until the channel's next digest, 20" in told


def test_digest_is_shown_and_made_only_when_asked_to(monitor: Run, store: Store) -> None:
    use_up(store)
    for words in (("digest",), ("digest", "--now", "--dry-run")):
        shown = monitor(*words).stdout
        assert shown.startswith("C0NEWS\n▤ Daily digest, ")
        assert make.item().title in shown
        assert store.held_counts() == {"budget": 1}
    assert monitor("digest", "--now", "--channel", "C0OTHER").stderr == "monitor: nothing to tell in C0OTHER\n"
    assert monitor("digest", "--now").stdout == "queued for C0NEWS: 1 stories\n"
    [made] = store.deliveries(DeliveryState.QUEUED)
    assert (made.alert.kind, store.held_counts()) == (AlertKind.DIGEST, {})
    assert make.item().title in monitor("outbox", "show", made.alert.id[:8]).stdout
    assert "daily digest" in monitor("outbox", "list").stdout
    assert monitor("digest").stderr == "monitor: nothing to tell\n"


# -- stories --------------------------------------------------------------------------------------

ONE, TWO, UPDATE = "1" * 16, "2" * 16, "3" * 16
GAZETTE = make.feed(url="https://gazette.example/rss", title="Gazette", kind="state media", country="", language="ru")


def tell(store: Store, item_id: str, story: str = "", topic: str = "troops", **fields: object) -> None:
    """Commit an item, told by an alert if it opens a story."""
    at = make.NOW + timedelta(hours=int(item_id[0]))
    item = make.item(id=item_id, title=f"Headline number {item_id[0]}", published=at, first_seen=at, **fields)
    relation = Relation.UPDATE if story else Relation.ROOT
    placement = Placement(story or item_id, relation, story, because=f"why {item_id[0]}")
    alerts = () if story else (make.alert(id=f"alert {item_id[0]}", item=item, story=item_id),)
    decision = Decision(Verdict.ALERT, "news", alerts)
    matches = (make.match(topic=topic),) if topic else ()
    record = make.record(item=item, placement=placement, decision=decision, matches=matches)
    store.commit_poll(make.polled(feed=item.feed), [record], "bag@1")


@pytest.fixture
def told(store: Store) -> Store:
    """Two stories, of which the second has an update in the gazette."""
    store.add_feed(GAZETTE, make.NOW)
    tell(store, ONE)
    tell(store, TWO)
    tell(store, UPDATE, TWO, feed=GAZETTE)
    return store


def stories(monitor: Run, *options: str) -> list[str]:
    return [story["id"] for story in json.loads(monitor("stories", "list", "--json", *options).stdout)]


def test_stories_are_listed_latest_first(monitor: Run, told: Store) -> None:  # noqa: ARG001
    result = monitor("stories", "list")
    assert (result.exit_code, result.stdout.splitlines()) == (
        0,
        [
            f"{TWO} · 2024-10-29 16:30–2024-10-29 17:30 · 2 items, 2 sources · open",
            "  Headline number 2",
            "  troops · en, ru · wire, state media · United Kingdom",
            "",
            f"{ONE} · 2024-10-29 15:30–2024-10-29 15:30 · 1 item, 1 source · open",
            "  Headline number 1",
            "  troops · en · wire · United Kingdom",
        ],
    )


def test_stories_are_chosen(monitor: Run, told: Store) -> None:
    tell(told, "4" * 16, topic="")
    tell(told, "5" * 16, topic="ships")
    assert stories(monitor) == ["5" * 16, TWO, ONE]
    assert stories(monitor, "--all") == ["5" * 16, "4" * 16, TWO, ONE]
    assert stories(monitor, "--topic", "ships") == ["5" * 16]
    assert stories(monitor, "--min-sources", "2") == [TWO]
    assert stories(monitor, "--limit", "1") == ["5" * 16]
    assert stories(monitor, "--since", "3d") == []  # these are of 2024


def test_list_says_where_there_is_more(monitor: Run, told: Store) -> None:  # noqa: ARG001
    assert monitor("stories", "list", "--limit", "1").stderr == "monitor: these are the latest 1; more: --limit\n"
    assert monitor("stories", "list", "--limit", "2").stderr == ""


def test_closed_stories_are_those_out_of_the_window(monitor: Run, told: Store) -> None:
    later = make.item(link="", first_seen=make.NOW + timedelta(hours=75), published=None)
    told.commit_poll(make.polled(), [make.record(item=later)], "bag@1")
    assert stories(monitor, "--open") == [TWO]
    assert "1 source · closed" in monitor("stories", "list").stdout


def test_topic_s_own_window_keeps_its_stories_open(monitor: Run, told: Store, home: Path) -> None:
    later = make.item(link="", first_seen=make.NOW + timedelta(hours=99), published=None)
    told.commit_poll(make.polled(), [make.record(item=later)], "bag@1")
    assert stories(monitor, "--open") == []
    text = TROOPS.replace("[terms]", '[story]\nwindow = "7d"\n\n[terms]')
    (home / "rules" / "troops.toml").write_text(text, encoding="utf-8")
    assert stories(monitor, "--open") == [TWO, ONE]


def test_no_story_is_no_fault(monitor: Run, store: Store) -> None:  # noqa: ARG001
    result = monitor("stories", "list")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "monitor: no such story\n")


def test_list_before_the_first_run_says_so(monitor: Run, home: Path) -> None:
    result = monitor("stories", "list")
    assert (result.exit_code, result.stdout, "nothing yet in " in result.stderr) == (0, "", True)
    assert json.loads(monitor("stories", "list", "--json").stdout) == []
    assert not (home / "state").exists()


@pytest.mark.parametrize(
    "words", [("show", "abcdef"), ("merge", "abcdef", "fedcba"), ("split", "abcdef")], ids=" ".join
)
def test_story_before_the_first_run_ends_with_1(monitor: Run, home: Path, words: tuple[str, ...]) -> None:
    result = monitor("stories", *words)
    assert (result.exit_code, result.stdout, "nothing yet in " in result.stderr) == (1, "", True)
    assert not (home / "state").exists()


@pytest.mark.parametrize(
    "words", [("show", "f00f00"), ("show", "22222"), ("merge", TWO, "f00f00"), ("split", "f00f00")], ids=" ".join
)
def test_unknown_name_is_told_with_where_to_find_names(monitor: Run, told: Store, words: tuple[str, ...]) -> None:  # noqa: ARG001
    result = monitor("stories", *words)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"no {'item' if words[0] == 'split' else 'story'} {words[-1]!r}: monitor stories list" in result.stderr


def test_name_that_may_mean_two_stories_is_told(monitor: Run, told: Store) -> None:
    tell(told, TWO[:15] + "9")
    result = monitor("stories", "show", TWO[:8])
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"may mean {TWO} or {TWO[:15]}9" in result.stderr


@pytest.mark.parametrize("name", [TWO, TWO[:6], UPDATE, UPDATE[:6]])
def test_story_is_shown_by_its_id_or_an_item_s(monitor: Run, told: Store, name: str) -> None:  # noqa: ARG001
    result = monitor("stories", "show", name)
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, f"Story     {TWO}")


def test_story_is_shown_to_programs(monitor: Run, told: Store) -> None:  # noqa: ARG001
    story = json.loads(monitor("stories", "show", UPDATE, "--json").stdout)
    assert [(one["item"], one["relation"], one["by_hand"], one["because"]) for one in story["timeline"]] == [
        (TWO, "root", False, "why 2"), (UPDATE, "update", False, "why 3"),
    ]  # fmt: skip
    assert story["kinds"] == {"wire": 1, "state media": 1}
    assert [(one["id"], one["kind"], one["state"]) for one in story["told"]] == [("alert 2", "root", "queued")]


def test_merge_says_what_is_one_now(monitor: Run, told: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "ann")
    result = monitor("stories", "merge", ONE, TWO)
    assert (result.exit_code, result.stdout) == (0, f"{ONE} and {TWO} are one story now: {ONE} (2 items moved)\n")
    [ruling] = told.rulings_on(ONE)
    assert (ruling.author, ruling.kind) == ("ann", "merge")
    assert "open · by hand" in monitor("stories", "list").stdout


def test_split_says_where_the_items_are_now(monitor: Run, told: Store) -> None:
    result = monitor("stories", "split", UPDATE)
    [story] = {t.story.id for t in told.timelines()} - {ONE, TWO}
    assert (result.exit_code, result.stdout) == (0, f"1 item moved from {TWO} to a story of their own: {story}\n")


def test_ruling_needs_no_lock(monitor: Run, told: Store, home: Path) -> None:  # noqa: ARG001
    with Lock(home / "state"):
        assert monitor("stories", "merge", ONE, TWO).exit_code == 0


REFUSED = {
    "a story merged with itself": (("merge", ONE, ONE[:6]), "merged with itself"),
    "all items split": (("split", TWO, UPDATE), "nothing would be left"),
    "items of two stories split": (("split", ONE, UPDATE), "several stories"),
    "a held item split": (("split", "9" * 16), "is held"),
    "a held item merged": (("merge", ONE, "9" * 16), "is held"),
}


@pytest.mark.parametrize(("words", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_ruled_changes_nothing(monitor: Run, told: Store, words: tuple[str, ...], reason: str) -> None:
    held = make.record(item=make.item(id="9" * 16), decision=Decision(Verdict.HELD, ""))
    told.commit_poll(make.polled(), [held], "bag@1")
    result = monitor("stories", *words)
    assert (result.exit_code, result.stdout, reason in result.stderr) == (1, "", True)
    assert told.latest_ruling() == 0


def test_explain_says_what_a_person_put_there(monitor: Run, told: Store, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    monkeypatch.setenv("USER", "ann")
    monitor("stories", "merge", ONE, TWO)
    assert "It is an update (by hand): merged by hand (ann) with “Headline number 1”" in monitor("explain", TWO).stdout
    assert json.loads(monitor("explain", TWO, "--json").stdout)["by_hand"] is True


# -- with models ----------------------------------------------------------------------------------

ARCHIVE = """\
{"id": "a", "title": "Seoul says North Korean soldiers in Russia are training", "published": "2024-10-18T08:00:00Z"}
{"id": "b", "title": }
{"id": "c", "title": "Central bank of Norway keeps interest rate unchanged", "published": "2024-10-18T09:00:00Z"}
"""


@pytest.mark.model
def test_replay_names_a_broken_line_and_loses_no_other(monitor: Run, home: Path) -> None:
    (home / "items.jsonl").write_text(ARCHIVE, encoding="utf-8")
    result = monitor("replay", "items.jsonl")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(row["id"], row["alerts"]) for row in rows] == [("a", [{"topic": "troops", "kind": "root"}]), ("c", [])]
    assert "items.jsonl:2" in result.stderr
    assert result.exit_code == 1


@pytest.mark.model
def test_replay_leaves_no_state(monitor: Run, home: Path) -> None:
    (home / "items.jsonl").write_text(ARCHIVE, encoding="utf-8")
    monitor("replay", "items.jsonl")
    assert not (home / "state").exists()


@pytest.mark.model
def test_rules_check_asks_the_models_too(monitor: Run, home: Path) -> None:
    assert monitor("rules", "check").exit_code == 0
    against = TROOPS.replace("[terms]", '[terms]\nexclude = ["kursk"]')
    (home / "rules" / "troops.toml").write_text(against, encoding="utf-8")
    (home / "past.jsonl").write_text('{"id": 1, "title": "Rain expected"}\n', encoding="utf-8")
    result = monitor("rules", "check", "--archive", "past.jsonl")
    assert (result.exit_code, "examples: the topic would not take \"Kim's troops" in result.stdout) == (1, True)


@pytest.mark.model
def test_rules_test_passes_what_holds(monitor: Run) -> None:
    result = monitor("rules", "test")
    assert (result.exit_code, result.stdout) == (0, "2 passed, 0 failed\n")


@pytest.mark.model
def test_rules_test_writes_junit(monitor: Run, home: Path) -> None:
    topic = home / "rules" / "troops.toml"
    topic.write_text(TROOPS.replace('expect = "silent"', 'expect = "alert"'), encoding="utf-8")
    result = monitor("rules", "test", "--format", "junit")
    suite = ElementTree.fromstring(result.stdout)  # noqa: S314 - ours
    [failure] = suite.findall("testcase/failure")
    assert (result.exit_code, suite.get("name"), suite.get("tests"), suite.get("failures")) == (
        1,
        "rules test",
        "2",
        "1",
    )
    assert failure.get("message", "").startswith(f"{topic}:12: ")


@pytest.mark.model
def test_rules_test_names_file_and_line_of_what_fails(monitor: Run, home: Path) -> None:
    topic = home / "rules" / "troops.toml"
    topic.write_text(TROOPS.replace('expect = "silent"', 'expect = "alert"'), encoding="utf-8")
    result = monitor("rules", "test")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (1, "1 passed, 1 failed")
    assert result.stdout.startswith(f"{topic}:12: ")


@pytest.mark.model
def test_explain_tells_what_topics_make_of_any_text(monitor: Run) -> None:
    result = monitor("explain", "--text", "North Korean soldiers in Russia, says Seoul", "--json")
    [match] = json.loads(result.stdout)
    assert (match["topic"], match["outcome"], match["terms"]) == (
        "troops", "matched by term", ["north korean soldiers in russia"],
    )  # fmt: skip


@pytest.mark.model
def test_explain_says_why_two_items_are_one_story(monitor: Run, told: Store) -> None:  # noqa: ARG001
    pair = json.loads(monitor("explain", UPDATE, TWO, "--json").stdout)
    assert (pair["one_story"], [one["joined_by"] for one in pair["items"]]) == (True, [["Headline number 2"], []])
    assert pair["compared"]
    assert monitor("explain", UPDATE, ONE).stdout.splitlines()[0] == f"Verdict   two stories: {TWO}, {ONE}"


def test_new_from_a_page_that_is_none_says_why(monitor: Run, server: FeedServer) -> None:
    gone = monitor("rules", "new", "x", "--from-url", server.url("/gone"))
    assert (gone.exit_code, "404" in gone.stderr) == (1, True)
    empty = monitor("rules", "new", "x", "--from-url", server.serve("/empty", Answer(b"<p>nothing")))
    assert (empty.exit_code, "nothing there says what it is about" in empty.stderr) == (2, True)
