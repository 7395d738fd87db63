"""What is written must be true: every command, verdict, file and dependency is documented, and the examples run."""

from __future__ import annotations

import ast
import base64
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import click
import make
import pytest
import yaml

from monitor import config, toml
from monitor.cli import CRITICAL, main
from monitor.command import EXIT_CODES
from monitor.metrics import METRICS
from monitor.model import Condition, Corroboration, DeliveryState, Verdict
from monitor.payload import VERSION, payload
from monitor.render import render
from monitor.rules import check_topics
from monitor.send import CHANNEL_CODES, REMEDIES, SCOPES, TOKEN_CODES
from monitor.sinks import signature

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DEPLOY = (ROOT / "deploy" / "README.md").read_text(encoding="utf-8")
DESIGN = (ROOT / "DESIGN.md").read_text(encoding="utf-8")
SLACK = (ROOT / "docs" / "slack.md").read_text(encoding="utf-8")
SINKS = (ROOT / "docs" / "sinks.md").read_text(encoding="utf-8")
SOURCES = sorted((ROOT / "monitor").glob("*.py"))
PAGES = [*ROOT.glob("*.md"), *(ROOT / "deploy").glob("*.md"), *(ROOT / "docs").glob("*.md")]
#: documented, and built by the change that takes it off here
COMING: set[str] = set()


def commands(group: click.Group, prefix: str = "") -> list[str]:
    names = []
    for name, command in group.commands.items():
        names += commands(command, f"{name} ") if isinstance(command, click.Group) else [prefix + name]
    return names


@pytest.mark.parametrize("command", commands(main))
def test_command_is_in_the_readme(command: str) -> None:
    group, _, name = command.rpartition(" ")
    rows = [line for line in README.splitlines() if line.startswith(f"| `monitor {group or name}")]

    assert any(f"`{name}`" in row or f" {name}" in row for row in rows)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_verdict_is_in_the_readme(verdict: Verdict) -> None:
    assert f"| `{verdict}` |" in README


@pytest.mark.parametrize("state", list(DeliveryState))
def test_delivery_state_is_in_the_readme(state: DeliveryState) -> None:
    assert f"| `{state}` |" in README


@pytest.mark.parametrize("key", Corroboration.__dataclass_fields__)
def test_key_of_corroboration_is_in_the_readme(key: str) -> None:
    assert re.search(rf"^{key} += ", README.partition("[story.corroboration]")[2].partition("```")[0], re.MULTILINE)


@pytest.mark.parametrize("metric", METRICS)
def test_metric_is_in_the_handbook(metric: str) -> None:
    assert f"| `{metric}` | {METRICS[metric]} |" in DEPLOY


@pytest.mark.parametrize("condition", list(Condition))
def test_condition_is_in_the_readme(condition: Condition) -> None:
    assert f"| `{condition}` |" in README


@pytest.mark.parametrize("path", sorted((ROOT / "monitor").glob("*.py")), ids=lambda path: path.name)
def test_file_is_on_the_map(path: Path) -> None:
    assert path.name.startswith("__") or f"`{path.name}`" in README


def exit_codes() -> set[int]:
    """Those of errors, that of `doctor`, and every number that a file says by itself."""
    said = {
        int(code) for path in SOURCES for code in re.findall(r"sys\.exit\((\d+)\)", path.read_text(encoding="utf-8"))
    }
    # 2: click's, for a wrong command line
    return {0, 2, CRITICAL, *EXIT_CODES.values()} | said


@pytest.mark.parametrize("page", [README, DEPLOY], ids=["README", "handbook"])
@pytest.mark.parametrize("code", sorted(exit_codes()))
def test_exit_code_is_in_the_documents(code: int, page: str) -> None:
    assert re.search(rf"\b{code} ", page.partition("Exit codes:")[2].partition("\n\n")[0])


@pytest.mark.parametrize("page", [README, DEPLOY], ids=["README", "handbook"])
def test_exit_code_in_the_documents_is_one(page: str) -> None:
    listed = page.partition("Exit codes:")[2].partition(" (systemd")[0].partition(". Every")[0]
    assert {int(code) for code in re.findall(r"\b\d+\b", listed)} == exit_codes()


# -- docs/log.md ------------------------------------------------------------------------------------

#: a method of the log -> the level at which it speaks
LEVELS = {
    "debug": "debug",
    "info": "info",
    "warning": "warning",
    "error": "error",
    "exception": "error",
    "critical": "critical",
}


def log_methods(call: ast.expr) -> set[str]:
    """The methods of the log that an expression may come to: one, or those of a choice."""
    if isinstance(call, ast.IfExp):
        return log_methods(call.body) | log_methods(call.orelse)
    if not isinstance(call, ast.Attribute):
        return set()
    owner = call.value.func if isinstance(call.value, ast.Call) else call.value
    name = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
    return {call.attr} & LEVELS.keys() if name in ("log", "get_logger") else set()


def logged() -> dict[str, set[str]]:
    """Every event that is logged -> its levels."""
    events: dict[str, set[str]] = {}
    for path in SOURCES:
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            chosen = {
                one.targets[0].id: methods
                for one in ast.walk(function)
                if isinstance(one, ast.Assign)
                and isinstance(one.targets[0], ast.Name)
                and (methods := log_methods(one.value))
            }
            for call in ast.walk(function):
                if not isinstance(call, ast.Call):
                    continue
                methods = chosen.get(call.func.id, set()) if isinstance(call.func, ast.Name) else log_methods(call.func)
                if methods:
                    assert isinstance(call.args[0], ast.Constant), (
                        f"{path.name}:{call.lineno}: an event has a name of its own"
                    )
                    events.setdefault(call.args[0].value, set()).update(LEVELS[one] for one in methods)
    return events


def test_every_event_of_the_log_is_on_its_page_with_its_levels() -> None:
    page = (ROOT / "docs" / "log.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `([^`]+)` \| ([a-z, ()]+) \| .+\. \| .*\|$", page, re.MULTILINE)

    assert {event: set(re.findall(r"\w+", levels)) for event, levels in told} == logged()


def test_every_dependency_has_its_reason_in_the_design() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [re.split(r"[=<>~! \[]", need)[0] for need in project["dependencies"]]

    assert [name for name in names if f"| {name} |" not in DESIGN] == []


def test_every_command_of_run_sh_that_the_documents_name_is_one() -> None:
    script = (ROOT / "run.sh").read_text(encoding="utf-8")
    named = {
        name for page in ROOT.glob("*.md") for name in re.findall(r"\./run\.sh (\w+)", page.read_text(encoding="utf-8"))
    }

    assert sorted(name for name in named if f"./run.sh {name} " not in script) == []


def test_every_monitor_command_that_the_documents_name_is_one() -> None:
    known = set(commands(main))
    groups = {command.split()[0] for command in known if " " in command}
    # in a sentence, or at the beginning of a line in a block of shell
    found = [
        match
        for page in PAGES
        for match in re.findall(
            r"(?:`|^)\$?monitor(?: --config \S+)? ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?",
            page.read_text(encoding="utf-8"),
            re.MULTILINE,
        )
    ]
    named = {f"{first} {second}" if first in groups and second else first for first, second in found}

    assert sorted(named - known - groups - COMING) == []
    assert COMING & known == set()


def test_topic_in_the_readme_loads(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", README, re.DOTALL)
    assert example
    (tmp_path / "brics-clear.toml").write_text(example[1], encoding="utf-8")

    topics, problems = check_topics(tmp_path)

    assert [topic.id for topic in topics] == ["brics-clear"]
    assert not [problem for problem in problems if not problem.warning]


def test_links_between_the_pages_lead_somewhere() -> None:
    broken = [
        (page.name, target)
        for page in PAGES
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]

    assert broken == []


# -- docs/slack.md and the app's manifest ---------------------------------------------------------


def rows(page: str, heading: str) -> dict[str, str]:
    """The table under a heading: what stands in backticks in the first column -> the rest."""
    table = page.partition(f"{heading}\n")[2].partition("\n## ")[0]
    return {name: rest for line in table.splitlines() for name, rest in re.findall(r"^\| `([^`]+)` \| (.+) \|$", line)}


def test_manifest_asks_for_the_scopes_that_the_code_needs_each_with_its_reason() -> None:
    text = (ROOT / "deploy" / "slack-app-manifest.yaml").read_text(encoding="utf-8")
    manifest = yaml.safe_load(text)

    assert tuple(manifest["oauth_config"]["scopes"]["bot"]) == SCOPES
    assert list(manifest["oauth_config"]["scopes"]) == ["bot"]
    assert manifest["settings"]["socket_mode_enabled"] is False
    assert [scope for scope in SCOPES if not re.search(rf"- {scope} +# to |- {scope} +# the same", text)] == []


def test_manifest_with_socket_mode_switched_on_is_one_too() -> None:
    lines = (ROOT / "deploy" / "slack-app-manifest.yaml").read_text(encoding="utf-8").splitlines()
    text = "\n".join(re.sub(r"^  # (socket_mode_enabled|interactivity|  is_enabled):", r"  \1:", line) for line in lines
                     if line != "  socket_mode_enabled: false")  # fmt: skip
    settings = yaml.safe_load(text)["settings"]

    assert (settings["socket_mode_enabled"], settings["interactivity"]) == (True, {"is_enabled": True})


def test_page_says_what_is_lost_without_each_scope() -> None:
    assert tuple(rows(SLACK, "## What is lost without a scope")) == SCOPES


def test_page_has_a_remedy_for_every_code_that_a_person_can_mend() -> None:
    told = rows(SLACK, "## When it does not work")

    assert set(told) == CHANNEL_CODES | TOKEN_CODES | set(REMEDIES) | {"restricted_action"}


def test_place_of_the_token_is_that_of_the_unit() -> None:
    unit = (ROOT / "deploy" / "monitor.service").read_text(encoding="utf-8")

    assert f"LoadCredential={config.TOKEN_CREDENTIAL}:/etc/news-monitor/slack-bot-token" in unit
    assert f"LoadCredential={config.TOKEN_CREDENTIAL}:" in SLACK
    assert "`/etc/news-monitor/slack-bot-token`" in SLACK


def test_configuration_on_the_page_is_one() -> None:
    example = re.search(r"<<'END'\n(.*?)END\n", SLACK, re.DOTALL)
    assert example

    assert config.check(toml.parse(example[1], "monitor.toml")).alerts.channel == "C0123456789"


# -- docs/sinks.md --------------------------------------------------------------------------------


def block(kind: str) -> str:
    found = re.search(rf"```{kind}\n(.*?)```", SINKS, re.DOTALL)
    assert found
    return found[1]


def test_sinks_on_the_page_are_well_configured() -> None:
    assert config.sink_names(config.check(toml.parse(block("toml"), "monitor.toml"))) == ["desk", "phone"]


def test_document_on_the_page_has_the_fields_of_the_real_one_and_all_are_explained() -> None:
    shown = json.loads(block("json"))
    alert = make.alert(channel="desk:asia")
    real = json.loads(payload(make.delivery(alert=alert, message=render(alert))))
    explained = SINKS.partition("| field | holds |")[2].partition("\n\n")[0]

    assert shape(shown) == shape(real)
    assert shown["version"] == VERSION
    for field in ("type", "timestamp", *real["data"], "formerly", "link", "published", "seen", "why"):
        assert f"`{field}`" in explained


def shape(value: Any) -> Any:
    """Its keys, in order, and those of its tables; what is keyed by topic counts as one."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items() if key != "why"}
    return [shape(inner) for inner in value[:1]] if isinstance(value, list) else type(value)


def test_receiver_on_the_page_believes_what_we_sign_and_nothing_else() -> None:
    namespace: dict[str, Any] = {}
    exec(block("python"), namespace)  # noqa: S102 - our own page
    is_genuine, key = namespace["is_genuine"], bytes(range(32))
    secret = "whsec_" + base64.b64encode(key).decode()
    headers = {
        "webhook-id": "a1",
        "webhook-timestamp": "1000",
        "webhook-signature": signature(key, "a1", "1000", b"{}"),
    }

    assert is_genuine(secret, headers, b"{}", 1010.0)
    assert is_genuine(secret, headers | {"webhook-signature": f"v1,x {headers['webhook-signature']}"}, b"{}", 1010.0)
    assert not is_genuine(secret, headers, b"{ }", 1010.0)
    assert not is_genuine(secret, headers | {"webhook-id": "a2"}, b"{}", 1010.0)
    assert not is_genuine(secret, headers, b"{}", 2000.0)
    assert not is_genuine("whsec_" + base64.b64encode(bytes(32)).decode(), headers, b"{}", 1010.0)
