import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import make
import pytest
import strange_functions as strange

from monitor import isolate
from monitor.errors import ParseError
from monitor.isolate import MEMORY, Isolated
from monitor.model import Document
from monitor.parse import USUAL, parse

HERE = str(Path(__file__).parent)


@pytest.fixture(autouse=True)
def _strange_functions_can_be_imported_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", HERE)


@pytest.fixture
def isolated() -> Iterator[Isolated]:
    """With a deadline that nothing meets by accident."""
    with Isolated(60) as process:
        yield process


@pytest.fixture(scope="module")
def usual() -> Iterator[Isolated]:
    """The same for all who leave it as it was: to start one takes a tenth of a second, or more where others work too."""
    with pytest.MonkeyPatch.context() as patch, Isolated(60) as process:
        patch.setenv("PYTHONPATH", HERE)
        process.call(strange.whoami)
        yield process


@pytest.fixture
def impatient() -> Iterator[Isolated]:
    with Isolated(0.3) as process:
        yield process


def wait_until(true: Callable[[], bool]) -> None:
    """Wait for what must happen; for a minute, because a test must end as well."""
    for _ in range(6_000):
        if true():
            return
        time.sleep(0.01)
    pytest.fail("it did not happen")


def is_gone(pid: int) -> bool:
    """A zombie, whom only its parent can bury, is gone as well."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


# -- what comes back ------------------------------------------------------------------------------


def test_a_function_gives_what_it_gives_here(usual: Isolated) -> None:
    assert usual.call(strange.double, 21) == 42
    assert usual.call(strange.keywords, first="a") == "ab"
    assert usual.call(strange.keywords, first="a", second="c") == "ac"


def test_the_parser_runs_there_as_it_does_here(isolated: Isolated) -> None:
    document = Document(make.feed(), make.feed().url, {}, make.rss(("Strike hits Kharkiv", "Two people died.")))
    assert isolated.call(parse, document, make.NOW, USUAL) == parse(document, make.NOW, USUAL)


def test_it_runs_in_another_process_the_same_for_all_calls(isolated: Isolated) -> None:
    first = isolated.call(strange.whoami)
    assert first != os.getpid()
    assert isolated.call(strange.whoami) == first
    assert [isolated.call(strange.count_calls) for _ in range(3)] == [1, 2, 3]


def test_a_large_document_goes_there_and_a_large_answer_comes_back(usual: Isolated) -> None:
    assert usual.call(strange.size, b"x" * 20_000_000) == 20_000_000
    assert len(usual.call(strange.zeros, 20_000_000)) == 20_000_000


def test_what_we_raise_on_purpose_comes_back_whole(usual: Isolated) -> None:
    with pytest.raises(ParseError) as raised:
        usual.call(strange.refuse)
    assert (raised.value.cause, raised.value.detail, str(raised.value)) == (
        "html",
        "a page for people",
        "html: a page for people",
    )


def test_any_other_exception_is_a_crash_that_says_what_it_was(usual: Isolated) -> None:
    with pytest.raises(ParseError, match=r"^crash: ValueError: not so$"):
        usual.call(strange.stumble, "not so")


def test_an_exception_that_quotes_the_document_is_cut(usual: Isolated) -> None:
    with pytest.raises(ParseError) as raised:
        usual.call(strange.stumble, "x" * 1_000_000)
    assert len(str(raised.value)) < 300


def test_recursion_without_end_is_a_crash(usual: Isolated) -> None:
    with pytest.raises(ParseError, match=r"^crash: RecursionError"):
        usual.call(strange.recurse)


@pytest.mark.parametrize("fatal", [strange.leave, strange.leave_politely, strange.crash_hard, strange.unpicklable])
def test_a_process_that_ends_is_a_crash(isolated: Isolated, fatal: Callable[[], object]) -> None:
    with pytest.raises(ParseError, match=r"^crash: the parser's process ended$"):
        isolated.call(fatal)


def test_more_memory_than_allowed_is_a_crash(isolated: Isolated) -> None:
    with pytest.raises(ParseError, match=r"^crash"):
        isolated.call(strange.devour, MEMORY + 1)


def test_a_function_that_never_returns_is_too_slow(impatient: Isolated) -> None:
    with pytest.raises(ParseError, match=r"^too slow: not read within 0\.3 s$"):
        impatient.call(strange.sleep_for_ever)


# -- what it costs the next document --------------------------------------------------------------


@pytest.mark.parametrize("harmless", [strange.refuse, strange.recurse])
def test_after_an_exception_the_same_process_goes_on(usual: Isolated, harmless: Callable[[], object]) -> None:
    before = usual.call(strange.whoami)
    with pytest.raises(ParseError):
        usual.call(harmless)
    assert usual.call(strange.whoami) == before


@pytest.mark.parametrize("fatal", [strange.leave, strange.leave_politely, strange.crash_hard, strange.unpicklable])
def test_after_a_process_that_ended_another_takes_over(isolated: Isolated, fatal: Callable[[], object]) -> None:
    for _ in range(2):
        with pytest.raises(ParseError):
            isolated.call(fatal)
        assert isolated.call(strange.double, 21) == 42


def test_after_one_that_was_too_slow_another_takes_over(impatient: Isolated, tmp_path: Path) -> None:
    for n in range(2):
        diary = tmp_path / str(n)
        with pytest.raises(ParseError, match=r"^too slow"):
            impatient.call(strange.sleep_for_ever, str(diary))
        assert is_gone(int(diary.read_text()))


def test_after_one_that_used_up_its_memory_another_starts_empty(isolated: Isolated) -> None:
    before = isolated.call(strange.whoami)
    with pytest.raises(ParseError):
        isolated.call(strange.devour, MEMORY + 1)
    assert isolated.call(strange.whoami) != before


def test_a_process_that_was_killed_while_idle_costs_no_document(isolated: Isolated) -> None:
    pid = isolated.call(strange.whoami)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: is_gone(pid))
    assert isolated.call(strange.double, 21) == 42


def test_a_function_that_cannot_be_sent_costs_nothing_but_itself(usual: Isolated) -> None:
    usual.call(strange.whoami)
    with pytest.raises((AttributeError, TypeError), match="pickle"):
        usual.call(lambda: None)
    assert usual.call(strange.double, 21) == 42


# -- starting and ending --------------------------------------------------------------------------


@pytest.mark.parametrize("python", ["/bin/false", "/nowhere/python"])
def test_a_process_that_does_not_start_is_a_crash_and_is_tried_again(
    isolated: Isolated, monkeypatch: pytest.MonkeyPatch, python: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", python)
        for _ in range(2):
            with pytest.raises(ParseError, match=r"^crash: the parser's process ended$"):
                isolated.call(strange.double, 21)
    assert isolated.call(strange.double, 21) == 42


def test_a_process_that_never_says_it_is_ready_is_a_crash(
    isolated: Isolated, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mute = tmp_path / "python"
    mute.write_text("#!/bin/sh\nexec sleep 600\n")
    mute.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(mute))
    monkeypatch.setattr(isolate, "START", 0.1)
    with pytest.raises(ParseError, match=r"^crash: the parser's process does not start$"):
        isolated.call(strange.double, 21)


def test_no_process_is_started_before_it_is_needed_and_closing_none_is_fine() -> None:
    with Isolated(60) as process:
        process.close()
        process.close()


def test_a_closed_process_is_gone_and_the_next_call_starts_another(isolated: Isolated) -> None:
    pid = isolated.call(strange.whoami)
    isolated.close()
    assert is_gone(pid)
    assert isolated.call(strange.whoami) != pid


def test_it_does_not_reserve_memory_for_every_core(usual: Isolated) -> None:
    assert usual.call(strange.environment, "OPENBLAS_NUM_THREADS") == "1"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_stops_the_daemon_does_not_stop_the_process_before_it(usual: Isolated, number: signal.Signals) -> None:
    assert usual.call(strange.signal_self, int(number)) == "still here"
    pid = usual.call(strange.whoami)
    os.kill(pid, number)
    assert usual.call(strange.whoami) == pid


# -- no orphans -----------------------------------------------------------------------------------

#: deadline, what is called, its arguments: a daemon that is killed with its process at work, or at rest
PARENT = """
import sys
import strange_functions as strange
from monitor import isolate
isolate.GRACE = 0.0
process = isolate.Isolated(float(sys.argv[1]))
print(process.call(strange.whoami), flush=True)
if len(sys.argv) > 2:
    process.call(strange.sleep_for_ever, sys.argv[2])
sys.stdin.read()
"""


def daemon(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - this very interpreter
        [sys.executable, "-c", PARENT, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_a_daemon_that_is_killed_leaves_no_process_at_rest() -> None:
    process = daemon("60")
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    kill(process)
    wait_until(lambda: is_gone(pid))


def test_a_daemon_that_is_killed_leaves_no_process_lost_in_a_document(tmp_path: Path) -> None:
    """The other end is closed, but it does not look: its own clock ends it."""
    diary = tmp_path / "diary"
    process = daemon("2", str(diary))
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    wait_until(lambda: diary.exists() and diary.read_text() == str(pid))
    kill(process)
    wait_until(lambda: is_gone(pid))
