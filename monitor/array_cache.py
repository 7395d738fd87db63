"""Arrays that cost seconds to make again, kept between commands in files of the user's cache, and read without a copy.

Only a saving of time: a file that is damaged, of another version of the program, or that cannot be read or written, is none.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

Arrays: TypeAlias = Mapping[str, NDArray[Any]]

#: Files kept of a kind, the latest: states and models that somebody looked back on; a quarter of a gigabyte for 100,000 items.
KEPT = 3
#: Where an array may begin; numbers in memory are read faster from there.
_ALIGNED = 64


class ArrayCache:
    """A folder of such files; made when first written."""

    def __init__(self, folder: Path, made_by: str) -> None:
        """made_by: the version of the program, or of the part of it that says what the arrays mean."""
        self.folder = folder
        self._made_by = made_by

    def load(self, kind: str, name: str) -> tuple[str, Arrays] | None:
        """The key that it was kept with, and the arrays, which cannot be written to."""
        try:
            whole = np.memmap(self._path(kind, name), dtype=np.uint8, mode="r")
            length, checked = np.frombuffer(bytes(whole[-16:]), dtype="<u8").tolist()
            if zlib.crc32(whole[:-8].data) != checked:
                return None
            about = json.loads(bytes(whole[-16 - length : -16]))
            if about["made by"] != self._made_by:
                return None
            found = {
                array: whole[start : start + size].view(form).reshape(shape)
                for array, (form, shape, start, size) in about["arrays"].items()
            }
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return str(about["key"]), found

    def save(self, kind: str, name: str, key: str, arrays: Arrays) -> None:
        """Keep some in place of what was kept under the name; beyond KEPT of a kind, those that were kept first go."""
        with contextlib.suppress(OSError):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, made = tempfile.mkstemp(dir=self.folder, prefix=f"{kind}-", suffix=".new")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    self._write(file, key, arrays)
                Path(made).replace(self._path(kind, name))
            except BaseException:
                Path(made).unlink(missing_ok=True)
                raise
            there = sorted(self.folder.glob(f"{kind}-*.arrays"), key=lambda path: path.stat().st_mtime)
            for path in there[:-KEPT]:
                path.unlink(missing_ok=True)

    def _write(self, file: BinaryIO, key: str, arrays: Arrays) -> None:
        """The arrays, one after the other; where each stands; how long that is, and the check of all."""
        parts: list[bytes | memoryview] = []
        places: dict[str, tuple[str, Sequence[int], int, int]] = {}
        at = 0
        for name, array in arrays.items():
            places[name] = (array.dtype.str, array.shape, at, array.nbytes)
            parts += [np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, bytes(-array.nbytes % _ALIGNED)]
            at += array.nbytes + -array.nbytes % _ALIGNED
        about = json.dumps({"made by": self._made_by, "key": key, "arrays": places}).encode()
        parts += [about, len(about).to_bytes(8, "little")]
        checked = 0
        for part in parts:
            checked = zlib.crc32(part, checked)
            file.write(part)
        file.write(checked.to_bytes(8, "little"))

    def _path(self, kind: str, name: str) -> Path:
        return self.folder / f"{kind}-{name}.arrays"
