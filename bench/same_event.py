"""How well two Russian headlines are told to be one event: pairs that a crowd judged, each pair in a world of its own.

    python bench/same_event.py [../shared/data/paraphraser_ru/pairs.jsonl.gz]

A pair judged the same or nearly the same (1, 0) is one event, any other (-1) is two. The pair counts as found if the second
headline, ten minutes later, joins the first one's story. Prints precision, recall and F1, and copies among other events.
"""

from __future__ import annotations

import argparse
import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from monitor.config import Config
from monitor.group import OpenStories
from monitor.language import identified
from monitor.learning import open_learning
from monitor.model import Feed, Item, Member, Relation
from monitor.space import CompactSpace

START = datetime(2024, 1, 1, tzinfo=UTC)
CHUNK = 512


def item(number: int, side: int, title: str) -> Item:
    at = START + side * timedelta(minutes=10)
    return identified(Item(f"{number}-{side}", Feed(f"outlet:{side}"), title, "", "", "", "ru", at, at))


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("pairs", nargs="?", type=Path, default=Path("../shared/data/paraphraser_ru/pairs.jsonl.gz"))
    with gzip.open(ask.parse_args().pairs, "rt", encoding="utf-8") as file:
        pairs = [json.loads(line) for line in file if line.strip()]
    learning = open_learning(Config())
    space = CompactSpace(learning.background)
    hits = misses = false = copies = 0
    for start in range(0, len(pairs), CHUNK):
        chunk = pairs[start : start + CHUNK]
        items = [item(start + n, side, p[("left", "right")[side]]) for n, p in enumerate(chunk) for side in (0, 1)]
        embedded = learning.embed_gists(items)
        for pair, one, other in zip(chunk, embedded[::2], embedded[1::2], strict=True):
            stories = OpenStories(space, timedelta(hours=72))
            stories.add(Member(one, one.item.id, Relation.ROOT))
            relation = stories.place(other).relation
            same, found = pair["label"] >= 0, relation is not Relation.ROOT
            hits, misses, false = hits + (same and found), misses + (same and not found), false + (found and not same)
            copies += relation is Relation.COPY and not same
    precision, recall = hits / (hits + false), hits / (hits + misses)
    print(f"{len(pairs):,} pairs: precision {precision:.3f}, recall {recall:.3f}, "
          f"F1 {2 * precision * recall / (precision + recall):.3f}; copies of another event: {copies}")  # fmt: skip


if __name__ == "__main__":
    main()
