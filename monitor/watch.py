"""Notice that topic files changed, by their times and sizes; what is in them is for `rules`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from monitor.rules import PACK, topic_files

#: the fact of the state that says what was wrong with the topic files when they were read last
REFUSED = "rules refused"

#: of each file: path, time of its last change, size, inode; of what cannot be looked at, zeros
Snapshot: TypeAlias = frozenset[tuple[str, int, int, int]]


def snapshot(folders: Sequence[Path]) -> Snapshot:
    """Look at the topic files of folders, and at their packs'."""
    seen = []
    for folder in folders:
        try:
            files = topic_files(folder)
        except OSError:
            seen.append((str(folder), 0, 0, 0))
            continue
        for path in (folder / PACK, *files):
            try:
                found = path.stat()
            except OSError:
                if os.path.lexists(path):
                    seen.append((str(path), 0, 0, 0))
            else:
                seen.append((str(path), found.st_mtime_ns, found.st_size, found.st_ino))
    return frozenset(seen)


class Watch:
    """Remembers what was read, and tells when there is something else that stands still."""

    def __init__(self, read: Snapshot | None) -> None:
        """read: as the files were when they were read; None: they are to be read again in any case."""
        self.read = read
        self._last: Snapshot | None = None

    def changed(self, now: Snapshot) -> bool:
        """Tell whether files are others than were read, and the same as at the last look: none of them is half written."""
        settled, self._last = now == self._last, now
        return settled and now != self.read
