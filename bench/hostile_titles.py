"""Hostile titles through every kind of message: what Slack would refuse of it, or do instead of showing it.

    PYTHONPATH=tests python bench/hostile_titles.py [--titles 100000] [--seed 1] [--processes 2]

The titles, the messages and the laws are those of tests/hostile.py. Prints how many there were and each flaw with the seed that
makes it; exits 1 if there is one.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import time
from collections import Counter

from hostile import flaws, is_readable, messages, rungs, title


def main() -> None:
    options = arguments()
    seeds = range(options.seed * 1_000_000, options.seed * 1_000_000 + options.titles)
    started = time.monotonic()
    told: Counter[str] = Counter()
    longest, found = 0, 0
    with multiprocessing.Pool(options.processes) as pool:
        for counts, length, wrong in pool.imap_unordered(look_at, seeds, chunksize=200):
            told += counts
            longest = max(longest, length)
            found += len(wrong)
            for line in wrong:
                print(line, flush=True)
    print(
        f"{options.titles:,} titles, {told.total():,} messages ({', '.join(f'{n:,} {kind}' for kind, n in told.items())})"
    )
    print(f"{found} flaws; the largest message has {longest:,} characters; {time.monotonic() - started:,.0f} s")
    sys.exit(found > 0)


def look_at(seed: int) -> tuple[Counter[str], int, list[str]]:
    """Return how many messages of each kind a title came to, the length of the longest, and what is wrong with them."""
    draw = random.Random(seed)
    said = title(draw)
    told: Counter[str] = Counter()
    longest, wrong = 0, []
    for kind, whole in messages(said, draw):
        wrong += [] if is_readable(kind, whole, said) else [f"{seed} {kind}: unreadable"]
        for rung, message in enumerate(rungs(whole)):
            told[kind if not rung else f"rung {rung}"] += 1
            longest = max(longest, len(message.text) + len(str(message.blocks)))
            wrong += [f"{seed} {kind}, rung {rung}: {flaw}" for flaw in flaws(message)]
    return told, longest, wrong


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--titles", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
