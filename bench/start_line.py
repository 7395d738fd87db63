"""Measure `monitor replay` with the scripts of ../shared/eval, and print a line for each.

    python bench/start_line.py [--eval ../shared/eval] [--only stories|topics]

Half an hour: the embedding of some 25,000 items is nearly all of it. The figures are kept in DESIGN.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNS = {
    "stories": [
        ["stories.py", "--set", "og2021", "--lang", "en"],
        ["stories.py", "--set", "og2021"],
        ["stories.py", "--set", "allsides"],
        ["stories.py", "--set", "ecbplus"],
    ],
    "topics": [["topics.py", "--set", "wcep"], ["topics.py", "--set", "euvsdisinfo"]],
}


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--eval", type=Path, default=ROOT.parent / "shared/eval")
    ask.add_argument("--only", choices=sorted(RUNS))
    args = ask.parse_args()
    monitor = f"{sys.executable} -m monitor"
    for kind, runs in RUNS.items():
        for script, *options in runs if args.only in (None, kind) else []:
            command = [sys.executable, str(args.eval / script), "--monitor", monitor, *options]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            print(done.stdout.strip(), flush=True)


if __name__ == "__main__":
    main()
