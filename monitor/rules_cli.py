"""The commands of rule authors, `monitor rules …`; in the manner of `cli.py`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
from tabulate import tabulate

from monitor.command import command, fail, folders, learn, open_store_to_read, read_config, read_duration, tell, utc_now
from monitor.config import Config, sink_names, slack_token
from monitor.errors import Level, Problem, ProblemsError
from monitor.model import Topic, TopicStatus

if TYPE_CHECKING:
    from monitor.report import Case
    from monitor.store import Store
    from monitor.toml import Source

#: What a proposal is tried on: so many items of so long, drawn by chance; and how many lines of what it would change are shown.
PAST, MOST_OF_THE_PAST, SHOWN_CHANGES = timedelta(days=30), 20_000, 12
#: Of the state so many items are looked at: enough to tell what stands in one of a thousand, in four seconds.
PAST_ITEMS = 20_000


@click.group()
def rules() -> None:
    """The topics: list, show, check, test; their schema, and what reactions ask of them."""


@rules.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
@command
def rules_list(context: click.Context, as_json: bool) -> None:
    """List the topics."""
    from monitor.rules import load_topics

    config = read_config(context)
    topics, problems = load_topics(config.rules, sink_names(config))
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
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE|FOLDER]...")
@click.option(
    "--fast", is_flag=True, help="Only what needs neither the models nor past items: what an editor wants to know."
)
@click.option("--strict", is_flag=True, help="Fail on warnings too.")
@click.option("--format", "form", type=click.Choice(["text", "json", "junit", "github"]), default="text",
              show_default=True, help="For people; for programs; for CI servers; for GitHub's pull requests.")  # fmt: skip
@click.option("--archive", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
              help="Past items, as `replay` takes them, to hold the terms against [default: those of the state].")  # fmt: skip
@click.option("--show-source/--hide-source", default=None, help="Show the lines [default: on a terminal].")
@click.pass_context
@command
def rules_check(
    context: click.Context,
    paths: tuple[Path, ...],
    fast: bool,
    strict: bool,
    form: str,
    archive: Path | None,
    show_source: bool | None,
) -> None:
    """Check every topic file, or these: every problem at once, with its line; 1 if one is an error."""
    from monitor import report
    from monitor.rules import PACK

    config = read_config(context)
    files: list[tuple[Topic, Source]] = []
    problems: list[Problem] = []
    for together, names in _folders(paths, config.rules).items():
        read, found = _checked(config, together, archive, fast=fast)
        files += [(topic, source) for topic, source in read if not names or Path(topic.path).name in names]
        # of a file that is read with its pack's defaults it counts too if those are wrong
        problems += [problem for problem in found if not names or Path(problem.path).name in {*names, PACK}]
    failed = any(p.level is Level.ERROR or (strict and p.level is Level.WARNING) for p in problems)
    if form == "json":
        click.echo(report.as_json(problems, len(files)))
    elif form == "junit":
        click.echo(report.as_junit("rules check", _cases(files, problems, strict=strict)))
    elif form == "github":
        click.echo(report.as_github([replace(problem, path=_from_here(problem.path)) for problem in problems]))
    else:
        where = ", ".join(map(str, paths)) or folders(config)
        click.echo(f"{len(files)} topic{'s are' if len(files) != 1 else ' is'} well in {where}")
        shown = sys.stdout.isatty() if show_source is None else show_source
        if problems:
            click.echo(report.as_text(problems, _line_of if shown else None))
            click.echo(report.summary(problems), err=True)
    if failed:
        sys.exit(1)


def _folders(paths: Sequence[Path], usual: Sequence[Path]) -> dict[tuple[Path, ...], set[str]]:
    """The folders to check, each whole, and of each the files to speak of; of none means all. The usual ones are one set of
    topics; what people name is checked by itself."""
    if not paths:
        return {tuple(usual): set()}
    found: dict[tuple[Path, ...], set[str]] = {}
    for path in paths:
        if path.is_dir():
            found[(path,)] = set()
        elif (folder := (path.parent,)) not in found or found[folder]:
            found.setdefault(folder, set()).add(path.name)
    return found


def _checked(
    config: Config, together: Sequence[Path], archive: Path | None, *, fast: bool
) -> tuple[list[tuple[Topic, Source]], list[Problem]]:
    """The topics of some folders that can be used, and all that is wrong there, file by file."""
    from monitor import vet
    from monitor.rules import lint, read_topics

    files, problems = read_topics(together, sink_names(config))
    topics = [topic for topic, _ in files]
    problems += lint(topics, {topic.id: source for topic, source in files}, config.rules_policy.asked())
    slack = slack_token(config, os.environ) is not None
    problems += vet.by_channels(files, slack=slack, fallback=config.alerts.channel)
    store = open_store_to_read(config)
    problems += vet.by_feeds(files, [state.feed for state in store.feeds()] if store else [])
    if files and not fast:
        if sys.stderr.isatty():
            click.echo("monitor: asking the models; --fast leaves that out", err=True)
        learning, judge = learn(config, topics)
        problems += vet.by_matcher(files, learning, judge.matcher)
        problems += vet.by_archive(files, _past(store, archive), learning.background)
    return files, sorted(
        dict.fromkeys(problems), key=lambda problem: (problem.path, problem.line or 0, problem.column or 0)
    )


def _past(store: Store | None, archive: Path | None) -> list[str]:
    """Texts of past items: of an archive, else of the state."""
    from monitor.archive import read_archive

    if archive is None:
        return store.texts(PAST_ITEMS) if store else []
    items, problems = read_archive(archive, utc_now())
    for problem in problems[:5]:
        click.echo(str(problem), err=True)
    return [f"{item.title}\n{item.text}" for item in items]


def _cases(files: Sequence[tuple[Topic, Source]], problems: Sequence[Problem], *, strict: bool) -> list[Case]:
    """A test case a file: its failures are its errors, and under --strict its warnings."""
    from monitor.report import Case

    of: dict[str, list[Problem]] = {topic.path: [] for topic, _ in files}
    for problem in problems:
        of.setdefault(problem.path, []).append(problem)
    cases = []
    for path, own in sorted(of.items()):
        fatal = [p for p in own if p.level is Level.ERROR or (strict and p.level is Level.WARNING)]
        rest = [p for p in own if p not in fatal]
        cases.append(Case("rules check", _from_here(path), "\n".join(map(str, fatal)), "\n".join(map(str, rest))))
    return cases


def _from_here(path: str) -> str:
    """A path as seen from the current folder, which is where CI servers stand; as it is, if it lies elsewhere."""
    here = Path(path)
    return str(here.relative_to(Path.cwd())) if here.is_relative_to(Path.cwd()) else path


def _line_of(problem: Problem) -> str:
    """The line of a file that a problem is in; empty if there is none."""
    from monitor.toml import read_text

    try:
        lines = read_text(Path(problem.path)).split("\n") if problem.line else []
    except ProblemsError:
        return ""
    return lines[problem.line - 1] if problem.line and problem.line <= len(lines) else ""


@rules.command("show")
@click.argument("topic_id", metavar="ID")
@click.option("--toml/--json", "as_toml", default=True, help="As a topic file [default], or for programs.")
@click.pass_context
@command
def rules_show(context: click.Context, topic_id: str, as_toml: bool) -> None:
    """Show a topic with every default filled in, and where each value stands: in its file, in its pack's, or nowhere."""
    from monitor.rules import PACK, as_data, origins, read_topics
    from monitor.toml import did_you_mean, dotted, dump

    config = read_config(context)
    files, problems = read_topics(config.rules, sink_names(config))
    found = next(((topic, source) for topic, source in files if topic.id == topic_id), None)
    if found is None:
        tell(
            [problem for problem in problems if Path(problem.path).stem == topic_id or Path(problem.path).name == PACK]
        )
        ids = [topic.id for topic, _ in files]
        fail(f"no topic {topic_id!r} in {folders(config)}{did_you_mean(topic_id, ids)}")
    data, stands = as_data(found[0]), origins(*found)
    if as_toml:
        notes = {keys: f"{Path(place[0]).name}:{place[1]}" if place else "default" for keys, place in stands.items()}
        click.echo(f"# {found[0].path}\n{dump(data, notes)}", nl=False)
        return
    where = {dotted(keys): place and {"file": place[0], "line": place[1]} for keys, place in stands.items()
             if isinstance(keys[-1], str)}  # fmt: skip
    click.echo(json.dumps({"id": topic_id, **data, "stands": where}, ensure_ascii=False, indent=2))


@rules.command("schema")
@click.option("--pack", is_flag=True, help="That of _pack.toml, which is deploy/pack.schema.json.")
@command
def rules_schema(pack: bool) -> None:
    """Write the JSON Schema of topic files, for editors: what deploy/topic.schema.json is made from."""
    from monitor.rules import pack_schema, topic_schema

    click.echo(json.dumps(pack_schema() if pack else topic_schema(), ensure_ascii=False, indent=2))


@rules.command("test")
@click.option("--run", "pattern", default="", help="Only topics whose id matches this regular expression.")
@click.pass_context
@command
def rules_test(context: click.Context, pattern: str) -> None:
    """Run the tests inside the topic files; 1 if one fails."""
    import re

    from monitor.rules import load_rules
    from monitor.trial import run_tests, texts_of_tests

    config = read_config(context)
    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise click.UsageError(f"--run: {error}") from error
    topics = [topic for topic in load_rules(config.rules) if wanted.search(topic.id)]
    learning, judge = learn(config, topics)
    trials = list(run_tests(topics, judge, learning.vectors(texts_of_tests(topics))))
    failed = [trial for trial in trials if not trial.passed]
    for trial in failed:
        click.echo(f"{Problem(trial.topic.path, trial.line, f'“{trial.name}”: {trial.because}')}")
    click.echo(f"{len(trials) - len(failed)} passed, {len(failed)} failed")
    if failed:
        sys.exit(1)


@rules.command("feedback")
@click.option("--since", default="30d", show_default=True, metavar="SPAN", help="What people said in the last SPAN.")
@click.option("--topic", default="", metavar="ID", help="Only proposals for this topic.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
@command
def rules_feedback(context: click.Context, since: str, topic: str, as_json: bool) -> None:
    """Make proposals of what people said of alerts by reactions: a negative or an example, its test, and what it would have
    changed in the last 30 days. Changes nothing."""
    from monitor.app import learning_of_state, open_learning
    from monitor.embed import use_all_cores
    from monitor.feedback import proposals, proposed, proposed_data
    from monitor.rules import load_rules
    from monitor.trial import effects

    config, span = read_config(context), read_duration("--since", since)
    topics = {one.id: one for one in load_rules(config.rules) if topic in ("", one.id)}
    store = open_store_to_read(config)
    found = list(proposals(store.feedback_on_alerts(utc_now() - span), topics)) if store else []
    if not store or not found:
        click.echo("[]" if as_json else "monitor: nobody said anything that asks for a change", err=not as_json)
        return
    use_all_cores()
    learning = learning_of_state(config, open_learning(config))
    past = store.ordinary_items(utc_now() - PAST, MOST_OF_THE_PAST, learning.embedder.id)
    past.sort(key=lambda one: one[0].at)
    tried = list(effects(found, past, learning.matcher, learning.embed))
    if as_json:
        click.echo(json.dumps([proposed_data(*one) for one in tried], ensure_ascii=False, indent=2))
    else:
        click.echo("\n\n".join(proposed(*one, SHOWN_CHANGES) for one in tried))
