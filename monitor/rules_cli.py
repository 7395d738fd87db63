"""The commands of rule authors, `monitor rules …`; in the manner of `cli.py`."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, ParamSpec, TextIO, TypeVar

import click
from tabulate import tabulate

from monitor.command import (
    command,
    fail,
    folders,
    learn,
    open_store_to_read,
    progress,
    read_config,
    read_duration,
    tell,
    utc_now,
)
from monitor.config import SHIPPED, Config, is_packaged, sink_names, slack_token
from monitor.errors import Level, Problem, ProblemsError
from monitor.model import Item, Label, Terms, Topic, TopicStatus
from monitor.text import clip

if TYPE_CHECKING:
    from monitor.array_cache import ArrayCache
    from monitor.hindsight import Hindsight, Judged
    from monitor.match import Matcher
    from monitor.report import Case
    from monitor.store import Store
    from monitor.toml import Source

P = ParamSpec("P")
T = TypeVar("T")

#: What a proposal is tried on: so many items of so long, drawn by chance; and how many lines of what it would change are shown.
PAST, MOST_OF_THE_PAST, SHOWN_CHANGES = timedelta(days=30), 20_000, 12
#: Of the state so many items are looked at: enough to tell what stands in one of a thousand, in four seconds.
PAST_ITEMS = 20_000
#: Characters of an item's text that a person is shown.
SHOWN_TEXT = 300


@click.group()
def rules() -> None:
    """The topics: list, show, check, test; their schema; what they would have done, and what reactions ask of them."""


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
@click.option("--format", "form", type=click.Choice(["text", "junit"]), default="text", show_default=True,
              help="For people; for CI servers.")  # fmt: skip
@click.pass_context
@command
def rules_test(context: click.Context, pattern: str, form: str) -> None:
    """Run the tests inside the topic files; 1 if one fails."""
    from monitor.learning import vectors
    from monitor.report import Case, as_junit
    from monitor.rules import load_rules
    from monitor.trial import run_tests, texts_of_tests

    config = read_config(context)
    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise click.UsageError(f"--run: {error}") from error
    topics = [topic for topic in load_rules(config.rules) if wanted.search(topic.id)]
    learning, judge = learn(config, topics)
    trials = list(run_tests(topics, judge, vectors(texts_of_tests(topics), learning, None, progress())))
    failed = [trial for trial in trials if not trial.passed]
    told = {id(one): str(Problem(one.topic.path, one.line, f"“{one.name}”: {one.because}")) for one in failed}
    if form == "junit":
        cases = [Case(one.topic.id, one.name, told.get(id(one), "")) for one in trials]
        click.echo(as_junit("rules test", cases))
    else:
        for line in told.values():
            click.echo(line)
        click.echo(f"{len(trials) - len(failed)} passed, {len(failed)} failed")
    if failed:
        sys.exit(1)


@rules.command("suggest")
@click.option(
    "--since", metavar="SPAN", help="Only the last SPAN before the newest item [default: 30d; of a file, all]."
)
@click.option("--archive", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Look at this file (JSON Lines, gzipped or not) instead of the state's items.")  # fmt: skip
@click.option("--labels", "labels_file", type=click.Path(dir_okay=False, path_type=Path),
              help="What `rules calibrate --label` kept [default: labels.jsonl in the state].")  # fmt: skip
@click.option("--limit", type=click.IntRange(min=1), default=10, show_default=True, help="Lines of each list.")
@click.option("--json", "as_json", is_flag=True, help="For programs; lists are whole.")
@click.pass_context
@command
def rules_suggest(
    context: click.Context, since: str | None, file: Path | None, labels_file: Path | None, limit: int, as_json: bool
) -> None:
    """Say what the topics lack: matters of their subject that none takes, or that deserve a topic of their own; and what would
    have caught what was missed. Items are judged by title and lead."""
    from monitor import suggest as words
    from monitor.archive import read_labels
    from monitor.embed import use_all_cores
    from monitor.hindsight import open_hindsight
    from monitor.rules import load_rules

    config = read_config(context)
    topics = [one for one in load_rules(config.rules) if one.status is not TopicStatus.OFF]
    if not topics:
        fail(f"no topic in {folders(config)} to say what is lacking by; monitor rules new ID makes one")
    labels, broken = read_labels(labels_file or config.state / "labels.jsonl", utc_now())
    for problem in broken:
        click.echo(str(problem), err=True)
    pack, asked = words.subject(topics), [one.id for one in topics]
    use_all_cores()
    with open_hindsight(config, _span(since), _items(file), progress(), _array_cache()) as (hindsight, learn_topics):
        # learnt beside the others it would bear on what they score
        matchers = (learn_topics(topics, asked), learn_topics([pack], [pack.id]))
        looked = [*hindsight.look(matchers[0], asked, 0, 0), *hindsight.look(matchers[1], [pack.id], 0, 0)]
        known = [label for label in labels if label.topic in asked]
        judged = hindsight.judge(matchers[0], [(label.item, label.topic) for label in known])
    background = matchers[0].background
    found = words.uncovered(looked, background)
    within = words.parts(looked, background)
    missing = words.missed(looked, list(zip(known, judged, strict=True)), background)
    if as_json:
        click.echo(json.dumps(words.suggestions_data(found, within, missing), ensure_ascii=False, indent=2))
    else:
        click.echo(words.suggestions_text(found, within, missing, limit))


@rules.command("calibrate")
@click.argument("topic_id", metavar="[ID]", default="")
@click.option("--label", "count", is_flag=False, flag_value=20, type=click.IntRange(min=1), metavar="[COUNT]",
              help="First ask of so many items [20] that come near whether they are on the subject; one key each.")  # fmt: skip
@click.option("--labels", "labels_file", type=click.Path(dir_okay=False, path_type=Path),
              help="Where the answers are kept [default: labels.jsonl in the state].")  # fmt: skip
@click.option("--since", metavar="SPAN", help="Ask of the last SPAN only [default: 30d; of a file, all].")
@click.option("--archive", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Ask of the items of this file (JSON Lines, gzipped or not) instead of the state's.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
@command
def rules_calibrate(
    context: click.Context, topic_id: str, count: int | None, labels_file: Path | None, since: str | None,
    file: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Say how precise topics are, and how much they miss, at several settings of noise: by people's reactions, the tests in the
    files, and what was answered to --label."""
    from monitor import calibrate as words
    from monitor.archive import read_labels
    from monitor.embed import use_all_cores
    from monitor.hindsight import open_hindsight
    from monitor.rules import load_topics

    config = read_config(context)
    every, problems = load_topics(config.rules, sink_names(config))
    topics = {one.id: replace(one, noise=words.loose(one)) for one in every if one.status is not TopicStatus.OFF}
    if topic_id and topic_id not in topics:
        _no_topic(config, topic_id, every, problems)
    if count and not topic_id:
        raise click.UsageError("--label asks of one topic: name it")
    asked = [topic_id] if topic_id else list(topics)
    path = labels_file or config.state / "labels.jsonl"
    labels, broken = read_labels(path, utc_now())
    for problem in broken:
        click.echo(str(problem), err=True)
    if count and not path.parent.is_dir():
        raise click.UsageError(f"{path.parent} is not there to keep the answers in; --labels FILE names a file")
    store = open_store_to_read(config)
    said = store.feedback_on_alerts(datetime.min.replace(tzinfo=UTC)) if store else []
    use_all_cores()
    items = _items(file) if count else []
    with open_hindsight(config, _span(since), items, progress(), _array_cache()) as (hindsight, learn_topics):
        matcher = learn_topics(list(topics.values()), asked)
        if count:
            labels += _labelled(topics[topic_id], labels, hindsight, matcher, path, count)
        known = words.each_once([
            *(label for topic in asked for label in words.labels_of_tests(topics[topic])),
            *words.labels_of_feedback(said), *labels,
        ])  # fmt: skip
        known = [label for label in known if label.topic in asked]
        found = list(zip(known, hindsight.judge(matcher, [(label.item, label.topic) for label in known]), strict=True))
    made = [
        words.calibrate(one, [pair for pair in found if pair[0].topic == one.id]) for one in every if one.id in asked
    ]
    if as_json:
        click.echo(json.dumps([words.calibration_data(one) for one in made], ensure_ascii=False, indent=2))
    else:
        click.echo("\n\n".join(map(words.calibration_text, made)))


def _labelled(
    topic: Topic, known: Sequence[Label], hindsight: Hindsight, matcher: Matcher, path: Path, count: int
) -> Iterator[Label]:
    """Ask of items that come near a topic, and write down each answer at once."""
    from monitor.archive import add_label
    from monitor.calibrate import to_label
    from monitor.model import LabelOrigin

    [looked] = hindsight.look(matcher, [topic.id], 0, 0)
    judged = [label.item.title for label in known if label.topic == topic.id]
    titles = {item.id: item.title for item in hindsight.items(list(looked.scores))}
    drawn = to_label(looked.scores, titles, judged, count)
    click.echo(f"{topic.id} · {topic.title}\n{topic.description}", err=True)
    if not drawn:
        click.echo("monitor: nothing comes near the topic that was not judged already", err=True)
    for number, item in enumerate(hindsight.items(drawn), 1):
        # no score, lest it should be believed
        click.echo(
            f"\n  {number} of {len(drawn)}: {item.title}\n  {item.source} · {clip(item.text, SHOWN_TEXT)}", err=True
        )
        answer = _yes_or_no()
        if answer == "q":
            return
        if answer in ("y", "n"):
            label = Label(topic.id, item, answer == "y", LabelOrigin.LABEL)
            add_label(path, label)
            yield label


def _yes_or_no() -> str:
    """One key of a person at a terminal; of who writes lines, a line."""
    click.echo("  on the subject? y, n, any other key: skip, q: stop  ", err=True, nl=False)
    key = click.getchar().lower() if sys.stdin.isatty() else (sys.stdin.readline() or "q").lower()[:1]
    click.echo(key if key.isprintable() else "", err=True)
    return key


@rules.command("feedback")
@click.option("--since", default="30d", show_default=True, metavar="SPAN", help="What people said in the last SPAN.")
@click.option("--topic", default="", metavar="ID", help="Only proposals for this topic.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
@command
def rules_feedback(context: click.Context, since: str, topic: str, as_json: bool) -> None:
    """Make proposals of what people said of alerts by reactions: a negative or an example, its test, and what it would have
    changed in the last 30 days. Changes nothing."""
    from monitor.embed import use_all_cores
    from monitor.feedback import proposals, proposed, proposed_data
    from monitor.learning import learning_of_state, open_learning
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


@rules.command("new")
@click.argument("topic_id", metavar="ID")
@click.option("--title", default="", help="The topic's name, as analysts read it.")
@click.option("--description", default="", help="A sentence that says what it is about, as news would.")
@click.option("--headline", "headlines", multiple=True, help="A headline that must alert; give four to eight.")
@click.option("--from-url", "url", default="", metavar="URL", help="Begin with this article.")
@click.option("--from-text", "paragraph", type=click.File(encoding="utf-8"), metavar="FILE",
              help="Begin with this paragraph of a report; - reads it from stdin.")  # fmt: skip
@click.option("--owner", default="", help="Whom to ask about it.")
@click.option("--theme", default="", help="What `rules list` groups it by.")
@click.option("--in", "into", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="FOLDER",
              help="The folder to write it to [default: the first of the configuration].")  # fmt: skip
@_over_an_archive
@click.option("--a-day", type=click.FloatRange(min=0, min_open=True), default=5.0, show_default=True,
              help="Put the bar so high that it takes at most so many items a day.")  # fmt: skip
@click.option(
    "--ask/--no-ask", default=None, help="Show what lies near the bar, and ask of each [default: at a terminal]."
)
@click.option("--dry-run", is_flag=True, help="Print the file and write nothing.")
@click.pass_context
@command
def rules_new(
    context: click.Context, topic_id: str, title: str, description: str, headlines: tuple[str, ...], url: str,
    paragraph: TextIO | None, owner: str, theme: str, into: Path | None, since: str | None,
    file: Path | None, whole: int, a_day: float,
    ask: bool | None, dry_run: bool,
) -> None:  # fmt: skip
    """Write the file of a new topic: its noise measured, its negatives and tests from what the archive has."""
    import asyncio

    from monitor.draft import begun, draft, written
    from monitor.embed import use_all_cores
    from monitor.errors import StateError
    from monitor.hindsight import open_hindsight
    from monitor.rules import load_topics, schema_line, with_defaults
    from monitor.seed import Seed, seed_of_page, seed_of_text

    config = read_config(context)
    folder = into or config.rules[0]
    path = folder / f"{topic_id}.toml"
    if not re.fullmatch(r"\w[\w-]*", topic_id):
        raise click.UsageError(f"{topic_id!r} is no topic's id: letters, digits, - and _")
    if is_packaged(path) and not dry_run:
        fail(
            f"{path.parent} belongs to the program, and its next version would take the topic away: make a folder of your own, "
            f'and write rules = ["rules", "{SHIPPED}"] in monitor.toml to keep these beside yours'
        )
    topics, _ = load_topics(config.rules, sink_names(config))
    if there := next((one.path for one in topics if one.id == topic_id), str(path) if path.exists() else ""):
        fail(f"{there} is there already; monitor rules try {topic_id} says what it does")
    seed = Seed()
    if url:
        from monitor.app import read_page

        seed = seed_of_page(asyncio.run(read_page(config, os.environ, url)))
    elif paragraph:
        seed = seed_of_text(paragraph.read())
    at_terminal = sys.stdin.isatty() and paragraph is None
    if at_terminal:
        title = title or click.prompt("Title", default=seed.title or None, err=True)
        description = description or click.prompt(
            "What is it about, in a sentence", default=seed.description or None, err=True
        )
        headlines = headlines or tuple(_asked_headlines(seed.headlines))
    topic = begun(topic_id, seed, title, description, headlines, owner, theme)
    if not (topic.title and topic.description):
        found = "nothing there says what it is about" if url or paragraph else "there is no terminal to ask at"
        raise click.UsageError(f"--title and --description: {found}")
    # judged as its file will be, with what its pack says, which its file need not say again
    own, topic = topic, replace(with_defaults(topic, folder), status=TopicStatus.ACTIVE)
    use_all_cores()
    items, report = _items(file), progress()
    try:
        with open_hindsight(config, _span(since), items, report, _array_cache()) as (hindsight, learn_topics):
            made = draft(
                topic, topics, learn_topics, hindsight, whole, a_day,
                _ask if (at_terminal if ask is None else ask) else None,
            )  # fmt: skip
    except StateError as error:
        if file or items is not None:
            raise
        click.echo(f"monitor: {error}; nothing is measured", err=True)
        with open_hindsight(config, None, [], report, _array_cache()) as (hindsight, learn_topics):
            made = draft(topic, topics, learn_topics, hindsight, 0, a_day, None)
    said = replace(made.topic, theme=own.theme, owner=own.owner, severity=own.severity, status=own.status)
    text = schema_line(folder) + written(replace(made, topic=said))
    if dry_run:
        click.echo(text, nl=False)
        return
    try:
        with path.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror}")
    click.echo(f"{path}\n  noise 1/{made.measured.step}: {made.measured.because}")
    counts = [
        (len(made.topic.examples), "examples"),
        (len(made.topic.negatives), "negatives"),
        (len(made.topic.tests), "tests"),
    ]
    listed = ", ".join(f"{count} {noun}" for count, noun in counts)
    click.echo(f"  {listed}; {len(made.proposed)} look-alikes to decide on, in comments")
    for dropped in made.dropped:
        click.echo(f"  left out, since the topic says otherwise: {dropped}")
    click.echo(f"monitor: next, monitor rules try {topic_id}, and monitor rules check", err=True)


def _asked_headlines(found: Sequence[str]) -> Iterator[str]:
    """Ask for headlines until an empty one."""
    for headline in found:
        click.echo(f"  found: {headline}", err=True)
    number = len(found)
    while headline := click.prompt(
        f"Headline {(number := number + 1)} (none: go on)", default="", show_default=False, err=True
    ):
        yield headline


def _ask(one: Judged, bar: float) -> bool | None:
    """Ask what a near item is; one key."""
    from monitor.explain import one_in

    place = "above" if one.match.score >= bar else "below"
    click.echo(f"\n  {one.item.title}\n  {one.item.source}, 1 in {one_in(one.match.score)}, {place} the bar", err=True)
    return {"y": True, "n": False}.get(_yes_or_no())


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
    topics, problems = load_topics(config.rules, sink_names(config))
    written = next((topic for topic in topics if topic.id == topic_id), None)
    if written is None:
        _no_topic(config, topic_id, topics, problems)
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
    with open_hindsight(config, span, _items(file), report, _array_cache()) as (hindsight, learn_topics):
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
    at_terminal = sys.stdout.isatty()
    room = shutil.get_terminal_size().columns if at_terminal else 0
    click.echo(words.tried_text(tried, limit, colour=at_terminal, room=room))
    if changed:
        click.echo("\nAgainst the file\n" + words.changes_text([changed], limit))
    if page:
        click.echo(f"monitor: written to {page}", err=True)


def _with(topics: Sequence[Topic], version: Topic) -> list[Topic]:
    return [version if topic.id == version.id else topic for topic in topics]


def _array_cache() -> ArrayCache:
    from monitor.array_cache import ArrayCache
    from monitor.recall import meaning
    from monitor.vector_cache import cache_folder

    return ArrayCache(cache_folder(os.environ), meaning())


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


def _no_topic(config: Config, topic_id: str, topics: Sequence[Topic], problems: Sequence[Problem]) -> NoReturn:
    from monitor.toml import did_you_mean

    tell([problem for problem in problems if Path(problem.path).stem == topic_id], err=True)
    fail(f"no topic {topic_id!r} in {folders(config)}{did_you_mean(topic_id, [one.id for one in topics])}")


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
    before, problems = load_topics(against) if against else topics_at(config.rules, revision, now)
    for problem in problems:
        if not problem.warning:
            click.echo(f"{problem} (left out of the comparison)", err=True)
    use_all_cores()
    changes = []
    if differing(before, now):
        with open_hindsight(config, _span(since), _items(file), progress(), _array_cache()) as (
            hindsight,
            learn_topics,
        ):
            changes = compare(before, now, learn_topics, hindsight, whole)
    if as_json:
        click.echo(json.dumps(words.changes_data(changes), ensure_ascii=False, indent=2))
    else:
        click.echo((words.changes_markdown if form == "markdown" else words.changes_text)(changes, limit))
    if exit_code and any(one.items for one in changes):
        sys.exit(1)
