"""Texts that are seldom asked for, in a file without a name: the kernel keeps in memory what is read, and the file ends with
the process. Where the disk takes no more, they are kept in memory.
"""

from __future__ import annotations

import os
import tempfile
import weakref


class Spool:
    """Bytes by where they begin. The file is in `$TMPDIR`, or where Python puts such files."""

    def __init__(self) -> None:
        self._size = 0
        #: what no disk took
        self._held: dict[int, bytes] = {}
        self._file: int | None = None
        try:
            with tempfile.TemporaryFile() as file:
                self._file = os.dup(file.fileno())
        except OSError:
            return
        weakref.finalize(self, os.close, self._file)

    def add(self, text: bytes) -> int:
        """Keep a text; where it begins."""
        start = self._size
        if not self._written(text, start):
            self._held[start] = text
        self._size += len(text)
        return start

    def read(self, start: int, size: int) -> bytes:
        """The text of this size that was added there."""
        if start in self._held:
            return self._held[start]
        return b"" if self._file is None else os.pread(self._file, size, start)

    def _written(self, text: bytes, start: int) -> bool:
        try:
            return self._file is not None and os.pwrite(self._file, text, start) == len(text)
        except OSError:
            return False
