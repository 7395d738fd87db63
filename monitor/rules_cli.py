"""The commands of rule authors, `monitor rules …`; in the manner of `cli.py`."""

from __future__ import annotations

import json
import sys

import click
from tabulate import tabulate

from monitor.command import command, learn, read_config, tell
from monitor.errors import Problem
from monitor.model import TopicStatus


@click.group()
def rules() -> None:
    """The topics: list, check, test."""


@rules.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
@command
def rules_list(context: click.Context, as_json: bool) -> None:
    """List the topics."""
    from monitor.rules import load_topics

    config = read_config(context)
    topics, problems = load_topics(config.rules)
    if as_json:
        data = [
            {"id": t.id, "title": t.title, "theme": t.theme, "status": t.status, "severity": t.severity,
             "noise": f"1/{round(1 / t.noise)}", "owner": t.owner, "tests": len(t.tests), "file": t.path}
            for t in topics
        ]  # fmt: skip
        click.echo(json.dumps(data, ensure_ascii=False, indent=2))
    else:
        rows = [
            (t.id, t.title, t.theme, t.status if t.status is not TopicStatus.ACTIVE else "", t.severity,
             f"1/{round(1 / t.noise)}", len(t.examples), len(t.tests))
            for t in topics
        ]  # fmt: skip
        click.echo(tabulate(rows, ["id", "title", "theme", "", "severity", "noise", "examples", "tests"], "simple"))
    tell([problem for problem in problems if not problem.warning])


@rules.command("check")
@click.pass_context
@command
def rules_check(context: click.Context) -> None:
    """Check every topic file; every problem at once, with its line."""
    from monitor.rules import check_topics

    config = read_config(context)
    topics, problems = check_topics(config.rules)
    click.echo(f"{len(topics)} topics are well in {config.rules}")
    tell(problems)


@rules.command("test")
@click.option("--run", "pattern", default="", help="Only topics whose id matches this regular expression.")
@click.pass_context
@command
def rules_test(context: click.Context, pattern: str) -> None:
    """Run the tests inside the topic files; 1 if one fails."""
    import re

    from monitor.rules import load_rules
    from monitor.trial import run_tests

    config = read_config(context)
    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise click.UsageError(f"--run: {error}") from error
    topics = [topic for topic in load_rules(config.rules) if wanted.search(topic.id)]
    learning, judge = learn(config, topics)
    trials = list(run_tests(topics, learning, judge))
    failed = [trial for trial in trials if not trial.passed]
    for trial in failed:
        click.echo(f"{Problem(trial.topic.path, trial.line, f'“{trial.name}”: {trial.because}')}")
    click.echo(f"{len(trials) - len(failed)} passed, {len(failed)} failed")
    if failed:
        sys.exit(1)
