"""Copies of the database: made beside a monitor at work, looked through, and put back.

Whole copies alone: a database file that is copied while somebody writes, or without its -wal, is none.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from monitor.database import APPLICATION_ID, FILE, LOCK, Lock, as_json, as_text, refuse_newer, unusable
from monitor.errors import BusyError, StateError

#: backups in a folder, by when they were made; nothing else there is touched
_NAME = "monitor-%Y%m%dT%H%M%SZ.sqlite3"
_PATTERN = "monitor-" + "[0-9]" * 8 + "T" + "[0-9]" * 6 + "Z.sqlite3"
_PART = ".monitor-backup.part"
#: https://www.sqlite.org/pragma.html#pragma_auto_vacuum
_INCREMENTAL = 2
#: Seconds to wait for who writes just now. Only what is noted of a backup waits at all.
_PATIENCE = 10.0
#: the fact in which the last backup stands
BACKUP = "backup"


def back_up(folder: Path, target: Path, keep: int, now: datetime) -> Path:
    """Copy the database of a folder of state to a file, or into a folder, of which the `keep` newest stay; which file it is.

    Raises: StateError, BusyError.
    """
    file = target / now.strftime(_NAME) if target.is_dir() else target
    if file.exists():
        raise StateError(f"{file}: there is something already, and it is not overwritten")
    _whole_copy(folder / FILE, file)
    if target.is_dir():
        for old in sorted(target.glob(_PATTERN))[:-keep]:
            old.unlink()
    _note(folder / FILE, file, now)
    return file


def restore(folder: Path, file: Path, now: datetime) -> Path | None:
    """Put a backup in the place of a folder's database; where the old one is now, None if there was none.

    Raises: StateError, having changed nothing; BusyError.
    """
    with Lock(folder):
        place, part = folder / FILE, folder / f"{FILE}.part"
        part.unlink(missing_ok=True)  # of a restore that was killed
        _whole_copy(file, part)
        aside = _put_aside(place, place.with_name(f"{FILE}.{now:%Y%m%dT%H%M%SZ}")) if place.exists() else None
        part.replace(place)
        _sync(folder)
        if os.geteuid() == 0:  # a service that may not be root must have it
            for name in (FILE, LOCK):
                os.chown(folder / name, folder.stat().st_uid, folder.stat().st_gid)
    return aside


def last_backup(fact: str) -> tuple[datetime, str] | None:
    """When the last backup was made, and where; `fact` is what is remembered of it."""
    row = json.loads(fact) if fact else None
    return (datetime.fromisoformat(row["at"]), row["file"]) if row else None


def _whole_copy(source: Path, target: Path) -> None:
    """Copy a database, look through the copy, and give it its name once it is whole and on the disk."""
    if not source.is_file():
        raise StateError(f"{source}: there is no database")
    part = target.with_name(_PART)
    try:
        with _held(part):
            with _opened(source) as connection:
                connection.execute("VACUUM INTO ?", (str(part),))
            with _opened(part) as connection:
                if connection.execute("PRAGMA auto_vacuum").fetchone() != (_INCREMENTAL,):
                    # made before there was this: it gives room back from now on
                    connection.execute(f"PRAGMA auto_vacuum = {_INCREMENTAL}")
                    connection.execute("VACUUM")
                [(found,), *_] = connection.execute("PRAGMA integrity_check(1)").fetchall()
                if found != "ok":
                    raise sqlite3.DatabaseError(f"the copy is not whole: {found}")
            _sync(part)
            if target.exists():
                raise StateError(f"{target}: there is something already, and it is not overwritten")
            part.rename(target)
            _sync(target.parent)
    except OSError as error:
        raise StateError(f"{target}: cannot be written: {error}") from error
    except sqlite3.Error as error:
        # what is wrong with the source is said of it by its own name
        is_room = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
        raise unusable(target if is_room else source, error) from error


@contextlib.contextmanager
def _held(part: Path) -> Iterator[None]:
    """An empty file that its owner alone may read, and no other copy is made into; gone at the end, whatever happens."""
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BusyError(f"another backup is being made in {part.parent}") from error
        os.ftruncate(descriptor, 0)
        os.fchmod(descriptor, 0o600)
        try:
            yield
        finally:
            part.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A database of ours, which this program knows how to read. Nothing is written to it."""
    with contextlib.closing(sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)) as connection:
        (owner,) = connection.execute("PRAGMA application_id").fetchone()
        if owner != APPLICATION_ID:
            raise sqlite3.DatabaseError("it is no database of the monitor's")
        refuse_newer(connection)
        yield connection


def _put_aside(place: Path, aside: Path) -> Path:
    """Give the old database, which may be damaged, a second name, and its -wal, without which it is not whole, that of it.

    It keeps the first name, until another takes it: at no moment is there none, of which a start would make an empty one.
    """
    with contextlib.suppress(sqlite3.Error), _opened(place) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    os.link(place, aside)
    for end in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            place.with_name(place.name + end).rename(aside.with_name(aside.name + end))
    return aside


def _note(database: Path, file: Path, now: datetime) -> None:
    """Remember the backup in the database itself; that it cannot be written takes nothing from the copy."""
    with contextlib.suppress(sqlite3.Error), _opened(database) as connection:
        connection.execute(
            "INSERT INTO facts (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (BACKUP, as_json({"at": as_text(now), "file": str(file.absolute())})),
        )


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
