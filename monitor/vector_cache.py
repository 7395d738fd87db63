"""Vectors of texts that a rule author tries again and again, kept between commands in a file of the user's cache.

Only a saving of time: what cannot be read or written is embedded anew, and nothing is said of it.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from monitor.model import Vector

FILE = "vectors.sqlite3"
#: Texts kept, the latest: some 1,600 bytes each.
KEPT = 50_000
#: Parameters of one statement; SQLite's own limit is 32,766.
_AT_ONCE = 900


class VectorCache:
    """One file; made when first written."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def known(self, keys: Sequence[str], model: str) -> dict[str, Vector]:
        """The vectors that are there, by key."""
        found: dict[str, Vector] = {}
        with contextlib.suppress(sqlite3.Error, OSError), self._open(make=False) as connection:
            for start in range(0, len(keys), _AT_ONCE):
                some = keys[start : start + _AT_ONCE]
                marks = ",".join("?" * len(some))
                rows = connection.execute(
                    f"SELECT key, vector FROM vectors WHERE model = ? AND key IN ({marks})",  # noqa: S608 - marks alone
                    (model, *some),
                ).fetchall()
                found |= {key: np.frombuffer(vector, dtype=np.float16).astype(np.float32) for key, vector in rows}
        return found

    def keep(self, vectors: Mapping[str, Vector], model: str) -> None:
        """Keep some; beyond KEPT, those that were kept first go."""
        with contextlib.suppress(sqlite3.Error, OSError), self._open(make=True) as connection:
            now = time.time()
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT OR REPLACE INTO vectors (model, key, kept, vector) VALUES (?, ?, ?, ?)",
                [(model, key, now, vector.astype(np.float16).tobytes()) for key, vector in vectors.items()],
            )
            connection.execute(
                "DELETE FROM vectors WHERE rowid IN (SELECT rowid FROM vectors ORDER BY kept DESC LIMIT -1 OFFSET ?)",
                (KEPT,),
            )
            connection.execute("COMMIT")

    def _open(self, *, make: bool) -> contextlib.closing[sqlite3.Connection]:
        """Raises: sqlite3.Error, OSError; also where there is nothing to read yet."""
        if make:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = "rwc" if make else "ro"
        connection = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=2
        )
        if make:
            connection.execute(
                """CREATE TABLE IF NOT EXISTS vectors (model TEXT NOT NULL, key TEXT NOT NULL, kept REAL NOT NULL,
                   vector BLOB NOT NULL, PRIMARY KEY (model, key)) STRICT"""
            )
        return contextlib.closing(connection)


def cache_of(env: Mapping[str, str]) -> VectorCache:
    """The user's own."""
    return VectorCache(cache_folder(env) / FILE)


def cache_folder(env: Mapping[str, str]) -> Path:
    """Ours of the user's, https://specifications.freedesktop.org/basedir-spec/: below $XDG_CACHE_HOME, else ~/.cache."""
    folder = env.get("XDG_CACHE_HOME", "")
    home = Path(folder) if folder.startswith("/") else Path(env.get("HOME") or "/dev/null") / ".cache"
    return home / "news-monitor"
