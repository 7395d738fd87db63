"""Does a feed that comes again bring anything new? Replays saved documents through the collecting half, changed as publishers
change them, and counts what is taken for new though it is not.

    python bench/identity.py FOLDER...        # of feed documents, e.g. ../shared/fixtures/real_feeds
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from monitor.config import shipped
from monitor.errors import ParseError
from monitor.model import (
    Decision,
    Document,
    EmbeddedItem,
    Feed,
    FeedState,
    Item,
    Placement,
    Polled,
    Record,
    Relation,
    Rhythm,
    Validators,
    Verdict,
)
from monitor.parse import parse
from monitor.publishers import load_publishers
from monitor.recognise import recognise, storm, strangers
from monitor.store import Store

NOW = datetime(2026, 2, 19, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=10)

Change = Callable[[str, random.Random], str]

# -- what publishers do to a document -------------------------------------------------------------

_ITEM = re.compile(r"<(item|entry)\b.*?</\1\s*>", re.DOTALL)
_GUID = re.compile(r"(<(?:guid|id)\b[^>]*>)(\s*(?:<!\[CDATA\[)?)([^<\]]+)", re.DOTALL)
_LINK = re.compile(
    r"(<link\b[^>]*>\s*(?:<!\[CDATA\[)?)(https?://[^<\]\s]+)|(<link\b[^>]*\bhref=[\"'])(https?://[^\"']+)"
)


def _in_items(change: Callable[[re.Match[str], random.Random], str]) -> Change:
    return lambda text, draw: _ITEM.sub(lambda found: change(found, draw), text)


def _shuffled(text: str, draw: random.Random) -> str:
    items = [found[0] for found in _ITEM.finditer(text)]
    draw.shuffle(items)
    rest = iter(items)
    return _ITEM.sub(lambda _: next(rest), text)


def _new_guids(found: re.Match[str], draw: random.Random) -> str:
    return _GUID.sub(lambda guid: f"{guid[1]}{guid[2]}new-{draw.randrange(10**9)}", found[0], count=1)


def _no_guids(found: re.Match[str], _: random.Random) -> str:
    return re.sub(r"<(guid|id)\b[^>]*>.*?</\1\s*>", "", found[0], count=1, flags=re.DOTALL)


def _with_query(found: re.Match[str], draw: random.Random) -> str:
    def put(link: re.Match[str]) -> str:
        head, url = (link[1], link[2]) if link[2] else (link[3], link[4])
        return f"{head}{url}{'&amp;' if '?' in url else '?'}utm_source=rss&amp;utm_term={draw.randrange(99)}"

    return _LINK.sub(put, found[0])


def _with_session(found: re.Match[str], draw: random.Random) -> str:
    def put(link: re.Match[str]) -> str:
        head, url = (link[1], link[2]) if link[2] else (link[3], link[4])
        return f"{head}{url}{'&amp;' if '?' in url else '?'}zz={draw.randrange(10**6)}"

    return _LINK.sub(put, found[0])


CHANGES: dict[str, Change] = {
    "twice": lambda text, _: text,
    "shuffled": _shuffled,
    "reversed": lambda text, _: _reversed(text),
    "https": lambda text, _: text.replace("http://", "https://"),
    "tracking parameters": _in_items(_with_query),
    "a strange parameter": _in_items(_with_session),
    "new guids": _in_items(_new_guids),
    "no guids": _in_items(_no_guids),
    "new guids, shuffled": lambda text, draw: _shuffled(_in_items(_new_guids)(text, draw), draw),
    "new guids, strange parameter": lambda text, draw: _in_items(_with_session)(
        _in_items(_new_guids)(text, draw), draw
    ),
    "cut at two thirds": lambda text, _: text[: len(text) * 2 // 3],
    "cut at one third": lambda text, _: text[: len(text) // 3],
    "first half of the items": lambda text, _: _half(text),
}


def _reversed(text: str) -> str:
    rest = iter([found[0] for found in _ITEM.finditer(text)][::-1])
    return _ITEM.sub(lambda _: next(rest), text)


def _half(text: str) -> str:
    items = [found[0] for found in _ITEM.finditer(text)]
    kept = iter(items[: len(items) // 2] + [""] * len(items))
    return _ITEM.sub(lambda _: next(kept), text)


# -- counting -------------------------------------------------------------------------------------


def new_items(store: Store, feed: Feed, items: tuple[Item, ...]) -> tuple[list[Item], str]:
    """What a poll would take for new, and why the storm breaker would hold it; empty if it would not."""
    known = store.known([item.id for item in items])
    known |= store.known([key for item in items if item.id not in known for key in item.keys])
    recognised = recognise(items, known, store.versions(strangers(items, known)))
    state = FeedState(feed, first_success=NOW, last_success=NOW)
    return list(recognised.new), storm(recognised, state)


def keep(store: Store, feed: Feed, items: tuple[Item, ...]) -> None:
    recognised = recognise(items, {}, {})
    records = [
        Record(
            EmbeddedItem(item, np.zeros(0, dtype=np.float32)), item.id, (),
            Placement(item.id, Relation.ROOT), Decision(Verdict.NO_MATCH, ""),
        )
        for item in recognised.new
    ]  # fmt: skip
    minute = timedelta(minutes=10)
    polled = Polled(feed, NOW, LATER, minute, Validators(), "", True, Rhythm(), aliases=recognised.aliases)
    store.commit_poll(polled, records, "none@1")


def documents(folders: list[Path]) -> Iterator[tuple[Path, bytes]]:
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                yield path, path.read_bytes()


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("folders", nargs="+", type=Path)
    ask.add_argument("--show", action="store_true", help="name each document and title that was taken for new")
    args = ask.parse_args()
    publishers, _ = load_publishers(shipped("publishers.toml"))
    counts = dict.fromkeys(CHANGES, 0)
    held = dict.fromkeys(CHANGES, 0)
    feeds = items = 0
    for path, body in documents(args.folders):
        feed = Feed(f"https://feeds.example/{path.name}")
        rules = publishers.rules_for(feed.url)
        try:
            first = parse(Document(feed, feed.url, {}, body), NOW, rules)
        except ParseError:
            continue
        if not first.items:
            continue
        feeds, items = feeds + 1, items + len(first.items)
        store = Store.in_memory()
        store.add_feed(feed, NOW)
        keep(store, feed, first.items)
        for name, change in CHANGES.items():
            changed = change(body.decode("utf-8", "surrogateescape"), random.Random(name))
            try:
                again = parse(Document(feed, feed.url, {}, changed.encode("utf-8", "surrogateescape")), LATER, rules)
            except ParseError:
                continue
            new, why_held = new_items(store, feed, again.items)
            counts[name] += len(new)
            held[name] += len(new) if why_held else 0
            if args.show and new:
                print(f"{name}: {path.name}: {len(new)} of {len(again.items)}, {'held' if why_held else 'NOT HELD'}")
                for item in new[:2]:
                    print(f"    {item.title[:70]} | {item.link[:90]}")
        store.close()
    print(f"{feeds} documents with {items} items", file=sys.stderr)
    for name, count in counts.items():
        print(f"{name:<32}{count:>6} taken for new, {held[name]} of them held by the storm breaker")


if __name__ == "__main__":
    main()
