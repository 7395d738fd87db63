"""Say what each way of reading a feed costs, and what it finds, over a folder of real documents.

    python bench/parsers.py FOLDER

The ways: feedparser; ours over expat (the standard library), which is what `monitor.syntax` does; the same over lxml; and the
package fastfeedparser. The last two are no dependencies: where they are not installed, they are left out. Times are of the
processor, for one document from its text on, the best of three; what comes before and after that follows below.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from corpora import item_fields

from monitor.decode import decode
from monitor.errors import ParseError
from monitor.model import Document, Feed
from monitor.parse import parse
from monitor.syntax import RawItem, _Reader, read, read_by_feedparser, read_well_formed

NOW = datetime(2026, 11, 21, tzinfo=UTC)
Read = Callable[[str], list[RawItem] | None]


def main() -> None:
    arguments = argparse.ArgumentParser(description="what each way of reading a feed costs, and what it finds")
    arguments.add_argument("folder", type=Path)
    bodies = [path.read_bytes() for path in sorted(arguments.parse_args().folder.iterdir())]
    texts = [text for text in (decode(body, {})[0].strip("\ufeff \t\r\n") for body in bodies) if is_xml_feed(text)]
    right = [by_feedparser(text) for text in texts]
    print(f"{len(texts)} documents, {statistics.mean(map(len, texts)):,.0f} characters each, by feedparser:")
    print(f"{sum(map(len, right)):,} items")
    ways: dict[str, Read] = {"feedparser": by_feedparser, "expat": by_expat, "monitor.syntax": by_syntax}
    ways |= {name: way for name, way in {"lxml": by_lxml(), "fastfeedparser": by_fastfeedparser()}.items() if way}
    for name, way in ways.items():
        report(name, way, texts, right)
    print("\nbefore and after")
    for name, step in {
        "bytes to text": lambda body: decode(body, {}),
        "bytes to what was written": lambda body: read(decode(body, {})[0]),
        "bytes to items": lambda body: parse(Document(Feed("https://a.example/"), "https://a.example/", {}, body), NOW),
    }.items():
        print(f"{name:26} {in_ms([seconds(step, body) for body in bodies])}")


def is_xml_feed(text: str) -> bool:
    try:
        read(text)
    except ParseError:
        return False
    return not text.startswith("{")


# -- the ways -------------------------------------------------------------------------------------


def by_feedparser(text: str) -> list[RawItem]:
    return list(read_by_feedparser(text).items)


def by_expat(text: str) -> list[RawItem] | None:
    feed = read_well_formed(text)
    return None if feed is None else list(feed.items)


def by_syntax(text: str) -> list[RawItem]:
    return list(read(text).items)


def by_lxml() -> Read | None:
    etree = installed("lxml.etree")
    if etree is None:
        return None
    parser = etree.XMLParser(resolve_entities=False, remove_comments=True, remove_pis=True, huge_tree=True)

    def way(text: str) -> list[RawItem] | None:
        try:
            root = etree.fromstring(without_declaration(text).encode(), parser)
            return list(_Reader(text).read(root).items)
        except Exception:  # ours for what it is unsure of, lxml's for what is not well-formed
            return None

    return way


def by_fastfeedparser() -> Read | None:
    package = installed("fastfeedparser")

    def way(text: str) -> list[RawItem] | None:
        try:
            return [item_of_fastfeedparser(entry) for entry in package.parse(text).entries]
        except ValueError:
            return None

    return way if package else None


def item_of_fastfeedparser(entry: Mapping[str, Any]) -> RawItem:
    contents = [content.get("value") or "" for content in entry.get("content") or ()]
    return RawItem(
        guid=entry.get("id") or "",
        link=entry.get("link") or "",
        title=entry.get("title") or "",
        texts=(entry.get("description") or "", *contents),
        dates=tuple(entry.get(name) or "" for name in ("published", "updated", "created")),
        language=entry.get("language") or "",
    )


def installed(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        print(f"{name} is not installed", file=sys.stderr)
        return None


def without_declaration(text: str) -> str:
    """The declaration names the encoding the text had."""
    return text.partition("?>")[2].lstrip() if text.startswith("<?xml") else text


# -- figures --------------------------------------------------------------------------------------


def report(name: str, way: Read, texts: list[str], right: list[list[RawItem]]) -> None:
    answers = [way(text) for text in texts]
    read_ones = [(ours, theirs) for ours, theirs in zip(answers, right, strict=True) if ours is not None]
    differences = Counter[str]()
    for ours, theirs in read_ones:
        differences["number"] += len(ours) != len(theirs)
        for one, other in zip(ours, theirs, strict=False):
            differences.update(field for field, value in fields(one).items() if value != fields(other)[field])
    times = [seconds(way, text) for text, answer in zip(texts, answers, strict=True) if answer is not None]
    print(f"\n{name}: {in_ms(times)}")
    print(f"  {len(texts) - len(times)} documents not read, {sum(len(ours) for ours, _ in read_ones):,} items")
    print(f"  items that differ from feedparser's: {dict(sorted((+differences).items())) or 'none'}")


def fields(item: RawItem) -> dict[str, str]:
    """What must be equal here: the text that is kept, and not every other."""
    return {name: value for name, value in item_fields(item).items() if name != "texts"}


def seconds(step: Callable[[Any], object], argument: object) -> float:
    def once() -> float:
        start = time.process_time()
        with contextlib.suppress(ParseError):
            step(argument)
        return time.process_time() - start

    return min(once() for _ in range(3))


def in_ms(times: list[float]) -> str:
    return f"{statistics.mean(times) * 1000:.2f} ms mean, {statistics.median(times) * 1000:.2f} median"


if __name__ == "__main__":
    main()
