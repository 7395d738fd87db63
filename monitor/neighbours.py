"""Finds the rows whose vectors point where another does, through faiss.

A vector is kept as the signs of its projections on random directions: the share of signs that differ tells the angle
(Charikar 2002, "Similarity estimation techniques from rounding algorithms"). Up to `EXACT` rows every code is looked at;
beyond, those in the lists nearest to the one asked for (Johnson, Douze, Jégou 2017, "Billion-scale similarity search with
GPUs").
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import faiss
import numpy as np
from numpy.typing import NDArray

from monitor.model import Vector

#: Signs a vector is kept as. Of the 20 nearest by cosine, 128 candidates by 384 signs hold 93 %, by 256 signs 87 %.
BITS = 384
#: Rows up to which every code is looked at: 0.4 ms for 30,000.
EXACT = 30_000
#: Lists that codes are put in beyond that, how many are searched, and from how many codes they are learnt. Of the 20 nearest
#: of 100,000 headlines by cosine they hold 80 % among 96 candidates, where looking at every code holds 85 %.
LISTS, SEARCHED, LEARNT_FROM = 1_024, 24, 20_000


class Neighbours:
    """Rows that can be asked for by vector. A row may be added again: it is then found by what it was and by what it is."""

    def __init__(self, dimension: int) -> None:
        # any directions do, but the same ones always: what is found must not change with a restart
        self._planes = np.random.default_rng(0).normal(size=(dimension, BITS)).astype(np.float32)
        #: of each code, its row
        self._rows = array("i")
        self._flat = faiss.IndexBinaryFlat(BITS)
        self._lists: faiss.IndexBinaryIVF | None = None
        # one thread: the model's own threads are not to be crowded out
        faiss.omp_set_num_threads(1)

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: int, vector: Vector) -> None:
        self.add_all([row], vector[None])

    def add_all(self, rows: Sequence[int], vectors: Vector) -> None:
        """Add many rows, a vector each: as if one by one, and much quicker."""
        codes, room = self._codes(vectors), max(EXACT - len(self), 0)
        self._rows.extend(rows)
        if self._lists is None:
            self._flat.add(codes[:room])
            codes = codes[room:]
        if len(codes):
            (self._lists or self._make_lists()).add(codes)

    def nearest(self, vector: Vector, count: int) -> NDArray[np.int32]:
        """At most so many rows, in ascending order; nearly always the nearest ones."""
        if not len(self):
            return np.zeros(0, dtype=np.int32)
        _, found = (self._lists or self._flat).search(self._codes(vector[None]), min(count, len(self)))
        rows = np.sort(np.frombuffer(self._rows, dtype=np.int32)[found[0][found[0] >= 0]])
        # an amended row has two codes
        is_first = np.concatenate([[True], rows[1:] > rows[:-1]])
        return np.asarray(rows[is_first], dtype=np.int32)

    def _codes(self, vectors: Vector) -> NDArray[np.uint8]:
        return np.packbits(vectors @ self._planes > 0, axis=1)

    def _make_lists(self) -> faiss.IndexBinaryIVF:
        codes = self._flat.reconstruct_n(0, self._flat.ntotal)
        self._quantizer = faiss.IndexBinaryFlat(BITS)  # faiss keeps no hold of it
        lists = faiss.IndexBinaryIVF(self._quantizer, BITS, LISTS)
        lists.cp.niter = 5
        lists.cp.min_points_per_centroid = 1  # it is asked for with fewer than it likes, and would say so at each start
        lists.nprobe = SEARCHED
        lists.train(codes[:: max(1, len(codes) // LEARNT_FROM)])
        lists.add(codes)
        self._lists, self._flat = lists, faiss.IndexBinaryFlat(BITS)
        return lists
