"""What `isolate` may be asked to run: each does one thing that a parser must not do to the daemon."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from monitor.errors import ParseError

#: calls of this process so far
_calls = 0


def double(number: int) -> int:
    return 2 * number


def keywords(*, first: str, second: str = "b") -> str:
    return first + second


def size(body: bytes) -> int:
    return len(body)


def zeros(count: int) -> bytes:
    return bytes(count)


def whoami() -> int:
    return os.getpid()


def count_calls() -> int:
    global _calls
    _calls += 1
    return _calls


def environment(name: str) -> str:
    return os.environ.get(name, "")


def sleep_for_ever(diary: str = "") -> NoReturn:
    """Write down who sleeps, then never wake."""
    if diary:
        Path(diary).write_text(str(os.getpid()))
    while True:
        time.sleep(60)


def leave() -> NoReturn:
    os._exit(3)


def leave_politely() -> NoReturn:
    sys.exit(3)


def crash_hard() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def refuse() -> NoReturn:
    raise ParseError("html", "a page for people")


def stumble(message: str) -> NoReturn:
    raise ValueError(message)


def devour(count: int) -> int:
    return len(bytearray(count))


def recurse(depth: int = 0) -> int:
    return recurse(depth + 1) + 1


def unpicklable() -> object:
    return lambda: None


def signal_self(number: int) -> str:
    os.kill(os.getpid(), number)
    return "still here"
