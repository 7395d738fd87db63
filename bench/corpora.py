"""Hold the fast reader of well-formed documents against feedparser, over all documents of a folder.

    python bench/corpora.py FOLDER [--show FIELD] [--slowest N]

Prints what was read by whom, what was refused and why, where the two differ and by which field, and what took longest. A
crash is any exception but ParseError; there must be none. Documents may carry headers in a comment at their top, a line
each: `Header: Content-Type: text/xml`.
"""

from __future__ import annotations

import argparse
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from monitor.decode import decode
from monitor.errors import ParseError
from monitor.syntax import RawFeed, RawItem, read, read_by_feedparser, read_well_formed
from monitor.text import plain

#: What is no document: notes on a corpus, feed lists, measurements.
OTHERS = {".opml", ".tsv", ".yaml", ".psql", ".properties", ".md", ".py"}
HEADER = re.compile(rb"^\s*Header:\s*([\w-]+):\s*(.*?)\s*$", re.MULTILINE)


@dataclass
class Tally:
    """What came of a folder."""

    outcomes: Counter[str] = field(default_factory=Counter)
    #: field -> path, the fast reader's, feedparser's
    differences: dict[str, list[tuple[Path, str, str]]] = field(default_factory=dict)
    seconds: list[tuple[float, Path]] = field(default_factory=list)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--show", default="", help="print the differences of one field")
    arguments.add_argument("--slowest", type=int, default=5)
    chosen = arguments.parse_args()
    tally = Tally()
    for path in documents(chosen.folder):
        judge(path, tally)
    print(f"{len(tally.seconds):6} documents")
    for outcome, count in tally.outcomes.most_common():
        print(f"{count:6} {outcome}")
    for name, found in sorted(tally.differences.items()):
        print(f"{len(found):6} differ in {name}, in {len({path for path, _, _ in found})} documents")
        for path, ours, theirs in found if name == chosen.show else []:
            print(
                f"       {path.relative_to(chosen.folder)}\n         fast       {ours!r}\n         feedparser {theirs!r}"
            )
    for seconds, path in sorted(tally.seconds, reverse=True)[: chosen.slowest]:
        print(f"{seconds * 1000:6.0f} ms {path.relative_to(chosen.folder)}")


def documents(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix not in OTHERS)


def judge(path: Path, tally: Tally) -> None:
    body = path.read_bytes()
    head = body[:4_000].replace(b"\x00", b"")
    headers = {name.decode().lower(): value.decode("latin-1") for name, value in HEADER.findall(head)}
    start = time.perf_counter()
    try:
        text, _ = decode(body, headers)
        try:
            feed = read(text)
        finally:
            tally.seconds.append((time.perf_counter() - start, path))
    except ParseError as error:
        tally.outcomes[f"refused: {error.cause}"] += 1
        return
    except Exception as error:
        tally.outcomes[f"CRASHED: {error!r}"] += 1
        return
    if text.lstrip().startswith("{"):
        tally.outcomes["read: JSON Feed"] += 1
    elif read_well_formed(text.strip("\ufeff \t\r\n")) is None:
        tally.outcomes["read: by feedparser"] += 1
    else:
        tally.outcomes["read: fast"] += 1
        compare(path, feed, text, tally)


def compare(path: Path, ours: RawFeed, text: str, tally: Tally) -> None:
    try:
        theirs = read_by_feedparser(text.strip("\ufeff \t\r\n"))
    except ParseError as error:
        note(tally, "reading at all", path, f"{len(ours.items)} items", str(error))
        return
    note(tally, "number of items", path, str(len(ours.items)), str(len(theirs.items)))
    for name, value in feed_fields(ours).items():
        note(tally, name, path, value, feed_fields(theirs)[name])
    for one, other in zip(ours.items, theirs.items, strict=False):
        for name, value in item_fields(one).items():
            note(tally, name, path, value, item_fields(other)[name])


def feed_fields(feed: RawFeed) -> dict[str, str]:
    return {"feed's title": plain(feed.title), "feed's language": feed.language, "hints": str(feed.hints)}


def item_fields(item: RawItem) -> dict[str, str]:
    texts = [plain(text) for text in item.texts]
    return {
        "guid": item.guid,
        "link": item.link,
        "title": plain(item.title),
        "text": max(texts, key=len, default=""),
        "texts": str(sorted(set(filter(None, texts)))),
        "dates": str(item.dates),
        "language": item.language,
    }


def note(tally: Tally, name: str, path: Path, ours: str, theirs: str) -> None:
    if ours != theirs:
        tally.differences.setdefault(name, []).append((path, ours, theirs))


if __name__ == "__main__":
    main()
