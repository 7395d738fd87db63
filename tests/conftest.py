"""What all tests share, to spare time: nothing here is looked at by a test."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
import structlog
from hypothesis import settings
from sqlite_utils import Database

from monitor import database
from monitor.schema import migrations

#: How long an example takes says more of the machine than of us.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


class _OnceInMemory:
    """Migrates databases; for one in memory, of which each is like the last, copies the first one that it migrated.

    Hundreds of tests begin with such a database, and migrating it costs ten times what the copy does. Files are migrated
    in earnest, and `test_store` holds what comes of that against `schema.migrations` itself.
    """

    def __init__(self) -> None:
        self._first = sqlite3.connect(":memory:", isolation_level=None)
        migrations.apply(Database(self._first))

    def apply(self, database: Database) -> None:
        connection = database.conn
        [(_, _, file), *others] = connection.execute("PRAGMA database_list").fetchall()
        if file or others or connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            migrations.apply(database)
        else:
            self._first.backup(connection)

    def close(self) -> None:
        self._first.close()


@pytest.fixture(scope="session", autouse=True)
def _databases_in_memory_are_migrated_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch, closing(_OnceInMemory()) as once:
        patch.setattr(database, "migrations", once)
        yield


@pytest.fixture(scope="session", autouse=True)
def _tracebacks_are_plain() -> None:
    """As `monitor.log` has them. structlog's own choice, where `rich` is installed, takes half a second for one."""
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads the vectors that whoever runs it has in his cache, or leaves any there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield
