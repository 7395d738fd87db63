"""Ordinary news, against which topics are learnt: where it lies in each language, how it scatters, which words it uses. Pure.

A model puts each language in a place of its own, so a vector says something only when its language's mean is taken off.
A language of which there are few items leans on the mean of its script.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from monitor.model import Item, Vector
from monitor.text import gist, script
from monitor.words import Bags, WordIds, WordWeights

#: As many items as this weigh as much as their script in a language's mean.
LEANING = 30
#: A language (else a script) with fewer items than this has no scale of its own.
ENOUGH = 100
#: Covariance is shrunk this far towards each engine's mean diagonal. Measured: DESIGN.md, "Matching".
SHRINKAGE = 0.9
#: The share of the covariance that comes from the topics' own texts. Measured: DESIGN.md, "Matching".
PACK_SHARE = 0.15

Matrix: TypeAlias = Vector
#: for each engine's part of a vector, whether it lives or is all zero
Parts: TypeAlias = tuple[bool, ...]


class Tongue(NamedTuple):
    """What a text is written in."""

    #: ISO 639-1; empty where it could not be told
    language: str
    #: as `text.script` names it
    script: str


def tongue(item: Item) -> Tongue:
    """Tell what the part of an item that is embedded is written in."""
    return Tongue(item.language, script(gist(item.title, item.text)))


@dataclass(frozen=True, slots=True)
class Sample:
    """Ordinary items, a row each."""

    #: as `embed` gives them, shape (items, dimension)
    vectors: Matrix
    tongues: Sequence[Tongue]
    words: Sequence[WordIds]

    def __len__(self) -> int:
        return len(self.tongues)

    def __add__(self, other: Sample) -> Sample:
        return Sample(
            np.concatenate([self.vectors, other.vectors]), [*self.tongues, *other.tongues], [*self.words, *other.words]
        )


class Background:
    """Ordinary news, as it lies around the topics.

    parts: where each engine's part of a vector ends. languages: those that each engine was made for; empty means all.
    Raises: ValueError if the sample is empty or its columns do not match.
    """

    def __init__(self, sample: Sample, parts: Sequence[int], languages: Sequence[frozenset[str]] = ()) -> None:
        if not len(sample) or not len(sample.vectors) == len(sample.tongues) == len(sample.words):
            raise ValueError("a background needs at least one item, and a vector, a tongue and the words of each")
        self.parts = tuple(parts)
        self.languages = tuple(languages) or (frozenset(),) * len(self.parts)
        self.dimension = self.parts[-1]
        self.words = Bags.of(sample.words)
        self.word_weights = WordWeights(sample.words)
        scripts = np.array([tongue.script for tongue in sample.tongues])
        spoken = np.array([tongue.language for tongue in sample.tongues])
        self._all = sample.vectors.mean(axis=0)
        self._of_script = {str(name): np.flatnonzero(scripts == name) for name in np.unique(scripts)}
        self._of_tongue = {
            Tongue(str(language), name): rows[spoken[rows] == language]
            for name, rows in self._of_script.items()
            for language in np.unique(spoken[rows])
            if language
        }
        self._script_means = {name: sample.vectors[rows].mean(axis=0) for name, rows in self._of_script.items()}
        self._means = {
            tongue: self._leaning(sample.vectors[rows], self._script_means[tongue.script])
            for tongue, rows in self._of_tongue.items()
        }
        centred = self.centred(sample.vectors, sample.tongues)
        #: in half precision, as vectors are kept: no rarity moves by a thousandth of a decade
        self._rows = centred.astype(np.float16)
        self._scatter: dict[Parts, Matrix] = {}
        self._having: dict[Parts, NDArray[np.bool_]] = {}
        lives = np.stack([np.any(sample.vectors[:, start:end], axis=1) for start, end in self.bounds], axis=1)
        self._alive = {
            name: tuple(map(bool, np.asarray(lives[rows].any(axis=0)))) for name, rows in self._of_script.items()
        }

    @staticmethod
    def _leaning(vectors: Matrix, on: Vector) -> Vector:
        return np.asarray((vectors.sum(axis=0) + LEANING * on) / (len(vectors) + LEANING), dtype=np.float32)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def rows(self) -> Matrix:
        """The sample's centred vectors, in its order: a copy, not for who needs few of them."""
        return self._rows.astype(np.float32)

    def some_rows(self, places: NDArray[np.intp]) -> Matrix:
        """Some of them."""
        return self._rows[places].astype(np.float32)

    @property
    def tongues(self) -> dict[Tongue, int]:
        """How many items of each."""
        return {tongue: len(rows) for tongue, rows in self._of_tongue.items()}

    @property
    def bounds(self) -> list[tuple[int, int]]:
        """Where each engine's part begins and ends."""
        return list(zip((0, *self.parts), self.parts, strict=False))

    def rows_like(self, tongue: Tongue, enough: int = ENOUGH) -> tuple[Tongue, NDArray[np.intp]]:
        """Places of the items that a text of this tongue is measured by: of its language, else its script, else all.

        With them comes what they are all written in, which names them.
        """
        for name, own in (
            (tongue, self._of_tongue.get(tongue)),
            (Tongue("", tongue.script), self._of_script.get(tongue.script)),
        ):
            if own is not None and len(own) >= enough:
                return name, own
        return Tongue("", ""), np.arange(len(self))

    def centred(self, vectors: Matrix, tongues: Sequence[Tongue]) -> Matrix:
        """Take off what each one's language has in common; a part that is all zero stays so. A row a text."""
        out = vectors.astype(np.float32)
        rows: dict[Tongue, list[int]] = {}
        for row, one in enumerate(tongues):
            rows.setdefault(one, []).append(row)
        for one, of_tongue in rows.items():
            out[of_tongue] -= self.middle(one)
        for start, end in self.bounds:
            out[~np.any(vectors[:, start:end], axis=1), start:end] = 0
        return out

    def middle(self, tongue: Tongue) -> Vector:
        """The mean of what is written in a language, else in its script, else of all."""
        middle: Vector = self._means.get(tongue, self._script_means.get(tongue.script, self._all))
        return middle

    def units(self, vectors: Matrix, tongues: Sequence[Tongue]) -> Matrix:
        """Centred, each living part of length 1: here a cosine means something (see `cosine`)."""
        return self.length_one(self.centred(vectors, tongues))

    def length_one(self, centred: Matrix) -> Matrix:
        """Give each living part of centred vectors length 1."""
        out = centred.copy()
        for start, end in self.bounds:
            lengths = np.linalg.norm(out[:, start:end], axis=1, keepdims=True)
            out[:, start:end] /= np.where(lengths == 0, 1, lengths)
        return out

    def unit(self, vector: Vector, tongue: Tongue) -> Vector:
        """The same for one text."""
        unit: Vector = self.units(vector[None], [tongue])[0]
        return unit

    def mean(self, rows: Matrix, alive: Parts) -> Vector:
        """The mean of centred vectors, each living part over those rows in which it lives; zero where none does."""
        mean = np.zeros(self.dimension, dtype=np.float32)
        for (start, end), lives in zip(self.bounds, alive, strict=True):
            having = rows[np.any(rows[:, start:end], axis=1), start:end]
            if lives and len(having):
                mean[start:end] = having.mean(axis=0)
        return mean

    @property
    def patterns(self) -> set[Parts]:
        """Which parts may live for an item, all that can be; without those of no part."""
        return {pattern for pattern in (*self._alive.values(), self.alive("")) if any(pattern)}

    def alive(self, script: str) -> Parts:
        """Which parts live for items of a script; only those that read every script, for one never seen."""
        if script in self._alive:
            return self._alive[script]
        return tuple(all(flags) for flags in zip(*self._alive.values(), strict=True))

    def whitening(self, alive: Parts, pack: Matrix) -> Matrix:
        """What makes the living parts of ordinary items scatter alike in all directions, within languages.

        A share of the scatter comes from a pack's centred vectors. Only rows in which all these parts live count. Shape
        (living dimensions, the same), to be multiplied from the right.
        """
        if alive not in self._scatter:
            self._scatter[alive] = self._covariance(self.rows, self.rows_having(alive), alive)
        covariance, own = self._scatter[alive], self._covariance(pack, self.having(pack, alive), alive)
        if spread := float(np.trace(own)):
            share = PACK_SHARE * float(np.trace(covariance)) / spread
            covariance = np.float32(1 - PACK_SHARE) * covariance + np.float32(share) * own
        target = np.zeros(self.dimension)
        target[self.live(alive)] = np.diag(covariance)
        for start, end in self.bounds:  # no engine's scatter drowns another's
            # one item, or the same over and over, scatters not at all
            target[start:end] = max(target[start:end].mean(), 1e-9)
        shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.diag(target[self.live(alive)])
        # any square root of the inverse does, and this one is quick
        return np.linalg.inv(np.linalg.cholesky(shrunk)).T.astype(np.float32)

    def _covariance(self, rows: Matrix, having: NDArray[np.bool_], alive: Parts) -> Matrix:
        chosen = rows[:, self.live(alive)][having]
        return np.asarray(chosen.T @ chosen / max(len(chosen), 1), dtype=np.float32)

    def rows_having(self, alive: Parts) -> NDArray[np.bool_]:
        """Which of the sample's rows have all these parts."""
        if alive not in self._having:
            self._having[alive] = self.having(self._rows, alive)
        return self._having[alive]

    def having(self, rows: Matrix | NDArray[np.float16], alive: Parts) -> NDArray[np.bool_]:
        """Which rows have all these parts."""
        having = np.ones(len(rows), dtype=np.bool_)
        for (start, end), lives in zip(self.bounds, alive, strict=True):
            if lives:
                having &= np.any(rows[:, start:end], axis=1)
        return having

    def live(self, alive: Parts) -> slice | NDArray[np.bool_]:
        """The dimensions of these parts; a slice if they are neighbours: what it takes of a matrix is no copy."""
        places = [place for place, lives in enumerate(alive) if lives]
        if places and places[-1] - places[0] + 1 == len(places):
            return slice(self.bounds[places[0]][0], self.bounds[places[-1]][1])
        live = np.zeros(self.dimension, dtype=np.bool_)
        for (start, end), lives in zip(self.bounds, alive, strict=True):
            live[start:end] = lives
        return live


def cosine(units: Matrix, unit: Vector) -> Vector:
    """Likeness of each row to one vector, both as `Background.units` gives them: the mean over the parts that live in both."""
    # the parts that live in a text of one script live in one of the other too, or the other way round
    shared = np.minimum((units * units).sum(axis=1), float(unit @ unit))
    return np.asarray(units @ unit / np.maximum(np.round(shared), 1), dtype=np.float32)
