"""Keep a database of each level of the schema, as SQL, for `test_migrations`: `python tests/keep_database.py`.

A level that has its file keeps it: what was released is not made anew by what came later. Rows are of all tables; those that a
level added are in its own file and in those after it.
"""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from pathlib import Path

import make
from sqlite_utils import Database
from test_store import FEED, spine

from monitor.database import FILE
from monitor.schema import migrations, names

KEPT = Path(__file__).parent / "data" / "databases"

THEN = make.NOW.isoformat(timespec="milliseconds")
SENT = "alert-sent"
#: a row of each table that came after the first level; ITEM and STORY stand for ids that are there
ROWS: dict[str, tuple[object, ...]] = {
    "identities": ("another name", "ITEM"),
    "revisions": ("ITEM", 0, THEN, "a title of before", "a text of before"),
    "ailments": (FEED.url, "failing", "timeout for 2 days", THEN, THEN, None),
    "subscriptions": (FEED.url, "https://hub.example/", FEED.url, "active", THEN, 0, THEN, "", 3, 1, THEN),
    "opinions": ("key", 1, 0.9, "it is", "judge", THEN),
    "rulings": (1, THEN, "split", '{"story": "STORY", "stories": ["STORY"], "items": ["ITEM"], "before": {}}', "anna"),
    "silences": (1, "t", "", "", "C0NEWS", "[]", THEN, "anna", "enough", THEN, None),
    "blockages": ("C3", "not_in_channel", THEN, THEN),
    "adopted": ("C0NEWS", "told", "delivery", 1, "root", "1730212200.000100", "", "Troops seen", THEN, ""),
    "feedback": (SENT, "wrong", "U0ANNA", THEN),
    "let_go": ("0123456789abcdef", 1234567, THEN),
}


def keep(level: str) -> Path:
    """Write the database of a level, named after its last migration."""
    known = names()
    later = known[known.index(level) + 1 :]
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(sqlite3.connect(spine(Path(folder)) / FILE, isolation_level=None)) as connection,
    ):
        if level != known[0]:
            migrations.apply(Database(connection), stop_before=later[:1] or None)
        [(item, story), *_] = connection.execute("SELECT id, story_id FROM items").fetchall()
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            if table in ROWS and not connection.execute(f"SELECT 1 FROM {table}").fetchone():  # noqa: S608 - ours
                row = [
                    value.replace("ITEM", item).replace("STORY", story) if isinstance(value, str) else value
                    for value in ROWS[table]
                ]
                # those that it had first
                columns = connection.execute("SELECT name FROM pragma_table_info(?)", (table,)).fetchall()[: len(row)]
                named = ",".join(name for (name,) in columns)
                connection.execute(f"INSERT INTO {table} ({named}) VALUES ({','.join('?' * len(row))})", row)  # noqa: S608 - ours
        KEPT.mkdir(exist_ok=True)
        file = KEPT / f"{level}.sql"
        file.write_text("\n".join(connection.iterdump()) + "\n", encoding="utf-8")
    return file


if __name__ == "__main__":
    for name in names():
        if not (KEPT / f"{name}.sql").exists():
            print(keep(name))  # noqa: T201 - a script
