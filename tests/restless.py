"""`monitor run` itself, in processes to be killed. As a program: `python restless.py CONFIG BEGAN`, which forks one for each
line of its standard input, and says its process number.

Three things are not as they are with a user: no model is loaded, documents are parsed in the process itself, and time runs
`FASTER` from `BEGAN` on, in seconds since the epoch, so that a doubt settles within a test.
"""

from __future__ import annotations

import functools
import gc
import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

import make
from fakes import FakeEmbedder, background, ordinary, parse_here

from monitor import app, cli, daemon, learning

FASTER = 40


def fast_clock(began: float) -> Callable[[], float]:
    """Seconds since the epoch, of which `FASTER` pass in one."""
    return lambda: make.NOW.timestamp() + (time.time() - began) * FASTER


def main(config: str, began: float) -> None:
    clock = fast_clock(began)
    app.open_learning = lambda _config: learning.Learning(FakeEmbedder(), ordinary, background())
    app._parse_elsewhere = lambda *_: parse_here  # noqa: SLF001 - as said above
    app.open_monitor = functools.partial(app.open_monitor, clock=lambda: datetime.fromtimestamp(clock(), UTC))
    daemon.TICK /= FASTER
    daemon.REVIEW /= FASTER
    background()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how they ended
    for _ in sys.stdin:
        process = os.fork()
        if not process:
            sys.stdin.close()
            cli.main(["--config", config, "run"])
        print(process, flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
