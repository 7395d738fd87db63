"""What ops are given beside the program: alert rules and a dashboard that ask for what there is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.daemon import LAST_POST
from monitor.metrics import METRICS
from monitor.model import Condition, DeliveryState, HoldReason, PollOutcome, Verdict

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
ALERTS = yaml.safe_load((DEPLOY / "prometheus-alerts.yml").read_text(encoding="utf-8"))
BOARD = json.loads((DEPLOY / "grafana-dashboard.json").read_text(encoding="utf-8"))
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
PANELS = BOARD["panels"]
EXPRESSIONS = [rule["expr"] for rule in RULES] + [target["expr"] for panel in PANELS for target in panel["targets"]]
WORDS = {
    "state": set(DeliveryState), "verdict": set(Verdict), "reason": set(HoldReason), "outcome": set(PollOutcome),
    "condition": set(Condition), "job": {"news-monitor"},
}  # fmt: skip
#: what prometheus_client adds to a name, by kind
SUFFIX = re.compile(r"(?<=_seconds)_(?:bucket|sum|count)$|(?<=polls)_total$")


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_only_metrics_that_are_served_are_asked_for(expression: str) -> None:
    names = re.findall(r"\b(?:news_monitor|process|up)\w*", expression)
    ours = {SUFFIX.sub("", name) for name in names if name.startswith("news_monitor_")}
    others = {name for name in names if not name.startswith("news_monitor")}
    assert names
    assert ours <= set(METRICS)
    assert others <= {"up", "process_resident_memory_bytes", "process_cpu_seconds_total"}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_only_labels_that_there_are_are_asked_for(expression: str) -> None:
    for label, _, values in re.findall(r'(\w+)(=~?)"([^"]*)"', expression):
        assert set(values.split("|")) <= WORDS[label]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"].keys() == {"summary", "action"}


def test_panels_lie_side_by_side() -> None:
    taken = set()
    for panel in PANELS:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not installed")
def test_promtool_takes_the_rules() -> None:
    for what, name in (("rules", "prometheus-alerts.yml"), ("config", "monitor-prometheus.yml")):
        command = ["promtool", "check", what, str(DEPLOY / name)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
        assert done.returncode == 0, done.stderr


# -- systemd --------------------------------------------------------------------------------------

UNIT, TEMPLATE = ((DEPLOY / name).read_text(encoding="utf-8") for name in ("monitor.service", "monitor@.service"))


def directives(unit: str) -> list[str]:
    return [line for line in unit.splitlines() if line and not line.startswith("#")]


def test_instance_differs_from_the_unit_in_names_alone() -> None:
    names = {
        "Description=News monitor:": "Description=News monitor %i:",
        "/etc/news-monitor/monitor.toml": "/etc/news-monitor/%i.toml",
        "User=news-monitor": "User=news-monitor-%i",
        "StateDirectory=news-monitor": "StateDirectory=news-monitor-%i",
        "RuntimeDirectory=news-monitor": "RuntimeDirectory=news-monitor-%i",
        "/etc/news-monitor/slack-bot-token": "/etc/news-monitor/%i.slack-bot-token",
    }
    expected = "\n".join(directives(UNIT))
    for one, other in names.items():
        assert expected.count(one) == 1
        expected = expected.replace(one, other)
    assert directives(TEMPLATE) == expected.splitlines()


@pytest.mark.parametrize("kind", ["service", "timer"])
def test_instance_of_the_backup_differs_in_names_alone(kind: str) -> None:
    unit, template = (
        directives((DEPLOY / f"monitor-backup{at}.{kind}").read_text(encoding="utf-8")) for at in ("", "@")
    )
    names = {
        "ackup of the news monitor": "ackup of the news monitor %i",
        "/etc/news-monitor/monitor.toml": "/etc/news-monitor/%i.toml",
        "/var/lib/news-monitor/": "/var/lib/news-monitor-%i/",
        "StateDirectory=news-monitor": "StateDirectory=news-monitor-%i",
        "User=news-monitor": "User=news-monitor-%i",
    }
    expected = "\n".join(unit)
    for one, other in names.items():
        expected = expected.replace(one, other)
    assert template == expected.splitlines()


def test_backup_may_do_no_more_than_the_monitor() -> None:
    """And has its user: a second one would take the state away from the first."""
    unit = directives((DEPLOY / "monitor-backup.service").read_text(encoding="utf-8"))
    own = {"PrivateNetwork=yes", "RestrictAddressFamilies=none"}
    hardening = [
        line for line in directives(UNIT) if line.startswith(("Private", "Protect", "Restrict", "SystemCall", "Lock"))
    ]
    assert {line for line in hardening if not line.startswith(("RestrictAddress", "Restart"))} <= set(unit)
    assert own <= set(unit)
    for line in ("DynamicUser=yes", "User=news-monitor", "UMask=0077"):
        assert line in unit
        assert line in directives(UNIT)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize(
    "name", ["monitor.service", "monitor@.service", "monitor-backup.service", "monitor-backup@.service"]
)
def test_units_are_exposed_to_little(name: str) -> None:
    """At most 1.5 of 10, by systemd's own count; the threshold is in tenths."""
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", str(DEPLOY / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert done.returncode == 0, done.stdout + done.stderr


def test_time_to_stop_is_longer_than_the_daemon_takes() -> None:
    assert "TimeoutStopSec=30" in UNIT
    assert LAST_POST < 30


# -- the wheel ------------------------------------------------------------------------------------


def test_wheel_has_the_files_that_the_program_ships() -> None:
    included = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "monitor").glob("*.py"))
    names = set(re.findall(r'shipped\("([^"]+)"\)', sources))
    assert names == {"feeds.opml", "publishers.toml"}
    for name in names:
        assert included["wheel"]["force-include"][f"deploy/{name}"] == f"monitor/{name}"
        assert (DEPLOY / name).is_file()


# -- the installer --------------------------------------------------------------------------------

SCRIPTS = [*DEPLOY.glob("*.sh"), *(ROOT / "tests").glob("*.sh"), ROOT / "run.sh", ROOT / ".ci" / "run"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_parse(script: Path) -> None:
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0  # noqa: S603, S607 - ours
    assert script.stat().st_mode & 0o111


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_well_by_shellcheck(script: Path) -> None:
    done = subprocess.run(["shellcheck", str(script)], capture_output=True, text=True, check=False)  # noqa: S603, S607 - ours
    assert done.returncode == 0, done.stdout
