import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from monitor import log as log_module
from monitor.log import hide, redacted, set_up

Style = Literal["json", "text"]

#: Put together here, so that no scanner takes this file for a leak.
TOKENS = [
    "xox" + "b-1234567890-abcdefABCDEF",
    "xox" + "p-1-2-3-fedcba",
    "xox" + "e.xox" + "p-1-Mi0yLTE",
    "xapp" + "-1-A0B1-123-abc",
    "https://hooks.slack.com/services/" + "T000/B000/XXXXyyyy",
]


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """The log is the process's: give back what was there."""
    root = logging.getLogger()
    handlers, level, before = root.handlers[:], root.level, structlog.get_config()
    hooks, hidden = (sys.excepthook, threading.excepthook), log_module.hidden[:]
    yield
    sys.excepthook, threading.excepthook = hooks
    log_module.hidden[:] = hidden
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**before)


def secret(token: str) -> str:
    """What of a token must never be read."""
    return token.removeprefix("https://hooks.slack.com/services/")


def tell_everything(token: str) -> None:
    """Every way we know in which a secret can come to a log."""
    log = structlog.get_logger()
    log.info(f"sent with {token}")
    log.info("field", token=token, url=f"POST {token} failed")
    log.info("nested", headers={"Authorization": f"Bearer {token}"}, tries=[token, {"again": (token,)}])
    log.info("object", error=ValueError(token))
    log.bind(bound=token).warning("bound")
    try:
        raise ValueError(f"refused: {token}")
    except ValueError as error:
        log.error("failed", error=str(error), exc_info=error)
        log.exception("failed again")
        logging.getLogger("slack_sdk").exception("library: %s", token)
    logging.getLogger("aiohttp").warning("library: %s", {"token": token})


@pytest.mark.parametrize("style", ["json", "text"])
@pytest.mark.parametrize("token", TOKENS, ids=["bot", "user", "rotated", "app", "webhook"])
def test_no_secret_gets_out(style: Style, token: str, capsys: pytest.CaptureFixture[str]) -> None:
    set_up("debug", style)
    tell_everything(token)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("…") >= 10
    assert secret(token) not in err
    assert "refused: " in err


def test_one_json_object_a_line_for_each_event(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("info", "json")
    for token in TOKENS:
        tell_everything(token)
    structlog.get_logger().info("two\nlines", value="a\nb", emoji="金砖 😀", number=3)
    lines = capsys.readouterr().err.splitlines()
    events = [json.loads(line) for line in lines]
    assert len(events) == 9 * len(TOKENS) + 1
    assert all({"event", "level", "timestamp"} <= set(event) for event in events)
    last = events[-1]
    assert (last["event"], last["value"], last["emoji"], last["number"]) == ("two\nlines", "a\nb", "金砖 😀", 3)
    assert last["timestamp"].endswith("Z")


def test_text_is_one_line_an_event_with_the_event_first(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("info", "text")
    structlog.get_logger().info("poll", feed="https://h.example/rss", outcome="new", items=3)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.split()[1:] == ["[info", "]", "poll", "feed=https://h.example/rss", "outcome=new", "items=3"]


@pytest.mark.parametrize("style", ["json", "text"])
def test_a_traceback_is_told_without_the_values_of_variables(style: Style, capsys: pytest.CaptureFixture[str]) -> None:
    """A frame's locals hold whole configurations."""
    set_up("info", style)
    hidden = "a value " + "of a local"
    try:
        raise ValueError("told")
    except ValueError:
        structlog.get_logger().exception("failed")
    err = capsys.readouterr().err
    assert "ValueError: told" in err
    assert hidden not in err


def test_auto_is_json_where_no_person_reads(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("info", "auto")
    structlog.get_logger().info("poll")
    assert json.loads(capsys.readouterr().err)["event"] == "poll"


@pytest.mark.parametrize(
    ("level", "ours", "theirs"),
    [
        ("debug", ["debug", "info", "warning"], ["warning"]),
        ("info", ["info", "warning"], ["warning"]),
        ("warning", ["warning"], ["warning"]),
        ("error", [], []),
    ],
)
def test_levels(level: str, ours: list[str], theirs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The libraries' chatter stays out at any level."""
    set_up(level, "json")
    for name in ("debug", "info", "warning"):
        getattr(structlog.get_logger(), name)("ours")
        getattr(logging.getLogger("apscheduler"), name)("theirs")
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [event["level"] for event in events if event["event"] == "ours"] == ours
    assert [event["level"] for event in events if event["event"] == "theirs"] == theirs


# -- what does not give itself away by its form ----------------------------------------------------

#: as an operator may choose one: in an address, a header, a key
PLANTED = 'Tr0ub4dor & "3"/ä'


@pytest.mark.parametrize("style", ["json", "text"])
def test_what_is_known_to_be_secret_is_hidden_however_it_is_written(
    style: Style, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up("debug", style)
    hide([PLANTED, "short"])
    tell_everything(PLANTED)
    structlog.get_logger().info("quoted", url="https://h.example/?q=Tr0ub4dor%20%26%20%223%22%2F%C3%A4")
    structlog.get_logger().info("a short story")
    err = capsys.readouterr().err
    assert "Tr0ub4dor" not in err
    assert "a short story" in err


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET https://reader:hunter22@feeds.example/a?b=1", "GET https://…@feeds.example/a?b=1"),
        ("https://feeds.example/rss?api_key=abc123&x=1", "https://feeds.example/rss?api_key=…&x=1"),
        ('{"url": "https://feeds.example/?a=1&token=abc"}', '{"url": "https://feeds.example/?a=1&token=…"}'),
        ("https://feeds.example/?keyword=trade&page=2", "https://feeds.example/?keyword=trade&page=2"),
        ("write to desk@wire.example", "write to desk@wire.example"),
    ],
)
def test_password_and_key_in_an_address_are_hidden(text: str, shown: str) -> None:
    assert redacted(text) == shown


def test_traceback_that_python_would_write_itself_is_hidden_too(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("info", "json")
    hide([PLANTED])

    def fail() -> None:
        raise RuntimeError(f"no answer with {PLANTED}")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    try:
        fail()
    except RuntimeError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)  # catch_warnings has put back what was there
        warnings.warn(f"{PLANTED} is old", stacklevel=1)
    err = capsys.readouterr().err
    assert "Tr0ub4dor" not in err
    events = [json.loads(line) for line in err.splitlines()]
    assert [event["event"] for event in events[:2]] == ["uncaught", "uncaught"]
    assert all("RuntimeError: no answer with …" in event["exception"] for event in events[:2])
