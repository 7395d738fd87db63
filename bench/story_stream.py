"""How fast a stream is put in stories, and in how much memory: made-up items, all told, `--days` of `--a-day`.

    python bench/story_stream.py [--items 1000000] [--days 3]

Each item is about an event; some events fill the news, most are told once. Vectors are made here, so that only grouping is
timed: what of a text is compared, placing, keeping, forgetting. Prints items a second and the memory that stories take.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from monitor import heap
from monitor.group import OpenStories
from monitor.model import EmbeddedItem, Feed, Item, Member, Relation, Vector
from monitor.spool import Spool
from monitor.words import WordWeights

START = datetime(2024, 1, 1, tzinfo=UTC)
WINDOW = timedelta(hours=72)
BLOCK = 1_000
#: Items after which making more takes no more memory.
WARM_UP = 10_000
LANGUAGES = ("en", "ru", "uk", "zh", "es")


class Space:
    """As `CompactSpace` with the default engines: two parts of 128 dimensions, the first of which reads English alone."""

    dimension = 256
    bounds = ((0, 128), (128, 256))
    common = (128, 256)
    word_weights = WordWeights([])

    def vector(self, embedded: EmbeddedItem) -> Vector:
        return embedded.vector


def stream(count: int, span: timedelta, seed: int = 1) -> Iterator[EmbeddedItem]:
    """Items in the order of time: an event is told again after a time that varies, by a chance that falls with its age."""
    rng = np.random.default_rng(seed)
    vocabulary = np.array(["".join(rng.choice(list("abdegiklmnoprstuvz"), rng.integers(3, 10))) for _ in range(40_000)])
    frequency = 1 / np.arange(10, 10 + len(vocabulary))
    cumulative = np.cumsum(frequency / frequency.sum())
    feeds = [Feed(f"https://{n}.example/rss", f"Outlet {n}") for n in range(300)]
    recent: list[tuple[Vector, list[str]]] = []
    for n in range(count):
        if recent and rng.random() < 0.5:
            event, words = recent[-1 - int(len(recent) * rng.random() ** 3)]
        else:
            words = vocabulary[np.searchsorted(cumulative, rng.random(16))].tolist()
            event = rng.normal(size=256).astype(np.float32)
            recent = [*recent[-4_000:], (event, words)]
        told = [word if rng.random() < 0.6 else vocabulary[rng.integers(len(vocabulary))] for word in words * 2]
        language = LANGUAGES[int(rng.integers(len(LANGUAGES)))]
        vector = event + 0.7 * rng.normal(size=256).astype(np.float32)
        for start, end in Space.bounds:
            vector[start:end] /= np.linalg.norm(vector[start:end])
        vector[:128] *= language == "en"
        at = START + span * (n / count)
        title, text = " ".join(told[:9]), " ".join(told[9:])
        item = Item(f"{n:016x}", feeds[int(rng.integers(300))], title, text, "", "", language, at, at)
        yield EmbeddedItem(item, vector)


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4_096


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--items", type=int, default=1_000_000)
    ask.add_argument("--days", type=float, default=3)
    args = ask.parse_args()
    heap.keep_little()  # as the daemon
    stories = OpenStories(Space(), WINDOW, Spool)
    items = stream(WARM_UP + args.items, timedelta(days=args.days))
    for _ in itertools.islice(items, WARM_UP):
        pass  # what making items takes is not grouping's
    heap.give_back()
    before, spent, roots, last = resident(), 0.0, 0, 0.0
    tenth = max(1, args.items // 10)
    for start in range(0, args.items, BLOCK):
        block = list(itertools.islice(items, BLOCK))
        # of this process alone: what else the machine does, and making items, is not grouping
        began = time.process_time()
        for embedded in block:
            placement = stories.place(embedded)
            stories.add(Member(embedded, placement.story, placement.relation))
            roots += placement.relation is Relation.ROOT
        stories.forget()
        spent += time.process_time() - began
        done = start + len(block)
        if done // tenth > start // tenth:
            rate, last = tenth / (spent - last), spent
            print(
                f"{done:>9,} items  {rate:>7,.0f} a second  {len(stories):>9,} open in {roots:>9,} stories  "
                f"{(resident() - before) / 1e6:>6,.0f} MB",
                flush=True,
            )
    print(f"{args.items / spent:,.0f} items a second in all")


if __name__ == "__main__":
    main()
