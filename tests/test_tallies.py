"""The database counts its rows as they come and go: what `tallies` says is what counting would find."""

from __future__ import annotations

import functools
import sqlite3

from hypothesis import given
from hypothesis import strategies as st
from sqlite_utils import Database

from monitor.schema import migrations

COUNTED = """
    SELECT 'feed', feed_url, count(*) FROM items GROUP BY feed_url
    UNION ALL SELECT 'verdict', verdict, count(*) FROM items GROUP BY verdict
    UNION ALL SELECT 'story', '', count(*) FROM stories HAVING count(*) > 0
    UNION ALL SELECT 'outbox', state, count(*) FROM outbox WHERE kind <> 'edit' GROUP BY state
"""
#: table, and the columns that anything is counted by
TABLES = {"items": ("feed_url", "verdict"), "stories": (), "outbox": ("state", "kind")}
ROWS = st.tuples(
    st.sampled_from(list(TABLES)), st.sampled_from("abcd"), st.sampled_from("xyz"), st.sampled_from(["root", "edit"])
)
STEPS = st.lists(st.tuples(st.sampled_from(["put", "put", "remove", "undone"]), ROWS), max_size=30)


def put(connection: sqlite3.Connection, table: str, row: tuple[str, str, str]) -> None:
    """Add a row, or change what it is counted by."""
    columns = connection.execute('SELECT name, type FROM pragma_table_info(?) WHERE "notnull"', (table,)).fetchall()
    given = dict(zip(("id", *TABLES[table]), row, strict=False))
    values = [given.get(name, 0 if kind in ("INTEGER", "REAL") else "") for name, kind in columns]
    names, marks = ", ".join(name for name, _ in columns), ", ".join("?" * len(columns))
    changes = ", ".join(f"{name} = excluded.{name}" for name in TABLES[table] or ("id",) if name != "feed_url")
    sql = f"INSERT INTO {table} ({names}) VALUES ({marks}) ON CONFLICT (id) DO UPDATE SET {changes}"  # noqa: S608 - from above
    connection.execute(sql, values)


@functools.cache
def database() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrations.apply(Database(connection))
    return connection


@given(STEPS)
def test_tallies_are_what_counting_finds(steps: list[tuple[str, tuple[str, str, str, str]]]) -> None:
    connection = database()
    connection.execute("BEGIN")
    for step, (table, *row) in steps:
        connection.execute("SAVEPOINT step")
        if step == "remove":
            connection.execute(f"DELETE FROM {table} WHERE id = ?", row[:1])  # noqa: S608 - from above
        else:
            put(connection, table, (row[0], row[1], row[2]))
        if step == "undone":
            connection.execute("ROLLBACK TO step")
        connection.execute("RELEASE step")
    kept = connection.execute("SELECT what, key, n FROM tallies WHERE n <> 0").fetchall()
    counted = connection.execute(COUNTED).fetchall()
    connection.execute("ROLLBACK")
    assert sorted(kept) == sorted(counted)
