"""The commands of rule authors, `monitor rules …`; in the manner of `cli.py`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import NoReturn, ParamSpec, TypeVar

import click
from tabulate import tabulate

from monitor.command import command, fail, learn, progress, read_config, read_duration, tell, utc_now
from monitor.errors import Problem
from monitor.model import Item, Terms, Topic, TopicStatus

P = ParamSpec("P")
T = TypeVar("T")


@click.group()
def rules() -> None:
    """The topics: list, check, test; what they would have done."""


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


# -- looking back ---------------------------------------------------------------------------------

_ARCHIVE = [
    click.option("--since", metavar="SPAN", help="Only the last SPAN before the newest item [default: 30d; of a file, all]."),
    click.option("--archive", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
                 help="Look at this file (JSON Lines, gzipped or not) instead of the state's items."),
    click.option("--whole", type=click.IntRange(min=0), default=100, show_default=True,
                 help="Of the items that stay below the bar, judge so many nearest ones sentence by sentence, as live."),
]  # fmt: skip


def _over_an_archive(function: Callable[P, T]) -> Callable[P, T]:
    for option in reversed(_ARCHIVE):
        function = option(function)
    return function


@rules.command("try")
@click.argument("topic_id", metavar="ID")
@_over_an_archive
@click.option("--noise", help='Try another bar, e.g. "1/500".')
@click.option("--example", "examples", multiple=True, help="Try a further example; may be repeated.")
@click.option("--negative", "negatives", multiple=True, help="Try a further negative; may be repeated.")
@click.option("--no-terms", is_flag=True, help="Try without the terms.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Lines of each list.")
@click.option("--json", "as_json", is_flag=True, help="For programs; lists are whole.")
@click.option(
    "--html", "page", type=click.Path(dir_okay=False, path_type=Path), help="Write a page to this file as well."
)
@click.pass_context
@command
def rules_try(
    context: click.Context, topic_id: str, since: str | None, file: Path | None, whole: int, noise: str | None,
    examples: tuple[str, ...], negatives: tuple[str, ...], no_terms: bool, limit: int, as_json: bool, page: Path | None,
) -> None:  # fmt: skip
    """Say what a topic would have done in the past: alerts a day, scores, and what stayed silent; the file stays as it is."""
    from monitor import tried as words
    from monitor.embed import use_all_cores
    from monitor.hindsight import change, open_hindsight
    from monitor.rules import load_topics, parse_noise

    config = read_config(context)
    topics, problems = load_topics(config.rules)
    written = next((topic for topic in topics if topic.id == topic_id), None)
    if written is None:
        tell(problems, err=True)
        _no_topic(topic_id, topics)
    if written.status is TopicStatus.OFF:
        written = replace(written, status=TopicStatus.ACTIVE)
    try:
        bar = parse_noise(noise) if noise else written.noise
    except ValueError as error:
        raise click.UsageError(f"--noise: {error}") from error
    played = replace(
        written, noise=bar, terms=Terms() if no_terms else written.terms, examples=(*written.examples, *examples),
        negatives=(*written.negatives, *negatives),
    )  # fmt: skip
    use_all_cores()
    span, report, shown = _span(since), progress(), 1000 if as_json or page else limit
    with open_hindsight(config, span, _items(file), report) as (hindsight, learn_topics):
        versions = [played] if played == written else [played, written]
        looked = [
            one
            for version in versions
            for one in hindsight.look(
                learn_topics(_with(topics, version), [topic_id]), [topic_id], whole, max(limit, whole)
            )
        ]
        tried, *as_written = hindsight.send(looked, shown)
    changed = change(written, played, as_written[0], tried) if as_written else None
    if page:
        page.write_text(words.tried_html(tried, changed), encoding="utf-8")
    if as_json:
        data = {**words.tried_data(tried), "against_file": words.changes_data([changed])[0] if changed else None}
        click.echo(json.dumps(data, ensure_ascii=False, indent=2))
        return
    click.echo(words.tried_text(tried, limit, colour=sys.stdout.isatty()))
    if changed:
        click.echo("\nAgainst the file\n" + words.changes_text([changed], limit))
    if page:
        click.echo(f"monitor: written to {page}", err=True)


def _with(topics: Sequence[Topic], version: Topic) -> list[Topic]:
    return [version if topic.id == version.id else topic for topic in topics]


def _span(since: str | None) -> timedelta | None:
    return read_duration("--since", since) if since else None


def _items(file: Path | None) -> list[Item] | None:
    from monitor.archive import read_archive

    if file is None:
        return None
    items, problems = read_archive(file, utc_now())
    for problem in problems:
        click.echo(str(problem), err=True)
    return items


def _no_topic(topic_id: str, topics: Sequence[Topic]) -> NoReturn:
    from difflib import get_close_matches

    near = get_close_matches(topic_id, [topic.id for topic in topics], 1)
    fail(f"no topic {topic_id!r}" + (f"; do you mean {near[0]}?" if near else ": monitor rules list names them"))


@rules.command("diff")
@click.argument("revision", metavar="[GIT-REV]", default="HEAD")
@click.option(
    "--against",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Compare with this folder of topics instead of a revision.",
)
@_over_an_archive
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Items shown of each topic.")
@click.option("--format", "form", type=click.Choice(["text", "markdown"]), default="text", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="For programs; lists are whole.")
@click.option("--exit-code", is_flag=True, help="End with 1 if other items would have been taken, or told otherwise.")
@click.pass_context
@command
def rules_diff(
    context: click.Context, revision: str, against: Path | None, since: str | None, file: Path | None, whole: int,
    limit: int, form: str, as_json: bool, exit_code: bool,
) -> None:  # fmt: skip
    """Say what a change of the topic files would have added and removed in the past, story by story: now against GIT-REV
    [default: HEAD]."""
    from monitor import tried as words
    from monitor.embed import use_all_cores
    from monitor.hindsight import compare, differing, open_hindsight
    from monitor.revision import topics_at
    from monitor.rules import load_rules, load_topics

    config = read_config(context)
    now = load_rules(config.rules)
    before, problems = load_topics(against) if against else topics_at(config.rules, revision)
    for problem in problems:
        if not problem.warning:
            click.echo(f"{problem} (left out of the comparison)", err=True)
    use_all_cores()
    changes = []
    if differing(before, now):
        with open_hindsight(config, _span(since), _items(file), progress()) as (hindsight, learn_topics):
            changes = compare(before, now, learn_topics, hindsight, whole)
    if as_json:
        click.echo(json.dumps(words.changes_data(changes), ensure_ascii=False, indent=2))
    else:
        click.echo((words.changes_markdown if form == "markdown" else words.changes_text)(changes, limit))
    if exit_code and any(one.items for one in changes):
        sys.exit(1)
