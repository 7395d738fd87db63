"""Names by number and numbers by name, in some 30 bytes each where a list and a dictionary take 180. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

import numpy as np

#: Names that are looked up in a dictionary before they are sorted in with the others: at least so many, and such a share.
RECENT, RECENT_SHARE = 1_024, 1 / 256


class Ids:
    """Names in the order added, from 0 on. One may be added again: its last number counts."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._text = bytearray()
        self._ends = array("I", [0])
        # hashes in order, with a number each
        self._hashes = np.zeros(0, dtype=np.int64)
        self._numbers = np.zeros(0, dtype=np.int32)
        self._recent: dict[str, int] = {}
        for name in names:
            self.append(name)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, number: int) -> str:
        return self._text[self._ends[number] : self._ends[number + 1]].decode("utf-8", "surrogatepass")

    def append(self, name: str) -> None:
        self._recent[name] = len(self)
        self._text += name.encode("utf-8", "surrogatepass")
        self._ends.append(len(self._text))
        if len(self._recent) > max(RECENT, len(self) * RECENT_SHARE):
            self._sort_in()

    def find(self, name: str) -> int | None:
        """The name's number; None if it has none."""
        if name in self._recent:
            return self._recent[name]
        here = hash(name)
        start, end = (int(np.searchsorted(self._hashes, here, side)) for side in ("left", "right"))
        # two names may have one hash
        same = (int(number) for number in self._numbers[start:end] if self[int(number)] == name)
        return max(same, default=None)

    def _sort_in(self) -> None:
        hashes = np.concatenate([self._hashes, np.fromiter(map(hash, self._recent), np.int64)])
        numbers = np.concatenate([self._numbers, np.fromiter(self._recent.values(), np.int32)])
        order = np.argsort(hashes, kind="stable")  # nearly all are in order: a twelfth of the time
        self._hashes, self._numbers, self._recent = hashes[order], numbers[order], {}
