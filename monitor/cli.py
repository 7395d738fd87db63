"""The commands. Data on stdout, talk on stderr; exit codes as in the table below. What a command needs is imported when it
runs, so that the quick ones are quick.

    0 well · 1 failed, or found something · 2 usage · 69 a needed service is unavailable (database, model)
    75 another instance runs · 78 bad configuration; of `doctor`: 1 warnings, 3 something is critical
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
import os
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from tabulate import tabulate

from monitor import __version__
from monitor.command import (
    command,
    embed_text,
    fail,
    folders,
    iso,
    learn,
    nothing_yet,
    open_store,
    open_store_to_read,
    read_config,
    read_duration,
    short,
    tell,
    utc_now,
)
from monitor.config import SHIPPED, Config, find, load, shipped, sink_names
from monitor.errors import ConfigError, Problem, RulingError
from monitor.log import set_up as set_up_log
from monitor.model import SOURCE_KINDS, DeliveryState, Feed, FeedState
from monitor.rules_cli import rules

if TYPE_CHECKING:
    from monitor.audit import Swept
    from monitor.digest import Schedule
    from monitor.learning import Learning
    from monitor.model import EmbeddedItem, Explained, Item, Ruling, Silence, Timeline
    from monitor.store import Store
    from monitor.stories import Openness
    from monitor.survey import Surveyed

CRITICAL = 3
NO_FEEDS = f"no feeds yet: monitor feeds import {SHIPPED}"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="monitor")
@click.option(
    "--config", "config_file", type=click.Path(path_type=Path),
    help="The configuration file [default: $MONITOR_CONFIG, ./monitor.toml, /etc/news-monitor/monitor.toml, or none].",
)  # fmt: skip
@click.pass_context
def main(context: click.Context, config_file: Path | None) -> None:
    """Watch news feeds and tell analysts, once per story, what their topics call for."""
    context.obj = config_file


main.add_command(rules)


# -- the daemon -----------------------------------------------------------------------------------


@main.command()
@click.pass_context
@command
def run(context: click.Context) -> None:
    """Run the daemon: poll, match, alert, until stopped. SIGHUP reads the rules, Slack's tokens and
    log.level again, SIGUSR1 logs what is being done."""
    from monitor import daemon
    from monitor.app import open_monitor

    config = read_config(context)
    _say_where_alerts_go(config)

    opened = functools.partial(open_monitor, config, os.environ, sys.stdout, colour=sys.stdout.isatty())

    serving = daemon.serve(
        lambda probes, progress: opened(probes=probes, progress=progress),
        os.environ,
        lambda: load(context.find_root().obj, os.environ),
    )
    asyncio.run(serving)
    # all is written and closed; a thread that is still at a model would keep us for seconds
    sys.stdout.flush()
    os._exit(0)


@main.command()
@click.option("--all", "every", is_flag=True, help="Poll every feed, also those that are not due.")
@click.option(
    "--backfill",
    metavar="SPAN",
    help="First judge again what was seen within SPAN (2d, 12h) and told nobody: a topic may be new, or changed.",
)
@click.pass_context
@command
def once(context: click.Context, every: bool, backfill: str | None) -> None:
    """Poll the feeds that are due, deliver what waits, let go of what is too old, and exit: 1 if an alert could not be
    delivered."""
    from monitor.app import open_monitor
    from monitor.store import Store

    config = read_config(context)
    span = read_duration("--backfill", backfill) if backfill else None
    _say_where_alerts_go(config)

    async def work() -> dict[str, int]:
        async with open_monitor(config, os.environ, sys.stdout, colour=sys.stdout.isatty()) as monitor:
            if span:
                told = await monitor.backfill(span)
                click.echo(f"monitor: backfill: {told} item{'s' * (told != 1)} to tell of", err=True)
            await monitor.poll_all(only_due=not every)
            await monitor.deliver()
            await monitor.tidy()
            return await monitor.ask(Store.undelivered)

    waiting = asyncio.run(work())
    if waiting:
        told = ", ".join(f"{n} {state}" for state, n in waiting.items())
        click.echo(f"monitor: not everything is delivered: {told}", err=True)
        sys.exit(1)


def _say_where_alerts_go(config: Config) -> None:
    from monitor.config import slack_token

    if slack_token(config, os.environ) is None:
        which = "alerts that name no [[sink]]" if config.sink else "alerts"
        click.echo(
            f"monitor: no Slack token: {which} go to this terminal (docs/slack.md says how to change that)", err=True
        )


@main.command()
@click.option("--state", type=click.Path(path_type=Path), default=Path("state/demo"), show_default=True,
              help="Where the demo keeps its state; what an earlier demo left there is removed.")  # fmt: skip
@click.option("--serve", is_flag=True, help="Only serve the sample feeds, for a monitor in another terminal.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="Of the feed server; 0: any."
)
@command
def demo(state: Path, serve: bool, port: int) -> None:
    """Run the monitor on its sample feeds, served on this machine, and show what an analyst would get."""
    from monitor import demo as show
    from monitor.embed import use_all_cores

    set_up_log("warning", "text")
    use_all_cores()
    if serve:
        show.serve(state, port)
    else:
        asyncio.run(show.run(state, port, sys.stdout))


# -- asking ---------------------------------------------------------------------------------------


@main.command()
@click.pass_context
@command
def check(context: click.Context) -> None:
    """Check the configuration, the topic files and the feed list: 78 for the first, 1 for the others."""
    from monitor.config import channel_problems, digest_problems, slack_app_token, slack_token
    from monitor.rules import check_topics

    file = find(context.find_root().obj, os.environ)
    config = read_config(context)
    click.echo(f"configuration: {file or 'defaults (no file)'}")
    topics, problems = check_topics(config.rules, sink_names(config), config.rules_policy.asked())
    click.echo(f"topics: {len(topics)} in {folders(config)}")
    if slack_token(config, os.environ) is not None and (unclear := channel_problems(config, topics)):
        raise ConfigError(unclear)
    slack_app_token(config, os.environ)  # without it the daemon only says so
    state = open_store_to_read(config)
    feeds = state.feeds() if state else []
    click.echo(f"feeds: {len(feeds)}" + ("" if feeds else f" (add some: monitor feeds import {SHIPPED})"))
    tell([*problems, *digest_problems(config, topics)])
    if not topics:
        click.echo(f"monitor: no topic in {folders(config)}: nothing would ever alert", err=True)
        sys.exit(1)


@main.command()
@click.argument("item", required=False)
@click.argument("other", required=False)
@click.option("--text", help="Explain this text instead of an item that was seen.")
@click.option("--title", default="", help="The headline over --text.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
@command
def explain(
    context: click.Context, item: str | None, other: str | None, text: str | None, title: str, as_json: bool
) -> None:
    """Say why an ITEM (its id, the beginning of it, or its link), or any text, alerted or not; with an OTHER item, why the
    two are one story or not."""
    from monitor import explain as words
    from monitor.rules import load_topics
    from monitor.toml import format_duration

    if (item is None) == (text is None):
        raise click.UsageError("give an item's id or link, or --text")
    config = read_config(context)
    if text is not None:
        learning, judge = learn(config)
        embedded = embed_text(learning, title, text)
        matches = judge.matcher.judge(embedded, every=True)
        places = {topic.id: topic.place for topic in judge.matcher.topics.values()}
        click.echo(json.dumps(words.as_data(matches, places), ensure_ascii=False, indent=2) if as_json
                   else words.explain_text(embedded.item.title, matches, places))  # fmt: skip
        return
    store = open_store_to_read(config)
    known = store.explain(item or "") if store else None
    if store and known is None and _is_let_go(store, item or ""):
        fail(f"{item}: let go: nobody was told of it in {format_duration(config.retention.items)} (retention.items)")
    if store is None or known is None:
        fail(f"no item {item!r} was seen; for any text at all: monitor explain --text …")
    if other is not None:
        _explain_pair(config, store, known, other, as_json)
        return
    places = {topic.id: topic.place for topic in load_topics(config.rules)[0]}
    click.echo(
        json.dumps(words.explained_data(known, places), ensure_ascii=False, indent=2) if as_json
        else words.explain(known, _schedule(config).next(utc_now()), places)
    )  # fmt: skip


def _is_let_go(store: Store, name: str) -> bool:
    """Whether an item was let go that has this id, or its beginning, or this link, on one of the feeds of the list."""
    from monitor.text import canonical_link, is_web, item_id, link_identity

    if not is_web(name):
        return store.was_let_go(name)
    link = canonical_link(name)
    identities = (link_identity(link), link)
    return bool(store.are_let_go([item_id(s.feed.url, one) for s in store.feeds() for one in identities]))


def _explain_pair(config: Config, store: Store, one: Explained, name: str, as_json: bool) -> None:
    from monitor import explain as words

    other, timeline = store.explain(name), store.timeline(one.story.id)
    if other is None or timeline is None:
        fail(f"no item {name!r} was seen")
    if other.item.id == one.item.id:
        fail(f"{name!r} is that same item, “{one.item.title}”")
    learning, judge = learn(config)
    compared = judge.compare(*(_embedded(store, learning, known.item) for known in (one, other)))
    click.echo(
        json.dumps(words.pair_data(one, other, timeline, compared), ensure_ascii=False, indent=2) if as_json
        else words.explain_pair(one, other, timeline, compared)
    )  # fmt: skip


def _embedded(store: Store, learning: Learning, item: Item) -> EmbeddedItem:
    """An item as its story sees it; what no model saw yet, or another, is embedded."""
    return store.embedded(item.id, learning.embedder.id) or learning.embed_gists([item])[0]


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--metrics", "as_metrics", is_flag=True, help="For a scraper: OpenMetrics text.")
@click.pass_context
@command
def status(context: click.Context, as_json: bool, as_metrics: bool) -> None:
    """Show feeds, items, stories and the outbox; 1 if an alert is stuck, or the monitor cannot work."""
    from monitor.database import is_at_work, trouble
    from monitor.deliveries import blocked, blocked_data
    from monitor.health import conditions
    from monitor.watch import REFUSED

    config = read_config(context)
    store = open_store_to_read(config)
    if as_metrics:
        click.echo(_metrics(store, config), nl=False)
        return
    totals = store.totals() if store else {}
    outbox = store.outbox_counts() if store else {}
    held = store.held_counts() if store else {}
    feeds = store.feeds() if store else []
    failing = [state for state in feeds if state.last_error]
    ailing = [(state, found) for state in feeds if (found := conditions(state, utc_now()))]
    outage = store.outage() if store else None
    kept_from_work = trouble(config.state)
    canary = store.flight() if store else None
    link = store.link() if store and is_at_work(config.state) else None
    blockages = store.blockages() if store else []
    refused = store.fact(REFUSED).splitlines() if store else []
    stuck = outbox.get(DeliveryState.BLOCKED, 0) + outbox.get(DeliveryState.DEAD, 0)
    if as_json:
        data = {
            "totals": totals, "outbox": outbox, "held": held, "verdicts": store.verdict_counts() if store else {},
            "failing": [{"feed": s.feed.url, "cause": s.last_error, "failures": s.failures} for s in failing],
            "conditions": [
                {"feed": s.feed.url, "condition": condition, "because": because}
                for s, found in ailing for condition, because in found.items()
            ],
            "outage": iso(outage.since) if outage else None,
            "blocked": [blocked_data(one) for one in blockages],
            "model": store.fact("model") if store else "",
            "trouble": kept_from_work,
            "canary": str(canary) if canary else None,
            "buttons": str(link) if link else None,
            "rules_refused": refused,
        }  # fmt: skip
        click.echo(json.dumps(data, ensure_ascii=False, indent=2))
    elif store is None:
        click.echo(nothing_yet(config))
    else:
        rows = [*totals.items(), *((f"outbox: {state}", n) for state, n in outbox.items()),
                *((f"held: {reason}", n) for reason, n in held.items())]  # fmt: skip
        click.echo(tabulate(rows, tablefmt="plain"))
        if canary:
            click.echo(f"\nthe canary {canary}")
        if link:
            click.echo(f"\nbuttons: {link}")
        if outage:
            click.echo(f"\noutage of our own network since {short(outage.since)} UTC: no feed is charged for it")
        if refused:
            click.echo("\ntopic files are wrong: the topics that were in force stay in force until they are mended")
            click.echo("\n".join(f"  {line}" for line in refused))
        if blockages:
            click.echo("\nblocked until somebody acts")
            click.echo("\n".join(f"  {blocked(one)}" for one in blockages))
        if ailing:
            click.echo(f"\n{len(ailing)} feeds want a look")
            findings = [(s.feed.name[:40], c, because) for s, found in ailing for c, because in found.items()]
            click.echo(tabulate(findings, ["feed", "condition", "because"], "simple"))
        if failing:
            click.echo(f"\n{len(failing)} feeds failing")
            click.echo(_feed_table(failing))
    if stuck:
        click.echo(f"monitor: {stuck} alerts are stuck", err=True)
    if kept_from_work:
        click.echo(f"monitor: {kept_from_work}", err=True)
    if stuck or kept_from_work:
        sys.exit(1)


@main.command()
@click.option("--since", default="48h", show_default=True, metavar="SPAN", help="How far back to look.")
@click.option("--channel", default="", metavar="C", help="Only this channel [default: all that were told of anything].")
@click.option("--repair", is_flag=True, help="Adopt what is unknown to us, and delete what stands twice.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
@command
def audit(context: click.Context, since: str, channel: str, repair: bool, as_json: bool) -> None:
    """Compare the outbox with what stands in the channels; 1 if they disagree. The daemon may run meanwhile, and does the same
    once an hour, repairs included."""
    from monitor.beside import audit_channels

    config, span = read_config(context), read_duration("--since", since)
    if not open_store_to_read(config):
        fail(nothing_yet(config))
    swept = asyncio.run(audit_channels(config, os.environ, span, channel, repair=repair))
    if swept is None:
        fail("no Slack token, and so no channel to read back: what the terminal shows stands in transcript.jsonl")
    left = [(one, f) for one in swept for f in one.compared.findings if f not in one.mended]
    if as_json:
        data = [
            {
                "channel": one.compared.channel, "due": one.compared.due, "sent": one.compared.sent, "problem": one.problem,
                "findings": [
                    {"kind": f.kind, "delivery": f.delivery, "because": f.because, "mended": f in one.mended}
                    for f in one.compared.findings
                ],
            }
            for one in swept
        ]  # fmt: skip
        click.echo(json.dumps(data, ensure_ascii=False, indent=2))
    else:
        _show_audit(swept)
    if left or any(one.problem for one in swept):
        sys.exit(1)


def _show_audit(swept: Sequence[Swept]) -> None:
    from monitor.sweep import FindingKind

    rows = [
        (one.compared.channel, one.compared.due, one.compared.sent, *map(one.compared.count, FindingKind), one.problem)
        for one in swept
    ]
    click.echo(tabulate(rows, ["channel", "due", "sent", *FindingKind, ""], "simple"))
    found = [
        (one.compared.channel, f.kind, f.delivery, f.because + (" (mended)" if f in one.mended else ""))
        for one in swept for f in one.compared.findings
    ]  # fmt: skip
    if found:
        click.echo("\n" + tabulate(found, ["channel", "finding", "delivery", "because"], "simple"))


@main.command()
@click.option("--deep", is_flag=True, help="Load the models too, which takes seconds.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
@command
def doctor(context: click.Context, deep: bool, as_json: bool) -> None:
    """Say what is wrong and what to do, the most urgent first: 1 for warnings, 3 if anything is critical."""
    from monitor.consult import see
    from monitor.doctor import Urgency, as_data, examine, told, worst

    findings = examine(see(context.find_root().obj, os.environ, utc_now(), deep=deep))
    click.echo(json.dumps(as_data(findings), ensure_ascii=False, indent=2) if as_json else told(findings))
    sys.exit({Urgency.CRITICAL: CRITICAL, Urgency.WARNING: 1}.get(worst(findings), 0))


@main.command()
@click.argument("target", metavar="FILE|FOLDER/")
@click.option(
    "--keep", type=click.IntRange(1), default=7, show_default=True, help="In a FOLDER: so many of the newest stay."
)
@click.pass_context
@command
def backup(context: click.Context, target: str, keep: int) -> None:
    """Copy the database to a new FILE, or into a FOLDER under the time, and look through the copy. The daemon may run."""
    from monitor.backup import back_up

    config, place = read_config(context), Path(target)
    if target.endswith("/") and not place.exists():
        place.mkdir(mode=0o700)
    file = back_up(config.state, place, keep, utc_now())
    click.echo(f"{file}: {file.stat().st_size / 1e6:.1f} MB, whole")


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_context
@command
def restore(context: click.Context, file: Path) -> None:
    """Put the backup FILE in the place of the database, which is kept beside it. The daemon must be stopped."""
    from monitor.backup import restore

    config = read_config(context)
    aside = restore(config.state, file, utc_now())
    click.echo(f"{config.state}: holds {file} now" + (f"; the database of before is {aside.name}" if aside else ""))
    click.echo("before its first alert the monitor reads back what its channels were told since", err=True)


@main.command("test-alert")
@click.argument("channel")
@click.pass_context
@command
def test_alert(context: click.Context, channel: str) -> None:
    """Send one message, marked as a test, to a CHANNEL (its ID) the way of every alert, and read it back; 1 if that fails, with
    what to do about it. The daemon may run meanwhile."""
    from monitor.beside import try_channel
    from monitor.text import sink_of

    config = read_config(context)
    _say_where_alerts_go(config)
    problems = asyncio.run(try_channel(config, os.environ, channel, sys.stdout, lambda: asyncio.sleep(0.5)))
    tell(problems)
    click.echo(f"{channel}: posted" + ("" if sink_of(channel) else ", and read back"))


def _metrics(store: Store | None, config: Config) -> str:
    from monitor.database import is_at_work
    from monitor.metrics import metrics
    from monitor.model import Numbers

    now = utc_now()
    if store is None:
        return metrics(
            Numbers(
                feeds=[], outbox={}, blockages=[], outage=False, at=now, stories=0, verdicts={}, held={}, canary=None, link=None
            )
        )  # fmt: skip
    numbers = store.numbers(now)
    return metrics(numbers if is_at_work(config.state) else replace(numbers, link=None))


@main.command()
@click.argument("items", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--rules", "folder", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="The folder of topics [default: the configuration's].")  # fmt: skip
@click.option("--stories", type=click.Choice(["all", "matched", "none"]), default="matched", show_default=True,
              help="Which items are put in stories.")  # fmt: skip
@click.option("--scores", is_flag=True, help="Print every topic's score for every item.")
@click.option("--background", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Ordinary items, in the same form, to learn from what is rare.")  # fmt: skip
@click.pass_context
@command
def replay(
    context: click.Context, items: Path, folder: Path | None, stories: Literal["all", "matched", "none"],
    scores: bool, background: Path | None,
) -> None:  # fmt: skip
    """Put an archive (JSON Lines, gzipped or not) through the same steps; print a JSON line an item. Sends nothing."""
    from monitor.app import open_judge
    from monitor.archive import read_archive
    from monitor.embed import use_all_cores
    from monitor.learning import now, open_learning
    from monitor.replay import replay as replayed
    from monitor.rules import load_rules

    config = read_config(context)
    use_all_cores()
    topics = load_rules(folder or config.rules)
    archive, problems = read_archive(items, now())
    learning = open_learning(config, background)
    judge = open_judge(config, learning, topics)
    for number, done in enumerate(replayed(archive, learning, judge, stories, with_scores=scores), 1):
        sys.stdout.write(json.dumps(done.row(with_scores=scores), ensure_ascii=False) + "\n")
        if sys.stderr.isatty() and (number % 100 == 0 or number == len(archive)):
            click.echo(f"\r{number} of {len(archive)}", err=True, nl=number == len(archive))
    for problem in problems:
        click.echo(f"monitor: {problem}", err=True)
    if problems:
        click.echo(f"monitor: {len(problems)} lines skipped", err=True)
        sys.exit(1)


# -- stories --------------------------------------------------------------------------------------


@main.group()
def stories() -> None:
    """The stories: list, show, and correct by hand."""


@stories.command("list")
@click.option("--since", metavar="SPAN", help="Only stories with an item of the last SPAN (3d, 12h).")
@click.option("--topic", default="", metavar="ID", help="Only stories of which this topic took an item.")
@click.option("--open", "only_open", is_flag=True, help="Only stories that still take items.")
@click.option("--min-sources", type=click.IntRange(0), default=0, metavar="N",
              help="Only stories with so many independent sources.")  # fmt: skip
@click.option("--all", "every", is_flag=True, help="Also stories of which no topic took an item.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="So many at most.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
@command
def stories_list(
    context: click.Context, since: str | None, topic: str, only_open: bool, min_sources: int, every: bool, limit: int,
    as_json: bool,
) -> None:  # fmt: skip
    """List the stories of which a topic took an item, latest first. Times are in UTC."""
    from monitor.stories import listed, listed_data

    config = read_config(context)
    begin = utc_now() - read_duration("--since", since) if since else None
    store = open_store_to_read(config)
    openness = _openness(config, store) if store else None
    found: Iterator[Timeline] = iter(())
    if store and openness:
        found = (
            timeline for timeline in store.timelines(since=begin, topic=topic, every=every)
            if len(timeline.story.independent) >= min_sources and (not only_open or openness.is_open(timeline))
        )  # fmt: skip
    chosen = [(timeline, openness) for timeline in itertools.islice(found, limit) if openness]
    if as_json:
        click.echo(json.dumps([listed_data(*one) for one in chosen], ensure_ascii=False, indent=2))
    elif chosen:
        click.echo("\n\n".join(listed(*one) for one in chosen))
    else:
        click.echo(f"monitor: {'no such story' if store else nothing_yet(config)}", err=True)
    if next(found, None):
        click.echo(f"monitor: these are the latest {limit}; more: --limit", err=True)


@stories.command("show")
@click.argument("name", metavar="STORY|ITEM")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
@command
def stories_show(context: click.Context, name: str, as_json: bool) -> None:
    """Show a STORY (its id, or the id or link of an ITEM in it): who tells it, who was told, and what stands in it and why."""
    from monitor.stories import shown, shown_data

    config = read_config(context)
    store = _open_store_with_stories(config)
    story = _the_story(store, name)
    timeline, openness = store.timeline(story), _openness(config, store)
    if timeline is None or openness is None:
        raise RulingError(f"no story {name!r} any more")
    known = (timeline, openness, store.deliveries_of([story]), store.rulings_on(story))
    click.echo(json.dumps(shown_data(*known), ensure_ascii=False, indent=2) if as_json else shown(*known))


@stories.command("merge")
@click.argument("names", nargs=-1, required=True, metavar="STORY STORY...")
@click.pass_context
@command
def stories_merge(context: click.Context, names: tuple[str, ...]) -> None:
    """Make stories one: the first one named. Their roots become its updates; a channel that knows several of them goes on in
    the oldest thread. The daemon may run meanwhile."""
    from monitor.rulings import merge

    if len(names) < 2:
        raise click.UsageError("name two stories or more")
    store = _open_store_with_stories(read_config(context))
    found = [_the_story(store, name) for name in names]
    ruling = store.rule(found, lambda timelines, deliveries: merge(timelines, deliveries, _author()), utc_now())
    click.echo(f"{' and '.join(ruling.stories)} are one story now: {ruling.story} ({_moved(ruling)})")


@stories.command("split")
@click.argument("names", nargs=-1, required=True, metavar="ITEM...")
@click.option("--alone", is_flag=True, help="Leave the copies of these items where they are.")
@click.pass_context
@command
def stories_split(context: click.Context, names: tuple[str, ...], alone: bool) -> None:
    """Take ITEMs, and their copies, out of their story into one of their own. An alert that opened a thread goes with its
    item; what was replied stays where it stands. The daemon may run meanwhile."""
    from monitor.rulings import split

    store = _open_store_with_stories(read_config(context))
    found = dict(_the_item(store, name) for name in names)
    if len(set(found.values())) > 1:
        raise RulingError(
            f"they stand in several stories, {', '.join(sorted(set(found.values())))}: split one at a time"
        )
    story, now = next(iter(found.values())), utc_now()
    ruling = store.rule(
        [story],
        lambda timelines, deliveries: split(timelines[0], list(found), deliveries, _author(), now, alone=alone),
        now,
    )
    click.echo(f"{_moved(ruling)} from {story} to a story of their own: {ruling.story}")


def _moved(ruling: Ruling) -> str:
    return f"{len(ruling.items)} item{'s' * (len(ruling.items) != 1)} moved"


def _the_story(store: Store, name: str) -> str:
    return _the_one("story", name, store.stories_named(name))


def _the_item(store: Store, name: str) -> tuple[str, str]:
    """An item and its story."""
    found = store.items_named(name)
    item = _the_one("item", name, list(found))
    return item, found[item]


def _the_one(what: str, name: str, found: Sequence[str]) -> str:
    if not found:
        ids = "monitor stories list shows the ids of stories, monitor stories show those of their items"
        raise RulingError(f"no {what} {name!r}: {ids}")
    if len(found) > 1:
        raise RulingError(f"{name!r} may mean {' or '.join(found)}: name the {what} by its whole id")
    return found[0]


def _openness(config: Config, store: Store) -> Openness | None:
    """What says which stories are open; None if nothing was ever seen."""
    from monitor.rules import load_topics
    from monitor.stories import Openness

    newest, (topics, _) = store.newest(), load_topics(config.rules)
    windows = {topic.id: topic.story.window for topic in topics if topic.story.window}
    return Openness(newest, config.alerts.story_window, windows) if newest else None


def _open_store_with_stories(config: Config) -> Store:
    store = open_store_to_read(config)
    if store is None:
        raise RulingError(nothing_yet(config))
    return store


def _author() -> str:
    """Who types this, as far as the environment says."""
    return os.environ.get("USER") or os.environ.get("LOGNAME") or "unknown"


# -- silences and digests -------------------------------------------------------------------------


@main.group()
def silence() -> None:
    """Silences: hold alerts of something for a while. What they hold is told by the channel's next digest."""


@silence.command("add")
@click.option("--topic", default="", metavar="ID", help="Alerts of this topic; what another topic wants too goes out.")
@click.option(
    "--story", "story_name", default="", metavar="STORY", help="Alerts of this story: its id, or an item's of it."
)
@click.option("--source", default="", metavar="TITLE", help="Alerts of this feed's items: its title on the list.")
@click.option("--channel", default="", help="Alerts to this channel.")
@click.option("--words", multiple=True, metavar="TERM",
              help="Alerts with this word, phrase or prefix* in the headline; given twice, both must be there.")  # fmt: skip
@click.option("--for", "span", metavar="SPAN", help="For so long (2h, 3d).")
@click.option("--until", metavar="TIME", help='Until then, in the zone alerts.timezone ("18:00", "2024-11-05 08:00").')
@click.option("--comment", default="", help="Why; shown to whoever wonders.")
@click.option("--author", default="", help="Who [default: $USER].")
@click.pass_context
@command
def silence_add(
    context: click.Context, topic: str, story_name: str, source: str, channel: str, words: tuple[str, ...],
    span: str | None, until: str | None, comment: str, author: str,
) -> None:  # fmt: skip
    """Hold alerts for which all that is named holds. The daemon heeds it at its next delivery."""
    from monitor.model import Silence

    if not (topic or story_name or source or channel or words):
        raise click.UsageError("say what to silence: --topic, --story, --source, --channel or --words")
    if (span is None) == (until is None):
        raise click.UsageError("say for how long: --for SPAN, or --until TIME")
    config = read_config(context)
    now = utc_now()
    end = now + read_duration("--for", span) if span else _moment(until or "", config, now)
    if end <= now:
        raise click.UsageError(f"--until: {short(end)} UTC is over")
    store = open_store(config)
    topic, source, channel = _known(config, store, topic, source, channel)
    one = Silence(
        end, author or _author(), comment, now, topic, _the_story(store, story_name) if story_name else "", source, channel,
        tuple(word.strip() for word in words),
    )  # fmt: skip
    click.echo(f"silence {store.add_silence(one)} holds {_silenced(one)} until {short(end)} UTC")


@silence.command("list")
@click.option("--all", "every", is_flag=True, help="Also those that are over.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
@command
def silence_list(context: click.Context, every: bool, as_json: bool) -> None:
    """List the silences in force. Times are in UTC."""
    store = open_store_to_read(read_config(context))
    found = store.silences(None if every else utc_now()) if store else []
    if as_json:
        data = [
            {**asdict(s), "until": iso(s.until), "created": iso(s.created), "removed": iso(s.removed)} for s in found
        ]
        click.echo(json.dumps(data, ensure_ascii=False, indent=2))
    elif found:
        rows = [
            (
                s.id,
                _silenced(s),
                short(s.until),
                s.author,
                s.comment,
                f"removed {short(s.removed)}" if s.removed else "",
            )
            for s in found
        ]
        click.echo(tabulate(rows, ["", "holds", "until", "author", "comment", ""], "simple"))
    else:
        click.echo("monitor: nothing is silenced", err=True)


@silence.command("remove")
@click.argument("number", type=int)
@click.pass_context
@command
def silence_remove(context: click.Context, number: int) -> None:
    """End a silence, by its number, before its time. What it held is told by the channel's next digest."""
    store = open_store_to_read(read_config(context))
    if store is None or not store.remove_silence(number, utc_now()):
        fail(f"no silence {number} is in force: monitor silence list shows those that are")
    click.echo(f"silence {number} is over; what it held is told by the next digest")


def _silenced(one: Silence) -> str:
    named = {"topic": one.topic, "story": one.story, "source": one.source, "channel": one.channel}
    parts = [f"{name} {value}" for name, value in named.items() if value]
    return ", ".join(parts + [f"“{word}”" for word in one.words])


def _known(config: Config, store: Store, topic: str, source: str, channel: str) -> tuple[str, str, str]:
    """The same as they are written elsewhere; what no alert could ever match is refused: it would silence nothing."""
    from monitor.learning import TERMINAL_CHANNEL
    from monitor.rules import load_topics

    topics, _ = load_topics(config.rules)
    channels = {config.alerts.channel or TERMINAL_CHANNEL, *(t.notify.channel for t in topics if t.notify.channel)}
    return (
        _as_known("--topic", topic, [one.id for one in topics]),
        _as_known("--source", source, [state.feed.name for state in store.feeds()]),
        _as_known("--channel", channel, channels),
    )


def _as_known(option: str, value: str, known: Collection[str]) -> str:
    import difflib

    folded = {name.casefold(): name for name in known}
    if not value or value.casefold() in folded:
        return folded[value.casefold()] if value else ""
    near = difflib.get_close_matches(value.casefold(), folded, 1)
    meant = f"did you mean {folded[near[0]]!r}?" if near else f"known are: {', '.join(sorted(known)[:10]) or 'none'}"
    raise click.UsageError(f"{option}: {value!r} is not known; {meant}")


def _moment(text: str, config: Config, now: datetime) -> datetime:
    """Read a time of day, the next one, or a date with it, in the configuration's zone."""
    from zoneinfo import ZoneInfo

    zone = ZoneInfo(config.alerts.timezone)
    local = now.astimezone(zone)
    try:
        if len(text) == len("18:00"):
            at = datetime.combine(local.date(), time.fromisoformat(text), zone)
            return (at if at > local else datetime.combine(at.date() + timedelta(days=1), at.time(), zone)).astimezone(
                UTC
            )
        at = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f'--until: {text!r} is not a time; write "18:00" or "2024-11-05 08:00"') from None
    return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)


@main.command()
@click.option("--now", "at_once", is_flag=True, help="Make them now; the daemon sends them, or else `monitor once`.")
@click.option("--channel", default="", help="Only this channel's.")
@click.option("--weekly", is_flag=True, help="Of the last seven days, with all that was told.")
@click.option("--dry-run", is_flag=True, help="Only show them, which is what happens without --now too.")
@click.pass_context
@command
def digest(context: click.Context, at_once: bool, channel: str, weekly: bool, dry_run: bool) -> None:
    """Show what digests would tell now, or make them: what is held, and the last day in counts."""
    from monitor.digest import Period, compose, render_digest
    from monitor.model import DigestKind
    from monitor.pipeline import rises, tell_digest
    from monitor.rules import load_topics

    config = read_config(context)
    store = open_store_to_read(config)
    if store is None:
        fail(nothing_yet(config))
    now = utc_now()
    kind, days = (DigestKind.WEEKLY, 7) if weekly else (DigestKind.DAILY, 1)
    period = Period(kind, now - timedelta(days=days), now)
    topics = {topic.id: topic for topic in load_topics(config.rules)[0]}
    rising = rises(store, topics, period)
    made = 0
    for one in store.channels(period.since):
        if channel not in ("", one):
            continue
        if at_once and not dry_run:
            told = tell_digest(store, topics, one, period, rising, now)
            made += told is not None
            click.echo(f"queued for {one}: {len(told.lines)} stories" if told else f"nothing to tell in {one}")
        elif composed := compose(one, period, store.matter(one, period.since, now), topics, rising):
            made += 1
            click.echo(f"{one}\n{render_digest(composed).terminal}\n")
    if not made:
        click.echo("monitor: nothing to tell" + (f" in {channel}" if channel else ""), err=True)


def _schedule(config: Config) -> Schedule:
    from monitor.digest import Schedule

    return Schedule.of(config.digest.daily, config.digest.weekly, config.alerts.timezone)


# -- the outbox -----------------------------------------------------------------------------------


@main.group()
def outbox() -> None:
    """What was told, and what waits to be: list, show, try again, drop."""


@outbox.command("list")
@click.option("--state", "states", multiple=True, type=click.Choice([state.value for state in DeliveryState]),
              help="Only what is in this state; more than one may be named.")  # fmt: skip
@click.option("--channel", default="", metavar="ID", help="Only what is for this channel.")
@click.option("--since", metavar="SPAN", help="Only what was made in the last SPAN (3d, 12h).")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="So many at most.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
@command
def outbox_list(
    context: click.Context, states: tuple[str, ...], channel: str, since: str | None, limit: int, as_json: bool
) -> None:
    """List the outbox, latest first. Times are in UTC."""
    from monitor.deliveries import HEADERS, listed, listed_data

    config = read_config(context)
    begin = utc_now() - read_duration("--since", since) if since else None
    store = open_store_to_read(config)
    wanted = [DeliveryState(state) for state in states]
    found = store.latest_deliveries(limit + 1, states=wanted, channel=channel, since=begin) if store else []
    if as_json:
        click.echo(json.dumps([listed_data(one) for one in found[:limit]], ensure_ascii=False, indent=2))
    elif found:
        click.echo(tabulate(map(listed, found[:limit]), HEADERS, "simple", disable_numparse=True))
    else:
        click.echo(f"monitor: {'nothing of the kind' if store else nothing_yet(config)}", err=True)
    if len(found) > limit:
        click.echo(f"monitor: these are the latest {limit}; more: --limit", err=True)


@outbox.command("show")
@click.argument("name", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
@command
def outbox_show(context: click.Context, name: str, as_json: bool) -> None:
    """Show all of a delivery: its message, what it tells, its thread, and what became of it when."""
    from monitor.deliveries import shown, shown_data

    store = _open_store_with_outbox(read_config(context))
    delivery_id = _the_delivery(store, name)
    delivery = store.delivery(delivery_id)
    if delivery is None:
        fail(f"no delivery {name!r} any more")
    known = delivery, store.events_of(delivery_id)
    click.echo(json.dumps(shown_data(*known), ensure_ascii=False, indent=2) if as_json else shown(*known))


@outbox.command("retry")
@click.argument("names", nargs=-1, metavar="ID...")
@click.option("--dead", is_flag=True, help="All that was refused for good.")
@click.option("--blocked", is_flag=True, help="All that waits for a person, who has acted.")
@click.pass_context
@command
def outbox_retry(context: click.Context, names: tuple[str, ...], dead: bool, blocked: bool) -> None:
    """Try deliveries again now that are dead, blocked, in doubt (it may then come twice) or told to wait. The daemon may run
    meanwhile: it sends them."""
    store = _open_store_with_outbox(read_config(context))
    if not (names or dead or blocked):
        raise click.UsageError("name a delivery, or give --dead or --blocked")
    states = [*([DeliveryState.DEAD] if dead else []), *([DeliveryState.BLOCKED] if blocked else [])]
    chosen = [_the_delivery(store, name) for name in names]
    chosen += [delivery.alert.id for delivery in (store.deliveries(*states) if states else [])]
    _do_to_each(store, chosen, "to be tried again", lambda one: store.retry_delivery(one, _author(), utc_now()))


@outbox.command("drop")
@click.argument("names", nargs=-1, required=True, metavar="ID...")
@click.option("--reason", required=True, help="Why nobody is to be told; it is kept, with your name.")
@click.pass_context
@command
def outbox_drop(context: click.Context, names: tuple[str, ...], reason: str) -> None:
    """Let deliveries go unsent. What was to stand in their threads stands by itself. The daemon may run meanwhile."""
    if not reason.strip():
        raise click.UsageError("--reason: say why")
    store = _open_store_with_outbox(read_config(context))
    chosen = [_the_delivery(store, name) for name in names]
    _do_to_each(store, chosen, "dropped", lambda one: store.drop_delivery(one, reason.strip(), _author(), utc_now()))


def _do_to_each(store: Store, ids: Sequence[str], done: str, change: Callable[[str], bool]) -> None:
    """Say of each delivery what came of it; exit 1 if one is not what can be changed so."""
    left = [one for one in dict.fromkeys(ids) if not change(one)]
    click.echo(f"{len(set(ids)) - len(left)} {done}")
    for one in left:
        delivery = store.delivery(one)
        click.echo(f"monitor: {one} is {delivery.state if delivery else 'gone'}: left as it is", err=True)
    if left:
        sys.exit(1)


def _the_delivery(store: Store, name: str) -> str:
    found = store.deliveries_named(name)
    if len(found) != 1:
        fail(
            f"{name!r} may mean {' or '.join(found)}: name the delivery by its whole id" if found
            else f"no delivery {name!r}: monitor outbox list shows their ids, of which six characters are enough"
        )  # fmt: skip
    return found[0]


def _open_store_with_outbox(config: Config) -> Store:
    store = open_store_to_read(config)
    if store is None:
        fail(nothing_yet(config))
    return store


# -- feeds ----------------------------------------------------------------------------------------


@main.group()
def feeds() -> None:
    """The feed list."""


@feeds.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
@command
def feeds_list(context: click.Context, as_json: bool) -> None:
    """List the feeds and how their last polls went."""
    store = open_store_to_read(read_config(context))
    states = store.feeds() if store else []
    if as_json:
        data = [
            {**asdict(s.feed), "last_poll": iso(s.last_poll), "last_success": iso(s.last_success),
             "next_poll": iso(s.next_poll), "pause": s.pause and s.pause.total_seconds(), "newest": iso(s.rhythm.newest),
             "moved_to": s.moved_to, "held": s.held, "failures": s.failures, "last_error": s.last_error, "items": s.items}
            for s in states
        ]  # fmt: skip
        click.echo(json.dumps(data, ensure_ascii=False, indent=2))
    else:
        click.echo(_feed_table(states) if states else NO_FEEDS)


@feeds.command("add")
@click.argument("url")
@click.option("--title", default="", help="The source's name as analysts know it.")
@click.option("--kind", default="", help=f"One of: {', '.join(SOURCE_KINDS)}.")
@click.option("--country", default="")
@click.option("--language", default="", help="ISO 639-1, e.g. uk.")
@click.pass_context
@command
def feeds_add(context: click.Context, url: str, title: str, kind: str, country: str, language: str) -> None:
    """Add a feed, or correct what the list says of it."""
    if not url.startswith(("http://", "https://")):
        raise click.UsageError(f"{url!r} is no address of a feed: it must begin with http:// or https://")
    if kind and kind not in SOURCE_KINDS:
        raise click.UsageError(f"--kind must be one of: {', '.join(SOURCE_KINDS)}")
    new = open_store(read_config(context)).add_feed(Feed(url, title, kind, country, language), utc_now())
    click.echo(f"{'added' if new else 'corrected'}: {title or url}")


@feeds.command("remove")
@click.argument("url")
@click.pass_context
@command
def feeds_remove(context: click.Context, url: str) -> None:
    """Take a feed off the list; the items it brought stay."""
    if not open_store(read_config(context)).remove_feed(url):
        click.echo(f"monitor: {url} is not on the list", err=True)
        sys.exit(1)
    click.echo(f"removed: {url}")


@feeds.command("release")
@click.argument("url")
@click.pass_context
@command
def feeds_release(context: click.Context, url: str) -> None:
    """Judge what the storm breaker holds of a feed: at its next poll, which is now."""
    held = open_store(read_config(context)).release(url, utc_now())
    if not held:
        click.echo(f"monitor: nothing of {url} is held", err=True)
        sys.exit(1)
    click.echo(f"{held} items of {url} will be judged at its next poll")


@feeds.command("drop")
@click.argument("url")
@click.pass_context
@command
def feeds_drop(context: click.Context, url: str) -> None:
    """Forget what the storm breaker holds of a feed: it is not told."""
    dropped = open_store(read_config(context)).drop(url)
    if not dropped:
        click.echo(f"monitor: nothing of {url} is held", err=True)
        sys.exit(1)
    click.echo(f"{dropped} items of {url} dropped")


@feeds.command("check")
@click.argument("target", required=False)
@click.option("--again", default="10s", show_default=True, help="Time between the two polls of a feed; 0s: at once.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
@command
def feeds_check(context: click.Context, target: str | None, again: str, as_json: bool) -> None:
    """Fetch a feed's URL, a page's, all feeds of an OPML file, or those on the list, and say what they are like; 1 if one
    cannot be used."""
    from monitor.app import open_surveyor

    config = read_config(context)
    pause = read_duration("--again", again).total_seconds()
    chosen, problems = _feeds_to_check(config, target)

    async def work() -> list[Surveyed]:
        async with open_surveyor(config, os.environ) as surveyor:
            return await surveyor.survey(chosen, lambda: asyncio.sleep(pause))

    surveyed = asyncio.run(work())
    if as_json:
        data = [{"feed": s.feed.url, "usable": s.usable, "findings": [asdict(f) for f in s.findings]} for s in surveyed]
        click.echo(json.dumps(data, ensure_ascii=False, indent=2))
    elif surveyed or target:
        click.echo("\n\n".join(map(_survey_lines, surveyed)), nl=bool(surveyed))
    else:
        click.echo(NO_FEEDS)
    unusable = sum(not one.usable for one in surveyed)
    if unusable:
        click.echo(f"monitor: {unusable} of {len(surveyed)} cannot be used", err=True)
    tell(problems, err=True)
    if unusable:
        sys.exit(1)


def _feeds_to_check(config: Config, target: str | None) -> tuple[list[Feed], list[Problem]]:
    """The feed of a URL, those of an OPML file with what is wrong in it, or those on the list."""
    from monitor.opml import read_opml

    if target is None:
        store = open_store_to_read(config)
        return [state.feed for state in store.feeds()] if store else [], []
    if target.startswith(("http://", "https://")):
        return [Feed(target)], []
    if not Path(target).is_file():
        raise click.UsageError(f"{target!r} is neither an address (http://, https://) nor an OPML file")
    return read_opml(Path(target).read_bytes(), target)


def _survey_lines(surveyed: Surveyed) -> str:
    lines = [f"{surveyed.feed.title + ' ' if surveyed.feed.title else ''}{surveyed.feed.url}"]
    lines += [f"  {finding.level:<8}{finding.about:<12} {finding.says}" for finding in surveyed.findings]
    return "\n".join(lines)


class FeedList(click.Path):
    """An OPML file, or the word for the one that comes with the program."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(shipped("feeds.opml") if value == SHIPPED else value, param, ctx)


@feeds.command("import")
@click.argument("file", type=FeedList(exists=True, dir_okay=False, path_type=Path))
@click.pass_context
@command
def feeds_import(context: click.Context, file: Path) -> None:
    """Add all feeds of an OPML file; {shipped}: of the list that comes with the program."""
    from monitor.opml import read_opml

    found, problems = read_opml(file.read_bytes(), str(file))
    store = open_store(read_config(context))
    new = sum(store.add_feed(feed, utc_now()) for feed in found)
    click.echo(f"{new} feeds added, {len(found) - new} were on the list")
    tell(problems)


@feeds.command("export")
@click.pass_context
@command
def feeds_export(context: click.Context) -> None:
    """Write the feed list as OPML to stdout."""
    from monitor.opml import write_opml

    store = open_store_to_read(read_config(context))
    sys.stdout.buffer.write(write_opml([s.feed for s in store.feeds()] if store else [], "news-monitor"))


def _feed_table(states: Sequence[FeedState]) -> str:
    rows = [
        (s.feed.name[:40], s.feed.kind, s.feed.country, s.feed.language, s.items, short(s.last_success),
         f"{s.last_error} ({s.failures:g})" if s.last_error else "")
        for s in states
    ]  # fmt: skip
    return tabulate(rows, ["feed", "kind", "country", "lang", "items", "last success", "trouble"], "simple")
