"""Run a pure function in a process of its own, which may be killed: what hangs, crashes or eats memory on a hostile document
costs that document, and its deadline at most.

Takes a function that a bare interpreter can import, and its arguments; gives what it returns, or raises what it raises. One
call at a time, from one thread.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from monitor.errors import MonitorError, ParseError

P = ParamSpec("P")
T = TypeVar("T")

#: Address space of the process: the largest document we take, decoded and parsed, needs a tenth.
MEMORY = 2 << 30  # bytes
#: The first call waits for the interpreter, and for what the function imports, as well.
START = 30.0  # seconds
#: After so much more than its deadline a process ends itself: its parent was killed, or it would have done it.
GRACE = 5.0  # seconds
#: Characters of what an exception says: it may quote the document.
_QUOTED = 200
#: numpy's threads would reserve 40 MB of addresses for each core, and have nothing to do.
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"}


class Isolated:
    """A process that waits for calls. Started by the first, and anew after one that was killed."""

    def __init__(self, deadline: float) -> None:
        """deadline: seconds that one call may take."""
        self._deadline = deadline
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None

    def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function there.

        Raises: whatever of ours the function raises; ParseError `too slow` past the deadline, `crash` for any other end.
        """
        try:
            pipe = self._ready(function.__module__)
            pipe.send((function, args, kwargs))
            if not pipe.poll(self._deadline):
                self.close()
                raise ParseError("too slow", f"not read within {self._deadline:g} s")
            well, answer = pipe.recv()
        except (EOFError, OSError) as error:
            self.close()
            raise ParseError("crash", "the parser's process ended") from error
        if well:
            return answer  # type: ignore[no-any-return]  # pickled there from a T
        raise answer

    def close(self) -> None:
        """End the process; the next call starts another."""
        # both out of our hands first: the daemon may close it while a call, in another thread, ends it too
        pipe, self._pipe = self._pipe, None
        process, self._process = self._process, None
        if pipe is not None:
            pipe.close()
        if process is not None:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ready(self, module: str) -> Connection:
        if self._pipe is not None and self._process is not None and self._process.poll() is None:
            return self._pipe
        self.close()  # who killed it while it was idle does not matter to this document
        return self._start(module)

    def _start(self, module: str) -> Connection:
        ours, theirs = socket.socketpair()
        pipe = self._pipe = Connection(ours.detach())
        with theirs:
            number = theirs.fileno()
            self._process = subprocess.Popen(  # noqa: S603 - this very interpreter and module
                [sys.executable, "-m", "monitor.isolate", str(number), str(self._deadline + GRACE), module],
                pass_fds=[number],
                stdin=subprocess.DEVNULL,
                env=os.environ | _ENVIRONMENT,
            )
        if not pipe.poll(START):
            self.close()
            raise ParseError("crash", "the parser's process does not start")
        pipe.recv()
        return pipe


def _serve(pipe: Connection, longest: float, module: str) -> None:
    """Answer calls until the other end is closed, whoever closes it: a parent that was killed leaves no orphan.

    longest: seconds after which a call ends the process. module: imported before the first call, out of its time.
    """
    # Ctrl-C and `systemctl stop` reach the whole group; the parent says when we go.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    importlib.import_module(module)
    pipe.send("ready")
    # with its memory used up it goes too: what others left there would cost the next document
    with contextlib.suppress(EOFError, OSError, MemoryError):
        while True:
            function, args, kwargs = pipe.recv()
            signal.setitimer(signal.ITIMER_REAL, longest)  # its default action ends the process, whatever runs in it
            pipe.send(_answer(function, args, kwargs))
            signal.setitimer(signal.ITIMER_REAL, 0)


def _answer(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[bool, Any]:
    try:
        return True, function(*args, **kwargs)
    except MonitorError as error:
        return False, error
    except MemoryError:
        raise
    except Exception as error:  # RecursionError among them: the document's fault
        return False, ParseError("crash", f"{type(error).__name__}: {str(error)[:_QUOTED]}")


if __name__ == "__main__":
    _serve(Connection(int(sys.argv[1])), float(sys.argv[2]), sys.argv[3])
