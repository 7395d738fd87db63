"""Backups: made beside a monitor at work, looked through, kept so many, and put back; and what a start says of a database that
cannot be used."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import make
import pytest
from click.testing import CliRunner, Result

from monitor import backup
from monitor.backup import back_up, last_backup, restore
from monitor.cli import main
from monitor.database import FILE, Lock, unusable
from monitor.errors import BusyError, StateError
from monitor.store import Store

NOW = make.NOW
FEED = make.feed()


@pytest.fixture(autouse=True)
def _nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "_PATIENCE", 0.05)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A folder of state with one feed in its database."""
    folder = tmp_path / "state"
    with closing(Store.open(folder)) as store:
        store.add_feed(FEED, NOW)
    return folder


@pytest.fixture
def at_work(state: Path) -> Iterator[sqlite3.Connection]:
    """A monitor in the middle of a transaction, whose last commits stand in the -wal alone."""
    with closing(sqlite3.connect(state / FILE, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("UPDATE feeds SET title = 'committed'")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE feeds SET title = 'not committed'")
        yield connection


def feeds(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        return [title for (title,) in connection.execute("SELECT title FROM feeds")]


def damage(file: Path) -> None:
    content = file.read_bytes()
    half = len(content) // 2
    file.write_bytes(content[:half] + b"\xff" * (len(content) - half))


def tell(folder: Path, *words: str) -> Result:
    config = folder.parent / "monitor.toml"
    config.write_text(f'state = "{folder}"\nrules = "{folder.parent}"\n', encoding="utf-8")
    return CliRunner().invoke(main, ["--config", str(config), *words])


# -- backup ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("at_work")
def test_backup_beside_a_monitor_at_work_is_what_was_committed(state: Path, tmp_path: Path) -> None:
    file = back_up(state, tmp_path / "copy.sqlite3", 7, NOW)
    assert feeds(file) == ["committed"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.sqlite3", "state"]


def test_backup_overwrites_nothing(state: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine", encoding="utf-8")
    with pytest.raises(StateError, match="not overwritten"):
        back_up(state, tmp_path / "mine", 7, NOW)
    assert (tmp_path / "mine").read_text(encoding="utf-8") == "mine"


def test_folder_keeps_the_newest_and_what_is_somebody_else_s(state: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    (folder / "monitor-notes.sqlite3").touch()
    for day in range(4):
        back_up(state, folder, 2, NOW + timedelta(days=day))
    assert sorted(path.name for path in folder.iterdir()) == [
        "monitor-20241031T143000Z.sqlite3", "monitor-20241101T143000Z.sqlite3", "monitor-notes.sqlite3",
    ]  # fmt: skip


def test_last_backup_is_remembered(state: Path, tmp_path: Path) -> None:
    file = back_up(state, tmp_path / "copy", 7, NOW)
    with closing(Store.open(state)) as store:
        assert last_backup(store.fact("backup")) == (NOW, str(file))
    assert last_backup("") is None


def test_damaged_database_gives_no_backup(state: Path, tmp_path: Path) -> None:
    damage(state / FILE)
    with pytest.raises(StateError, match="monitor restore"):
        back_up(state, tmp_path / "copy", 7, NOW)
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_folder_that_is_not_there_is_named(state: Path, tmp_path: Path) -> None:
    with pytest.raises(StateError, match=f"{tmp_path}/no/copy: cannot be written"):
        back_up(state, tmp_path / "no" / "copy", 7, NOW)


def test_two_backups_into_one_folder_do_not_meet(state: Path, tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / ".monitor-backup.part", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(BusyError, match="another backup"):
        back_up(state, tmp_path / "copy", 7, NOW)
    os.close(descriptor)


def test_backup_that_was_killed_leaves_nothing_that_hinders_the_next(state: Path, tmp_path: Path) -> None:
    (tmp_path / ".monitor-backup.part").write_bytes(b"half of a database")
    assert feeds(back_up(state, tmp_path / "copy", 7, NOW)) == [FEED.title]


# -- restore --------------------------------------------------------------------------------------


def test_backup_is_put_back_and_the_database_of_before_is_kept(state: Path, tmp_path: Path) -> None:
    copy = back_up(state, tmp_path / "copy", 7, NOW)
    with closing(Store.open(state)) as store:
        store.add_feed(make.feed(url="https://later.example/", title="later"), NOW)

    aside = restore(state, copy, NOW)

    assert feeds(state / FILE) == [FEED.title]
    assert aside
    assert feeds(aside) == [FEED.title, "later"]
    Store.open(state).close()


@pytest.mark.usefixtures("at_work")
def test_what_stood_in_the_log_of_the_database_of_before_is_kept_with_it(state: Path, tmp_path: Path) -> None:
    """Of a process that was killed: nobody has put its -wal into the file."""
    copy = back_up(state, tmp_path / "copy", 7, NOW)
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        connection.execute("UPDATE feeds SET title = 'of the backup'")
        connection.commit()
    aside = restore(state, copy, NOW)
    assert aside
    assert (feeds(state / FILE), feeds(aside)) == (["of the backup"], ["committed"])


def test_damaged_database_is_replaced_too(state: Path, tmp_path: Path) -> None:
    copy = back_up(state, tmp_path / "copy", 7, NOW)
    damage(state / FILE)
    damaged = (state / FILE).read_bytes()
    aside = restore(state, copy, NOW)
    assert aside
    assert (feeds(state / FILE), aside.read_bytes()) == ([FEED.title], damaged)


def test_missing_database_is_put_back_too(state: Path, tmp_path: Path) -> None:
    copy = back_up(state, tmp_path / "copy", 7, NOW)
    assert restore(tmp_path / "new", copy, NOW) is None
    assert feeds(tmp_path / "new" / FILE) == [FEED.title]


def newer(file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('monitor', 'm999_telepathy', '')"
        )


def foreign(file: Path) -> None:
    file.unlink()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE theirs (a)")


def not_one(file: Path) -> None:
    file.write_text("a letter\n" * 100, encoding="utf-8")


SPOILT = {
    newer: "m999_telepathy.*install that one",
    foreign: "no database of the monitor's",
    damage: "damaged",
    not_one: "damaged",
}


@pytest.mark.parametrize(("spoil", "said"), SPOILT.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_no_backup_is_refused_and_changes_nothing(
    state: Path, tmp_path: Path, spoil: object, said: str
) -> None:
    copy = back_up(state, tmp_path / "copy", 7, NOW)
    spoil(copy)  # type: ignore[operator]  # one of the four above
    before = (state / FILE).read_bytes()
    with pytest.raises(StateError, match=said):
        restore(state, copy, NOW)
    assert (state / FILE).read_bytes() == before
    assert sorted(path.name for path in state.iterdir() if not path.name.startswith(FILE + "-")) == [
        "monitor.lock",
        FILE,
    ]


def test_missing_backup_is_named(state: Path, tmp_path: Path) -> None:
    with pytest.raises(StateError, match=f"{tmp_path}/nothing: there is no database"):
        restore(state, tmp_path / "nothing", NOW)


def test_early_database_gives_room_back_once_it_was_copied(tmp_path: Path) -> None:
    early = tmp_path / "early"
    early.mkdir()
    with closing(sqlite3.connect(early / FILE)) as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.execute("DROP TABLE t")
        connection.execute("PRAGMA application_id = 0x6E6D6F6E")
    with closing(Store.open(early)) as store:
        assert not store.shrinks()
    restore(early, back_up(early, tmp_path / "copy", 7, NOW), NOW)
    with closing(Store.open(early)) as store:
        assert store.shrinks()


# -- as commands ----------------------------------------------------------------------------------


def test_commands(state: Path, tmp_path: Path) -> None:
    done = tell(state, "backup", str(tmp_path / "copy"))
    assert (done.exit_code, "MB, whole" in done.stdout) == (0, True)
    assert tell(state, "backup", str(tmp_path / "copy")).exit_code == 69
    done = tell(state, "backup", f"{tmp_path / 'new'}/")
    assert (done.exit_code, len(list((tmp_path / "new").iterdir()))) == (0, 1)
    with Lock(state):
        assert tell(state, "restore", str(tmp_path / "copy")).exit_code == 75
    done = tell(state, "restore", str(tmp_path / "copy"))
    assert (done.exit_code, "the database of before is monitor.sqlite3.2" in done.stdout) == (0, True)


@pytest.mark.parametrize("command", ["status", "run", "once"])
def test_damaged_database_at_a_start_says_what_to_do(state: Path, command: str) -> None:
    not_one(state / FILE)
    done = tell(state, command)
    assert done.exit_code == 69
    assert "It is damaged: put a backup back (monitor restore FILE)" in done.stderr


@pytest.mark.parametrize("command", ["status", "run"])
def test_newer_database_refuses_an_older_program(state: Path, command: str) -> None:
    newer(state / FILE)
    before = (state / FILE).read_bytes()
    done = tell(state, command)
    assert done.exit_code == 69
    assert "a newer version of the program has changed it (m999_telepathy): install that one" in done.stderr
    assert (state / FILE).read_bytes() == before


WORDS = {
    sqlite3.SQLITE_FULL: "Make room on the disk",
    sqlite3.SQLITE_READONLY: "writable for the user",
    sqlite3.SQLITE_CANTOPEN: "writable for the user",
    sqlite3.SQLITE_CORRUPT: "monitor restore FILE",
    sqlite3.SQLITE_NOTADB: "monitor restore FILE",
}


@pytest.mark.parametrize(("code", "said"), WORDS.items())
def test_each_trouble_has_its_remedy(tmp_path: Path, code: int, said: str) -> None:
    error = sqlite3.OperationalError("SQLite's words")
    error.sqlite_errorcode = code
    told = unusable(tmp_path / FILE, error)
    assert said in str(told)
    assert told.permanent == (said == "monitor restore FILE")


def test_full_disk_says_what_to_do(state: Path) -> None:
    with closing(sqlite3.connect(state / FILE, isolation_level=None)) as connection:
        store = Store(connection)
        [(pages,)] = connection.execute("PRAGMA page_count").fetchall()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StateError, match=r"full\. Make room on the disk"):
            store.remember("opened", "x" * 100_000)
