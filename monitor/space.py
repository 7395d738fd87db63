"""The space in which stories are compared: each engine's part of a vector, centred on what its language has in common, and
cut down to the directions in which ordinary items differ most, so that a million open items fit in memory. Pure.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from monitor.background import Background, Matrix, tongue
from monitor.model import EmbeddedItem, Vector
from monitor.words import WordWeights

#: Dimensions kept of each part: of the 20 nearest by all 384, 98 % are among the 40 nearest by these.
KEPT = 128


class Space(Protocol):
    """What `group` asks of it."""

    #: dimensions of a vector
    dimension: int
    #: where each part begins and ends
    bounds: list[tuple[int, int]]
    #: the first and the last dimension of the part by which any two items can be compared
    common: tuple[int, int]
    word_weights: WordWeights

    def vector(self, embedded: EmbeddedItem) -> Vector:
        """Place an item; each part has length 1, or is zero where its engine does not read the item's language."""
        ...


class CompactSpace:
    """A background's space. Parts are made compact by their principal components (Jolliffe 2002)."""

    def __init__(self, background: Background) -> None:
        self._background = background
        rows = background.rows
        self._axes = [_axes(rows[:, start:end]) for start, end in background.bounds]
        ends = np.cumsum([axes.shape[1] for axes in self._axes]).tolist()
        self.bounds = list(zip([0, *ends], ends, strict=False))
        self.dimension = ends[-1]
        everywhere = [n for n, reads in enumerate(background.languages) if not reads]
        self.common = self.bounds[everywhere[0] if everywhere else 0]
        self.word_weights = background.word_weights

    def vector(self, embedded: EmbeddedItem) -> Vector:
        item = embedded.item
        unit = self._background.unit(embedded.vector, tongue(item))
        out = np.zeros(self.dimension, dtype=np.float32)
        for (start, end), (first, last), axes, reads in zip(
            self._background.bounds, self.bounds, self._axes, self._background.languages, strict=True
        ):
            # an engine that knows one language says something of the others too, and it is wrong
            if not reads or item.language in reads or not item.language:
                out[first:last] = unit[start:end] @ axes
                length = np.linalg.norm(out[first:last])
                out[first:last] /= length or 1
        return out


def _axes(rows: Matrix) -> Matrix:
    """The directions in which the rows differ most, a column each; rows that are all zero do not count."""
    living = rows[np.any(rows, axis=1)]
    if rows.shape[1] <= KEPT or len(living) < KEPT:
        return np.eye(rows.shape[1], dtype=np.float32)
    _, axes = np.linalg.eigh(living.T @ living)
    # turned, any way but always the same, so that all dimensions count alike: they are kept in few steps
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(KEPT, KEPT)))
    return np.ascontiguousarray(axes[:, ::-1][:, :KEPT] @ turn, dtype=np.float32)
