"""The commands. Data on stdout, talk on stderr; exit codes as in the table below. What a command needs is imported when it
runs, so that the quick ones are quick.

    0 well · 1 failed, or found something · 2 usage · 69 a needed service is unavailable (database, model)
    75 another instance runs · 78 bad configuration
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from tabulate import tabulate

from monitor import __version__
from monitor.command import (
    command,
    embed_text,
    fail,
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
from monitor.config import Config, find
from monitor.errors import Problem, RulingError
from monitor.log import set_up as set_up_log
from monitor.model import SOURCE_KINDS, Ailment, DeliveryState, Feed, FeedState
from monitor.rules_cli import rules

if TYPE_CHECKING:
    from monitor.app import Learning
    from monitor.model import EmbeddedItem, Explained, Item, Ruling, Timeline
    from monitor.store import Store
    from monitor.stories import Openness
    from monitor.survey import Surveyed

NO_FEEDS = "no feeds yet: monitor feeds import deploy/feeds.opml"


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
    """Run the daemon: poll, match, alert, until stopped. SIGHUP reads the rules again."""
    from monitor import daemon
    from monitor.app import open_monitor

    config = read_config(context)
    _say_where_alerts_go(config)

    async def work() -> None:
        async with open_monitor(config, os.environ, sys.stdout, colour=sys.stdout.isatty()) as monitor:
            await daemon.run(monitor, os.environ)

    asyncio.run(work())


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
    """Poll the feeds that are due, deliver what waits, and exit: 1 if an alert could not be delivered."""
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
            return await monitor.ask(Store.undelivered)

    waiting = asyncio.run(work())
    if waiting:
        told = ", ".join(f"{n} {state}" for state, n in waiting.items())
        click.echo(f"monitor: not everything is delivered: {told}", err=True)
        sys.exit(1)


def _say_where_alerts_go(config: Config) -> None:
    from monitor.config import slack_token

    if slack_token(config, os.environ) is None:
        click.echo(
            "monitor: no Slack token: alerts go to this terminal (deploy/README.md says how to change that)", err=True
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
    from monitor.rules import check_topics

    file = find(context.find_root().obj, os.environ)
    config = read_config(context)
    click.echo(f"configuration: {file or 'defaults (no file)'}")
    topics, problems = check_topics(config.rules)
    click.echo(f"topics: {len(topics)} in {config.rules}")
    state = open_store_to_read(config)
    feeds = state.feeds() if state else []
    click.echo(f"feeds: {len(feeds)}" + ("" if feeds else " (add some: monitor feeds import deploy/feeds.opml)"))
    tell(problems)
    if not topics:
        click.echo(f"monitor: no topic in {config.rules}: nothing would ever alert", err=True)
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

    if (item is None) == (text is None):
        raise click.UsageError("give an item's id or link, or --text")
    config = read_config(context)
    if text is not None:
        learning, judge = learn(config)
        embedded = embed_text(learning, title, text)
        matches = judge.matcher.judge(embedded, every=True)
        click.echo(json.dumps(words.as_data(matches), ensure_ascii=False, indent=2) if as_json
                   else words.explain_text(embedded.item.title, matches))  # fmt: skip
        return
    store = open_store_to_read(config)
    known = store.explain(item or "") if store else None
    if store is None or known is None:
        fail(f"no item {item!r} was seen; for any text at all: monitor explain --text …")
    if other is not None:
        _explain_pair(config, store, known, other, as_json)
        return
    click.echo(
        json.dumps(words.explained_data(known), ensure_ascii=False, indent=2) if as_json else words.explain(known)
    )


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
    """Show feeds, items, stories and the outbox; 1 if an alert is stuck."""
    from monitor.health import conditions

    config = read_config(context)
    store = open_store_to_read(config)
    if as_metrics:
        click.echo(_metrics(store), nl=False)
        return
    totals = store.totals() if store else {}
    outbox = store.outbox_counts() if store else {}
    feeds = store.feeds() if store else []
    failing = [state for state in feeds if state.last_error]
    ailing = [(state, found) for state in feeds if (found := conditions(state, utc_now()))]
    outage = _outage(store) if store else None
    stuck = outbox.get(DeliveryState.BLOCKED, 0) + outbox.get(DeliveryState.DEAD, 0)
    if as_json:
        data = {
            "totals": totals, "outbox": outbox, "verdicts": store.verdict_counts() if store else {},
            "failing": [{"feed": s.feed.url, "cause": s.last_error, "failures": s.failures} for s in failing],
            "conditions": [
                {"feed": s.feed.url, "condition": condition, "because": because}
                for s, found in ailing for condition, because in found.items()
            ],
            "outage": iso(outage.since) if outage else None,
            "model": store.fact("model") if store else "",
        }  # fmt: skip
        click.echo(json.dumps(data, ensure_ascii=False, indent=2))
    elif store is None:
        click.echo(nothing_yet(config))
    else:
        rows = [*totals.items(), *((f"outbox: {state}", n) for state, n in outbox.items())]
        click.echo(tabulate(rows, tablefmt="plain"))
        if outage:
            click.echo(f"\noutage of our own network since {short(outage.since)} UTC: no feed is charged for it")
        if ailing:
            click.echo(f"\n{len(ailing)} feeds want a look")
            findings = [(s.feed.name[:40], c, because) for s, found in ailing for c, because in found.items()]
            click.echo(tabulate(findings, ["feed", "condition", "because"], "simple"))
        if failing:
            click.echo(f"\n{len(failing)} feeds failing")
            click.echo(_feed_table(failing))
    if stuck:
        click.echo(f"monitor: {stuck} alerts are stuck", err=True)
        sys.exit(1)


def _metrics(store: Store | None) -> str:
    from monitor.metrics import metrics

    if store is None:
        return metrics([], 0, {}, {}, outage=False, now=utc_now())
    stories, outage = store.totals().get("stories", 0), _outage(store) is not None
    return metrics(store.feeds(), stories, store.verdict_counts(), store.outbox_counts(), outage=outage, now=utc_now())


def _outage(store: Store) -> Ailment | None:
    """The outage of our own network, while it lasts."""
    return next((a for a in store.ailments() if not a.feed_url and not a.absent_since), None)


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
    from monitor.app import now, open_judge, open_learning
    from monitor.archive import read_archive
    from monitor.embed import use_all_cores
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


@feeds.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.pass_context
@command
def feeds_import(context: click.Context, file: Path) -> None:
    """Add all feeds of an OPML file."""
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
