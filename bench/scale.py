"""Whether one process holds ten thousand feeds, and how many times lemon24/reader's feeds per second that is.

    python bench/scale.py [--feeds 10000] [--hosts 1000] [--seconds 300] [--only sustained|throughput]
                          [--documents ../shared/fixtures/real_feeds] [--reader-python venv/bin/python]

Fetching, parsing and writing down are measured, and so the engines and the judge are stood in for; all else is what `monitor
run` runs. Each contender is a process of its own that does what is written to its standard input, against a `feed_server` of
its own; all are watched from here, through /proc. Exits with 1 if a bar does not hold.

sustained: every feed was polled once, then has a time within the next interval; the daemon runs for `--seconds` of that.
throughput: all feeds as fast as may be, the two in turn, each alone; medians. `--reader-python` has `reader` from PyPI.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import io
import json
import os
import random
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

from feed_server import address, urls

ROOT = Path(__file__).resolve().parent.parent
#: A poll's deadline is so long after its time: a tick of the daemon, and two gaps at its host. Seconds.
GRACE = 5.0
#: The window begins so long after it was asked for. Seconds.
SOON = 2.0
#: A poll that came up before this end of the window is over with it, however slow the answer. Seconds.
LAST = 15.0
#: seconds; the monitor's own settings, and given to reader as well
CONNECT, READ = 10, 20

CPU_BAR, MEMORY_BAR, HOST_BAR, TIMES_BAR = 0.25, 400.0, 2, 10.0


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--documents", type=Path, default=ROOT.parent / "shared/fixtures/real_feeds")
    ask.add_argument("--feeds", type=int, default=10_000)
    ask.add_argument("--hosts", type=int, default=1_000)
    ask.add_argument("--minutes", type=float, default=15.0, help="interval of every feed; less, for a quick try")
    ask.add_argument("--concurrency", type=int, default=64, help="of the sustained run")
    ask.add_argument("--seconds", type=float, default=300.0, help="window of the sustained run, within an interval")
    ask.add_argument("--side-by-side", type=int, default=1_500, help="feeds of the throughput run")
    ask.add_argument("--all-at-once", type=int, default=512, help="concurrency of the throughput run")
    ask.add_argument("--workers", type=int, default=10, help="of reader: its guide has 10")
    ask.add_argument("--rounds", type=int, default=3)
    ask.add_argument("--reader-python", type=Path, help="an interpreter that can import reader")
    ask.add_argument("--only", choices=["sustained", "throughput"])
    ask.add_argument("--be", choices=sorted(CONTENDERS), help=argparse.SUPPRESS)
    ask.add_argument("--task", type=json.loads, help=argparse.SUPPRESS)
    args = ask.parse_args()
    if args.be:
        CONTENDERS[args.be](Task(**args.task))
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # both ends of all connections, those kept alive as well
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; documents of {args.documents}")
    well = args.only == "throughput" or sustained(args)
    well &= args.only == "sustained" or throughput(args)
    sys.exit(0 if well else 1)


# -- the sustained run ----------------------------------------------------------------------------


def sustained(args: argparse.Namespace) -> bool:
    """Run the daemon for a part of an interval, and print how it did; whether all bars hold."""
    if args.seconds > 0.85 * 60 * args.minutes:
        sys.exit("--seconds: at most 0.85 of --minutes, so that no feed comes twice")
    print(
        f"\nsustained: {args.feeds:,} feeds on {args.hosts:,} hosts, each in {args.minutes:g} min, {args.seconds:.0f} s of it"
    )
    with _server(args, args.feeds) as server, tempfile.TemporaryDirectory() as folder:
        task = Task(folder, args.feeds, args.hosts, server.port, args.concurrency, args.minutes, host_gap=2.0)
        with _contender("ours", sys.executable, task) as monitor:
            warm = _first_poll(monitor, args.feeds)
            server.stats()
            served = server.cpu()
            window = monitor.do(f"run {args.seconds}")
            stats, served = server.stats(), server.cpu() - served
    _row("first poll of all", _cost(warm))
    late, left_alone = _lateness(window.answer["due"], stats["arrivals"])
    missed = window.answer["missed"]
    polls = len(stats["arrivals"])
    _row("polls", f"{polls:,} ({polls / window.wall:.1f} a second): {_counted(stats['fates'])}")
    _row("", f"{left_alone} more were due at hosts that had asked to wait")
    main_share, child_share = (cpu / window.wall for cpu in (window.cpu_main, window.cpu_children))
    _row("CPU of the monitor, its parser", f"{main_share:.1%} and {child_share:.1%} of a core")
    share, memory = window.cpu / window.wall, sum(window.memory)
    bars = [
        _bar("CPU together", f"{share:.1%} of a core", f"under {CPU_BAR:.0%}", share < CPU_BAR),
        _bar("memory, at most", _both(window.memory), f"under {MEMORY_BAR:.0f} MB", memory < MEMORY_BAR),
        _bar("after its time", _spread(late), f"within {GRACE:.0f} s", max(late) <= GRACE),
        _bar("never polled", str(missed), "none", not missed),
        _bar("at once on a host", str(stats["most_at_once"]), f"{HOST_BAR} at most", stats["most_at_once"] <= HOST_BAR),
    ]
    _row("the server itself", f"{served / window.wall:.1%} of a core")
    return all(bars)


def _first_poll(contender: Contender, feeds: int) -> Done:
    """Poll every feed; what follows says nothing if that fails."""
    done = contender.do("all")
    if done.answer.get("failed", 0) > 0.1 * feeds:
        sys.exit(f"first polls: {_counted(done.answer)}; its log ends\n{contender.last_words()}")
    return done


def _cost(done: Done) -> str:
    return f"{done.wall:.0f} s, {done.cpu:.0f} s of CPU, {_both(done.memory)} at most, {done.answer.get('failed', 0)} failed"


def _lateness(due: Sequence[tuple[int, float]], arrivals: Sequence[tuple[int, float]]) -> tuple[list[float], int]:
    """How long after its time (feed and Unix time, both) each poll came to the server, and how many never came."""
    came = dict(reversed(arrivals))
    late = [came[feed] - when for feed, when in due if feed in came]
    return late, len(due) - len(late)


def _spread(late: Sequence[float]) -> str:
    ranked = sorted(late)
    return f"{ranked[len(ranked) // 2]:.1f} s, p99 {ranked[len(ranked) * 99 // 100]:.1f} s, at most {ranked[-1]:.1f} s"


def _both(memory: tuple[float, float]) -> str:
    return f"{memory[0]:.0f} + {memory[1]:.0f} MB"


def _counted(fates: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {fate}" for fate, count in sorted(fates.items(), key=lambda one: -one[1]))


def _row(name: str, value: str, verdict: str = "") -> None:
    print(f"  {name:32}{value:44}{verdict}", flush=True)


def _bar(name: str, value: str, bar: str, holds: bool) -> bool:
    _row(name, value, f"{bar}: {'holds' if holds else 'DOES NOT HOLD'}")
    return holds


# -- side by side ---------------------------------------------------------------------------------


def throughput(args: argparse.Namespace) -> bool:
    """Let both poll the same feeds, and print by how much ours is faster; whether that is enough."""
    if not args.reader_python:
        print("\nthroughput: skipped, no interpreter was named that has reader (--reader-python)")
        return True
    feeds = args.side_by_side
    print(f"\nthroughput: {feeds:,} feeds on {args.hosts:,} hosts, {args.rounds} rounds, the two in turn")
    pythons = {"ours": (sys.executable, args.all_at_once), "reader": (str(args.reader_python), args.workers)}
    rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in pythons}
    with contextlib.ExitStack() as stack:
        pairs = {}
        for name, (python, concurrency) in pythons.items():
            server = stack.enter_context(_server(args, feeds))
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            task = Task(folder, feeds, args.hosts, server.port, concurrency, args.minutes, host_gap=0.0)
            pairs[name] = stack.enter_context(_contender(name, python, task)), server
            _row(name, f"first poll of all: {_cost(_first_poll(pairs[name][0], feeds))}")
        for _ in range(args.rounds):
            for name, pair in pairs.items():
                rounds[name].append(_round(name, *pair))
    a_second, a_cpu_second = ({name: statistics.median(r[n] for r in rounds[name]) for name in pythons} for n in (0, 1))
    for name in pythons:
        _row(name, f"{a_second[name]:.1f} feeds a second, {a_cpu_second[name]:.1f} a second of CPU")
    times, cpu_times = (rate["ours"] / rate["reader"] for rate in (a_second, a_cpu_second))
    _row("by CPU", f"{cpu_times:.1f} times reader's")
    return _bar("feeds a second", f"{times:.1f} times reader's", f"at least {TIMES_BAR:.0f}", times >= TIMES_BAR)


def _round(name: str, contender: Contender, server: Server) -> tuple[float, float]:
    """Poll all feeds; how many a second, and a second of CPU."""
    server.stats()
    done = contender.do("all")
    # what was asked, not what was to be: a host that wants to be left alone costs nothing
    polls = len(dict(server.stats()["arrivals"]))
    cpu = f"{done.cpu_main:.1f} + {done.cpu_children:.1f} s"
    _row(name, f"{polls:,} polls in {done.wall:.1f} s, CPU {cpu}, {_both(done.memory)}")
    return polls / done.wall, polls / done.cpu


# -- processes, watched from outside --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Task:
    """What a contender needs to know."""

    #: where it may write
    folder: str
    feeds: int
    hosts: int
    port: int
    concurrency: int
    #: between two polls of a feed
    minutes: float
    #: seconds
    host_gap: float


@dataclass(frozen=True, slots=True)
class Done:
    """What one command cost: seconds, and MB at the worst moment, of the process and of its children."""

    wall: float
    cpu_main: float
    cpu_children: float
    memory: tuple[float, float]
    answer: Any

    @property
    def cpu(self) -> float:
        return self.cpu_main + self.cpu_children


class Contender:
    """A process that reads commands, one a line, and answers each with a line of JSON when it is done."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log
        self._answer()  # it has its feeds

    def do(self, command: str) -> Done:
        assert self._process.stdin is not None
        main, children = self._process.pid, _children(self._process.pid)
        for pid in (main, *children):
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # proc(5): the peak is counted anew
        before, start = self._cpu(), time.monotonic()
        print(command, file=self._process.stdin, flush=True)
        answer = self._answer()
        wall, after = time.monotonic() - start, self._cpu()
        memory = (_peak(main), sum(map(_peak, _children(main))))
        return Done(wall, after[0] - before[0], after[1] - before[1], memory, answer)

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"it ended with {self._process.wait()}; its log ends\n{self.last_words()}")
        return json.loads(line)

    def last_words(self) -> str:
        return "\n".join(self._log.read_text().splitlines()[-5:])

    def _cpu(self) -> tuple[float, float]:
        main = self._process.pid
        own, gone = _cpu(main)
        return own, gone + sum(sum(_cpu(child)) for child in _children(main))


class Server:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self._process = process
        self.port = int(process.stdout.readline())

    def stats(self) -> Any:
        """What was seen since the last look."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/stats") as answer:
            return json.load(answer)

    def cpu(self) -> float:
        return _cpu(self._process.pid)[0]


@contextlib.contextmanager
def _server(args: argparse.Namespace, feeds: int) -> Iterator[Server]:
    script = [sys.executable, str(Path(__file__).with_name("feed_server.py"))]
    with _started([*script, "--documents", str(args.documents), "--feeds", str(feeds)], None) as process:
        yield Server(process)


@contextlib.contextmanager
def _contender(name: str, python: str, task: Task) -> Iterator[Contender]:
    command = [python, __file__, "--be", name, "--task", json.dumps(asdict(task))]
    file = Path(task.folder) / "log"
    with file.open("w") as log, _started(command, log) as process:
        yield Contender(process, file)


@contextlib.contextmanager
def _started(command: Sequence[str], log: IO[str] | None) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _cpu(pid: int) -> tuple[float, float]:
    """The seconds of CPU of a process, and of its children that have ended (proc(5))."""
    values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system, gone_user, gone_system = (int(value) / os.sysconf("SC_CLK_TCK") for value in values[11:15])
    return user + system, gone_user + gone_system


def _children(pid: int) -> list[int]:
    return [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]


def _peak(pid: int) -> float:
    """The most memory of a process, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


# -- the contenders -------------------------------------------------------------------------------


def ours(task: Task) -> None:
    asyncio.run(_ours(task))


async def _ours(task: Task) -> None:
    from monitor import log
    from monitor.config import Config, Polling
    from monitor.model import Feed
    from monitor.store import Store

    log.set_up("info", "json")
    app: Any = importlib.import_module("monitor.app")
    app.open_learning = _nothing_learnt
    app.Judge = _unjudging()
    interval = timedelta(minutes=task.minutes)
    polling = Polling(
        interval=interval,
        floor=interval,
        ceiling=interval,
        concurrency=task.concurrency,
        host_gap=timedelta(seconds=task.host_gap),
        connect_timeout=timedelta(seconds=CONNECT),
        read_timeout=timedelta(seconds=READ),
        allow_private=tuple(map(address, range(task.hosts))),
    )
    config = Config(state=Path(task.folder), rules=Path(task.folder), polling=polling)
    feeds = urls(task.feeds, task.hosts, task.port)

    def add_feeds(store: Store) -> None:
        for feed in feeds:
            store.add_feed(Feed(feed), datetime.now(UTC))

    async with app.open_monitor(config, {}, io.StringIO()) as monitor:
        await monitor.ask(add_feeds)
        _say(None)
        while words := (await asyncio.to_thread(sys.stdin.readline)).split():
            if words[0] == "all":
                _say(Counter(await monitor.poll_all()))
            else:
                _say(await _run(monitor, feeds, interval, float(words[1])))


async def _run(monitor: Any, feeds: Sequence[str], interval: timedelta, seconds: float) -> dict[str, Any]:
    """Give the feeds times spread evenly over the next interval, and run the daemon for a part of it.

    Gives the feeds that came up, by number, with their Unix times, and how many of them were not polled.
    """
    from monitor import daemon
    from monitor.store import Store

    # not at once: what is overdue when it starts, the daemon spreads out itself
    start = datetime.now(UTC) + timedelta(seconds=SOON)
    order = random.Random(1).sample(range(len(feeds)), len(feeds))
    times = {number: start + interval * place / len(feeds) for place, number in enumerate(order)}
    await monitor.ask(lambda store: store.put_off({feeds[number]: when for number, when in times.items()}))
    asyncio.get_running_loop().call_later(SOON + seconds, os.kill, os.getpid(), signal.SIGTERM)
    await daemon.run(monitor, {})
    due = {number: when for number, when in times.items() if when < start + timedelta(seconds=seconds - LAST)}
    polled = {state.feed.url: state.last_poll for state in await monitor.ask(Store.feeds)}
    missed = sum(polled[feeds[number]] < when for number, when in due.items())
    return {"due": [(number, when.timestamp()) for number, when in due.items()], "missed": missed}


def _say(answer: object) -> None:
    print(json.dumps(answer), flush=True)


def _nothing_learnt(_config: object) -> Any:
    """What `app.open_learning` gives, without engines."""
    import numpy as np

    class Still:
        """An engine that sees no difference."""

        id = "still@0"

        def embed(self, texts: Sequence[str]) -> Any:
            return np.full((len(texts), 4), 0.5, dtype=np.float32)

    class NoTopics:
        topics: Mapping[str, Any] = {}

        def judge(self, _embedded: object) -> tuple[()]:
            return ()

    class Learning:
        embedder = Still()
        background = None

        def matcher(self, _topics: object, _known: object = None) -> NoTopics:
            return NoTopics()

    return Learning()


def _unjudging() -> Any:
    """A judge to whom each item is a story of its own that matters to nobody."""
    from monitor.model import Decision, Placement, Record, Relation, Verdict
    from monitor.pipeline import Judge
    from monitor.text import gist, text_hash

    class Unjudging(Judge):
        def judge(self, embedded: Any, *_: Any, **__: Any) -> Record:
            return self._record(embedded)

        def judge_edit(self, embedded: Any, before: Any, *_: Any, **__: Any) -> Record:
            return self._record(embedded, before)

        def _record(self, embedded: Any, before: Any = None) -> Record:
            item = embedded.item
            placement = Placement(item.id, Relation.ROOT, because="it was not compared")
            decision = Decision(Verdict.NO_MATCH, "it was not judged")
            return Record(embedded, text_hash(gist(item.title, item.text)), (), placement, decision, before)

    return Unjudging


def reader(task: Task) -> None:
    """lemon24/reader, https://github.com/lemon24/reader, as its guide uses it."""
    from reader import make_reader

    feeds = make_reader(str(Path(task.folder) / "reader.sqlite"), session_timeout=(CONNECT, READ))
    for feed in urls(task.feeds, task.hosts, task.port):
        feeds.add_feed(feed)
    _say(None)
    for _ in sys.stdin:
        results = feeds.update_feeds_iter(scheduled=False, workers=task.concurrency)
        _say(Counter("failed" if isinstance(result.value, Exception) else "well" for result in results))


CONTENDERS: dict[str, Callable[[Task], None]] = {"ours": ours, "reader": reader}

if __name__ == "__main__":
    main()
