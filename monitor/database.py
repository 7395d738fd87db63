"""The database's connection and transactions, who may use it, and what its rows mean: what the stores stand on.

One connection, used by one thread. Every write is a transaction that begins IMMEDIATE (a deferred one that reads before it
writes fails at once if somebody else wrote in between). `synchronous` stays FULL: with NORMAL a power cut may forget that
a message was being sent, and it would be sent again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from sqlite_utils import Database

from monitor.errors import BusyError, StateError
from monitor.model import Feed, Item, Placement, Relation, Vector
from monitor.schema import migrations, names

Row = dict[str, Any]

FILE = "monitor.sqlite3"
LOCK = "monitor.lock"
#: "nmon": marks the file as ours, https://www.sqlite.org/pragma.html#pragma_application_id
APPLICATION_ID = 0x6E6D6F6E


class Lock:
    """A folder of state belongs to one process that writes alerts; the kernel lets go when that process dies."""

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StateError(_unusable(folder, error)) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _holder(folder)[0] or "unknown"
            os.close(self._descriptor)
            raise BusyError(
                f"another monitor (process {holder}) works on {folder}: stop it, or give this one a state folder of its own"
            ) from error
        try:
            self._write("")
        except OSError as error:
            os.close(self._descriptor)
            raise StateError(_unusable(folder, error)) from error

    def note(self, trouble: str) -> None:
        """Say, beside the process's number, what keeps it from its work; empty once nothing does any more.

        Here, because a full disk takes no new file, nor another block of this one.
        """
        with contextlib.suppress(OSError):  # the log has it
            self._write(trouble)

    def _write(self, trouble: str) -> None:
        words = f"{os.getpid()}\n{trouble}".rstrip().encode()
        os.pwrite(self._descriptor, words, 0)
        os.ftruncate(self._descriptor, len(words))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.note("")
        os.close(self._descriptor)


def trouble(folder: Path) -> str:
    """What keeps the monitor that works on a folder from its work; empty if nothing does, or none works on it."""
    return (_holder(folder)[1] or _read_only(folder)) if is_at_work(folder) else ""


def _read_only(folder: Path) -> str:
    """What a monitor could not write down, in its words: that the file system takes nothing any more.

    ext4 says so after an error of the disk to who opens a file, and to nobody else.
    """
    try:
        os.close(os.open(folder / LOCK, os.O_WRONLY))
    except OSError as error:
        if error.errno == errno.EROFS:
            return f"nothing is polled or sent: the file system of {folder} is read-only. Look after the disk"
    return ""


def is_at_work(folder: Path) -> bool:
    """Whether a monitor works on a folder."""
    try:
        os.kill(int(_holder(folder)[0]), 0)
    except PermissionError:
        return True  # somebody else's process
    except (OSError, ValueError):
        return False
    return True


def _holder(folder: Path) -> tuple[str, str]:
    try:
        process, _, words = (folder / LOCK).read_text(encoding="utf-8").partition("\n")
    except OSError:
        return "", ""
    return process.strip(), words.strip()


def _unusable(folder: Path, error: OSError) -> str:
    return f"{folder}: cannot be used as the monitor's folder of state: {error}"


class Connected:
    """The database in a folder of state, and how it is read and written."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._database = Database(connection)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open the folder's database, making and migrating it as needed. To be called in the thread that will use it.

        Raises: StateError, having written nothing to a file that is not ours.
        """
        path = folder / FILE
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
            try:
                _refuse_strangers(connection)
                refuse_newer(connection)
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA foreign_keys = ON")
                store = cls(connection)
                migrations.apply(store._database)
            except BaseException:
                connection.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise unusable(path, error) from error
        return store

    @classmethod
    def in_memory(cls) -> Self:
        store = cls(sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False))
        store._connection.execute("PRAGMA foreign_keys = ON")
        migrations.apply(store._database)
        return store

    def close(self) -> None:
        self._connection.close()

    def fact(self, key: str) -> str:
        """What was remembered under a key; empty if nothing was."""
        row = self._one("SELECT value FROM facts WHERE key = ?", key)
        return str(row["value"]) if row else ""

    def remember(self, key: str, value: str) -> None:
        with self._writing():
            self._remember(key, value)

    def _remember(self, key: str, value: str) -> None:
        self._connection.execute(
            "INSERT INTO facts (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (key, value),
        )

    def _tally(self, what: str) -> dict[str, int]:
        """How many rows there are, by key, where there are any: see `tallies` in the schema."""
        rows = self._rows("SELECT key, n FROM tallies WHERE what = ? AND n > 0", what)
        return {row["key"]: row["n"] for row in rows}

    @contextlib.contextmanager
    def _writing(self, *, durably: bool = True) -> Iterator[None]:
        """A transaction that holds the write lock from its first statement; rolled back if the block raises.

        Not `durably`: a power cut may undo it, whole, with all that came after it. So it is for what the next poll would
        find out again; the next durable transaction makes it last as well.
        """
        with _told("written"):
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if durably else 'NORMAL'}")
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk has rolled it back already
                    self._connection.execute("ROLLBACK")
                raise

    def damage(self) -> str:
        """What is wrong with the file, having read all of it; empty if nothing is."""
        found = str(self._rows("PRAGMA quick_check(1)")[0]["quick_check"])
        return "" if found == "ok" else found

    def _vacuum(self, pages: int) -> None:
        """Give so many free pages back to the disk."""
        with _told("written"):
            # as a script: `execute` takes one step of the statement, which frees one page
            self._connection.executescript(f"PRAGMA synchronous = NORMAL; PRAGMA incremental_vacuum({pages});")

    def _rows(self, sql: str, *values: object) -> list[Row]:
        with _told("read"):
            return list(self._database.query(sql, values))

    def _tuples(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """The same, for a great many rows: as objects they take ten times as long."""
        with _told("read"):
            return self._connection.execute(sql, values).fetchall()

    def _one(self, sql: str, *values: object) -> Row | None:
        return next(iter(self._rows(sql, *values)), None)


@contextlib.contextmanager
def _told(done: str) -> Iterator[None]:
    """Turn what SQLite says of the database's state into an error of ours; what it says of our SQL and rows is a bug."""
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
        raise
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        told = StateError(f"the database cannot be {done}: {error}{_WHAT_TO_DO.get(code, '')}")
        told.permanent = code in _DAMAGED
        raise told from error


def unusable(path: Path, error: Exception) -> StateError:
    """What is to be done about a database, or a copy of one, that cannot be used."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    told = StateError(f"{path}: cannot be used as the monitor's database: {error}{_WHAT_TO_DO.get(code, '')}")
    told.permanent = code in _DAMAGED
    return told


_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_WHAT_TO_DO = {
    **dict.fromkeys(_DAMAGED, ". It is damaged: put a backup back (monitor restore FILE)"),
    sqlite3.SQLITE_FULL: ". Make room on the disk",
    sqlite3.SQLITE_READONLY: ". Make it, and its folder, writable for the user that the monitor runs as",
    sqlite3.SQLITE_CANTOPEN: ". Make it, and its folder, writable for the user that the monitor runs as",
    sqlite3.SQLITE_IOERR: ". Look after the disk",
}


def refuse_newer(connection: sqlite3.Connection) -> None:
    """Refuse a database that a later program migrated: what it means now, this one cannot know.

    Raises: sqlite3.DatabaseError.
    """
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = '_sqlite_migrations'").fetchone():
        rows = connection.execute("SELECT name FROM _sqlite_migrations WHERE migration_set = 'monitor'")
        if newer := sorted({name for (name,) in rows} - set(names())):
            raise sqlite3.DatabaseError(
                f"a newer version of the program has changed it ({newer[-1]}): install that one, or put back a backup of "
                "before (monitor restore FILE)"
            )


def _refuse_strangers(connection: sqlite3.Connection) -> None:
    """Refuse a database that another program made; mark a new one as ours. Fails by itself on what is no database.

    Raises: sqlite3.DatabaseError.
    """
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    if tables and owner != APPLICATION_ID:
        raise sqlite3.DatabaseError("it is another program's database")
    if not tables:
        # before the first byte of the file: later it takes a copy of the whole
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def chunks(values: Sequence[str], size: int = 500) -> Iterator[Sequence[str]]:
    """SQLite takes a limited number of parameters in one statement."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def as_text(time: datetime | None) -> str | None:
    return time.astimezone(UTC).isoformat(timespec="milliseconds") if time else None


def as_time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def need_time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def as_vector(blob: bytes) -> Vector:
    return np.frombuffer(blob, dtype="<f2").astype(np.float32)


ITEMS = """SELECT i.*, f.title AS feed_title, f.kind AS feed_kind, f.country AS feed_country, f.language AS feed_language,
    f.site AS feed_site FROM items i JOIN feeds f ON f.url = i.feed_url"""


def as_item(row: Row) -> Item:
    return Item(
        id=row["id"],
        feed=Feed(
            row["feed_url"],
            row["feed_title"],
            row["feed_kind"],
            row["feed_country"],
            row["feed_language"],
            row["feed_site"],
        ),
        title=row["title"],
        text=row["text"],
        link=row["link"],
        canonical_link=row["canonical_link"],
        language=row["language"],
        published=as_time(row["published"]),
        first_seen=need_time(row["first_seen"]),
        published_raw=row["published_raw"],
        content=row["content_hash"],
        revision=row["revision"],
    )


def as_placement(row: Row) -> Placement:
    return Placement(row["story_id"], Relation(row["relation"]), row["parent_id"], row["likeness"], row["because"])
