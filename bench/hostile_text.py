"""What twice as much hostile text costs: a ratio of 2 is linear, 4 is quadratic. Medians of five runs.

python bench/hostile_text.py
"""

from __future__ import annotations

import statistics
import time

from monitor.text import plain, sentences

HOSTILE = ["<div>", "<", "&", "<b ", "<![CDATA[", "a\u200d", "<script>", "&lt;p", ". ", "."]
LENGTH = 50_000  # repetitions


def main() -> None:
    for hostile in HOSTILE:
        once, twice = (statistics.median(cost(hostile * length) for _ in range(5)) for length in (LENGTH, 2 * LENGTH))
        print(f"{hostile!r:14} {once * 1000:7.1f} ms, twice as much: x{twice / max(once, 1e-9):.1f}")


def cost(text: str) -> float:
    start = time.process_time()
    sentences(plain("Text" + text))
    return time.process_time() - start


if __name__ == "__main__":
    main()
