"""A database of each earlier level becomes one of today, whole: tests/data/databases, which `keep_database.py` made."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import make
import pytest
from fakes import FakeSink
from keep_database import KEPT, ROWS
from world import at_once

from monitor.database import APPLICATION_ID, FILE
from monitor.model import DeliveryState
from monitor.pipeline import Courier, deliver
from monitor.schema import names
from monitor.store import Store

LEVELS = sorted(KEPT.glob("*.sql"))


def kept(level: Path, folder: Path) -> Path:
    """A folder of state of that level."""
    with contextlib.closing(sqlite3.connect(folder / FILE, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.executescript(level.read_text(encoding="utf-8"))
    return folder


def rows(folder: Path) -> dict[str, list[dict[str, object]]]:
    with contextlib.closing(sqlite3.connect(folder / FILE)) as connection:
        connection.row_factory = sqlite3.Row
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
        return {
            table: [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2")]  # noqa: S608 - ours
            for (table,) in tables.fetchall()
        }


def schema(folder: Path) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(folder / FILE)) as connection:
        return [
            *connection.execute("SELECT type, name, tbl_name FROM sqlite_master ORDER BY 1, 2"),
            *connection.execute(
                "SELECT m.name, c.* FROM sqlite_master m, pragma_table_info(m.name) c ORDER BY m.name, c.cid"
            ),
        ]


def test_each_level_is_kept() -> None:
    """If this fails, a migration is new: run `python tests/keep_database.py`, and give its tables a row there."""
    assert [level.stem for level in LEVELS] == names()


def test_kept_databases_have_rows_in_all_tables() -> None:
    latest = LEVELS[-1].read_text(encoding="utf-8")
    assert [table for table in ROWS if f'INSERT INTO "{table}"' not in latest] == []


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.stem)
def test_every_row_is_kept(level: Path, tmp_path: Path) -> None:
    before = rows(kept(level, tmp_path))
    Store.open(tmp_path).close()
    after = rows(tmp_path)
    assert min(map(len, before.values())) > 0
    for table, known in before.items():
        now = [{name: row[name] for name in known[0]} for row in after[table]]
        assert now == known if table != "_sqlite_migrations" else now[: len(known)] == known
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.stem)
def test_schema_is_that_of_a_new_database(level: Path, tmp_path: Path) -> None:
    for folder in (tmp_path / "old", tmp_path / "new"):
        folder.mkdir()
    Store.open(kept(level, tmp_path / "old")).close()
    Store.open(tmp_path / "new").close()
    assert schema(tmp_path / "old") == schema(tmp_path / "new")


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.stem)
async def test_what_waited_is_told_once(level: Path, tmp_path: Path) -> None:
    sink = FakeSink()
    with contextlib.closing(Store.open(kept(level, tmp_path))) as store:
        store.doubt_all_sending(make.NOW)
        store.unblock_all(make.NOW)
        for _ in range(2):
            await deliver(Courier(sink, store, at_once, at_once, lambda: make.NOW, make.NOW - make.NOW))
        told = sorted(told.alert.id for told in sink.messages)
        assert told == ["alert-blocked", "alert-queued", "alert-sending", "alert-unknown"]
        assert store.outbox_counts() == {"sent": 5, "dead": 1}


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.stem)
def test_all_of_it_can_be_read(level: Path, tmp_path: Path) -> None:
    with contextlib.closing(Store.open(kept(level, tmp_path))) as store:
        numbers = store.numbers(make.NOW)
        assert (numbers.stories, numbers.verdicts) == (2, {"alert": 2})
        [first, second] = list(store.timelines(every=True))
        assert first.story.items == second.story.items == 1
        known = store.explain(first.story.id)
        assert known
        assert [match.topic for match in known.matches] == ["t"]
        assert len(store.deliveries(*DeliveryState)) == 6
        assert len(store.silences()) == (level.stem >= "m006")
        assert len(store.rulings_on(first.story.id) + store.rulings_on(second.story.id)) == (level.stem >= "m005")
        assert len(store.subscriptions()) == len(store.ailments()) == (level.stem >= "m002")
        assert len(store.feedback(make.NOW)) == (level.stem >= "m008")
        assert store.was_let_go("0123456789") == (level.stem >= "m010")
