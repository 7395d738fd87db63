"""An archive of items, gzipped or not, one JSON object a line:
{"id", "title", "text"?, "lang"?, "published"?, "source"?, "url"?}; and labels: the same with "topic" and "on".

A line that is no item is named with its number and left out; nothing else is lost with it.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from monitor.errors import Problem, StateError
from monitor.model import Feed, Item, Label, LabelOrigin
from monitor.text import canonical_link, language_code, plain


def read_archive(path: Path, now: datetime) -> tuple[list[Item], list[Problem]]:
    """Read all items, in the order given, and what is wrong with the other lines.

    An item without a time of publication gets that of the item before it; `now`, if there is none before it.

    Raises: StateError if the file cannot be read at all.
    """
    items: list[Item] = []
    problems: list[Problem] = []
    clock = now
    try:
        for number, line in _lines(path):
            if not line.strip():
                continue
            try:
                item = _item(line, clock)
            except (ValueError, TypeError, RecursionError) as error:
                problems.append(Problem(str(path), number, f"skipped: {error}"))
                continue
            clock = item.first_seen
            items.append(item)
    except (OSError, EOFError, zlib.error) as error:
        raise StateError(f"{path}: cannot be read: {error}") from error
    return items, problems


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open("rb") as file:
        unpacked = gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file
        with io.TextIOWrapper(unpacked, encoding="utf-8-sig", errors="replace", newline="\n") as lines:
            yield from enumerate(lines, 1)


def _item(line: str, clock: datetime) -> Item:
    row = json.loads(line)
    if not isinstance(row, dict):
        raise TypeError("a line must be one JSON object")
    texts = {key: row.get(key) or "" for key in ("title", "text", "lang", "published", "source", "url")}
    if wrong := [key for key, value in texts.items() if not isinstance(value, str)]:
        raise TypeError(f"{wrong[0]} must be text")
    title = plain(texts["title"])
    text = plain(texts["text"])
    if not title:
        raise ValueError("no title")
    if not isinstance(row.get("id"), str | int) or row["id"] == "":
        raise ValueError("no id")
    str(row["id"]).encode()  # it is printed again: a lone surrogate, a ValueError, could not be
    published = _time(texts["published"]) if texts["published"] else None
    return Item(
        id=str(row["id"]),
        feed=Feed(url=f"archive:{texts['source']}", title=texts["source"]),
        title=title,
        text=text,
        link=texts["url"],
        canonical_link=canonical_link(texts["url"]),
        language=language_code(texts["lang"]),
        published=published,
        first_seen=published or clock,
    )


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"published is no ISO 8601 time: {text!r}") from None
    try:
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError(f"published is before the year 1 or after 9999: {text!r}") from None


# -- labels ---------------------------------------------------------------------------------------


def read_labels(path: Path, now: datetime) -> tuple[list[Label], list[Problem]]:
    """Read what people said of items, in the order in which they did; no file is nothing said.

    Raises: StateError if there is a file and it cannot be read.
    """
    labels: list[Label] = []
    problems: list[Problem] = []
    if not path.exists():
        return labels, problems
    try:
        for number, line in _lines(path):
            if not line.strip():
                continue
            try:
                labels.append(_label(line, now))
            except (ValueError, TypeError, RecursionError) as error:
                problems.append(Problem(str(path), number, f"skipped: {error}"))
    except (OSError, EOFError, zlib.error) as error:
        raise StateError(f"{path}: cannot be read: {error}") from error
    return labels, problems


def _label(line: str, now: datetime) -> Label:
    item, row = _item(line, now), json.loads(line)
    if not isinstance(row.get("topic"), str) or not isinstance(row.get("on"), bool):
        raise TypeError('a label needs "topic", a text, and "on", true or false')
    return Label(row["topic"], item, row["on"], LabelOrigin.LABEL)


def add_label(path: Path, label: Label) -> None:
    """Write down what somebody says, at once: who is asked may stop at any time.

    Raises: StateError.
    """
    item = label.item
    row = {
        "id": item.id, "title": item.title, "text": item.text, "lang": item.language,
        "published": item.at.isoformat(), "source": item.source, "url": item.link, "topic": label.topic, "on": label.on,
    }  # fmt: skip
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    except OSError as error:
        raise StateError(f"{path}: cannot be written: {error.strerror}") from error
