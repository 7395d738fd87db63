"""The items of a state in columns, most of them as they were put together for the last question, kept in the user's cache."""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor import __version__, columns, language, terms, text, words
from monitor.array_cache import ArrayCache
from monitor.background import Tongue
from monitor.columns import Past, as_arrays, of_arrays, packed, past_of, unpacked
from monitor.match import tongue_of
from monitor.model import Relation
from monitor.store import Store
from monitor.text import text_hash

#: is told how much is done, of how much
Report = Callable[[int, int], None]

KIND, TONGUES = "past", "tongues"
#: Topics' texts whose language is kept.
KEPT_TONGUES = 50_000
#: What is kept is written anew when one in so many items is not in it: until then these few are made each time.
STALE = 50
#: Items made between two reports.
_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class Recalled:
    """What a state remembers."""

    #: what is looked back on
    past: Past
    #: a fair draw of what was seen of late, copies aside; in the order of their ids
    ordinary: Past


@dataclass(frozen=True, slots=True)
class _Standing:
    """All items of a time, with and without a vector."""

    ids: list[str]
    #: what changes with an item's words
    said: list[str]
    #: effective time, and when it was first seen; milliseconds since the epoch
    at: NDArray[np.int64]
    seen: NDArray[np.int64]
    is_copy: NDArray[np.bool_]


def recall(
    store: Store, model: str, span: timedelta, seen_since: datetime, drawn: int, cache: ArrayCache | None, name: str,
    report: Report = lambda _done, _of: None,
) -> Recalled:  # fmt: skip
    """The items of the last `span` before the newest, and `drawn` of those first seen since then (see `Recalled`).

    name: of this state and this model, in the cache.
    """
    newest = store.newest_judged()
    if newest is None:
        return Recalled(past_of([]), past_of([]))
    since = newest - span
    brief = store.standing_in_brief(since, seen_since)
    kept = cache.load(KIND, name) if cache else None
    if kept and kept[0] == brief:
        standing, past = _standing(kept[1]), of_arrays(kept[1])
        rows = np.arange(len(past))
    else:
        standing, has_vector = _asked(store, since, seen_since, model)
        before = (_standing(kept[1]), of_arrays(kept[1])) if kept else None
        past, rows, made = _put_together(standing, has_vector, before, store, model, report)
        if cache and made * STALE > len(standing.ids):
            read = np.flatnonzero(rows >= 0)
            # what has no vector yet may have one at the next question, and nothing else tells
            key = brief if len(read) == len(rows) else ""
            cache.save(KIND, name, key, {**as_arrays(past.take(rows[read])), **_as_arrays(standing, read)})
    of_time = np.flatnonzero(standing.at >= _milliseconds(since))
    read = of_time[rows[of_time] >= 0]
    times = standing.at[read]
    ends = (_time(times.min()), _time(times.max())) if len(read) else None
    eligible = np.flatnonzero((standing.seen >= _milliseconds(seen_since)) & ~standing.is_copy)
    some = np.array(heapq.nsmallest(drawn, eligible.tolist(), key=standing.ids.__getitem__), dtype=np.intp)
    return Recalled(
        replace(past.take(rows[read]), span=ends, unread=len(of_time) - len(read)),
        past.take(rows[some[rows[some] >= 0]]),
    )


def _put_together(
    standing: _Standing,
    has_vector: NDArray[np.bool_],
    before: tuple[_Standing, Past] | None,
    store: Store,
    model: str,
    report: Report,
) -> tuple[Past, NDArray[np.intp], int]:
    """What is kept and what must be made; of each item that stands its row there, or -1; and how many were made."""
    known: dict[tuple[str, str], int] = {}
    if before:
        known = {one: row for row, one in enumerate(zip(before[0].ids, before[0].said, strict=True))}
    rows = np.array([known.get(one, -1) for one in zip(standing.ids, standing.said, strict=True)], dtype=np.intp)
    rows[~has_vector] = -1  # it was let go meanwhile, or never was
    wanted = np.flatnonzero((rows < 0) & has_vector)
    missing = [standing.ids[place] for place in wanted.tolist()]
    made = past_of(_reporting(store.bodies(missing, model), len(missing), report))
    places = {item: len(known) + row for row, item in enumerate(made.ids)}
    rows[wanted] = [places.get(item, -1) for item in missing]
    return (before[1] + made if before else made), rows, len(made)


def _reporting(rows: Any, of: int, report: Report) -> Any:
    for number, row in enumerate(rows, 1):
        yield row
        if number % _AT_ONCE == 0 or number == of:
            report(number, of)


def _asked(store: Store, since: datetime, seen_since: datetime, model: str) -> tuple[_Standing, NDArray[np.bool_]]:
    """All items of a time, and which have a vector."""
    rows = store.standings(since, seen_since, model)
    ids, said, at, seen, relations, has_vector = map(list, zip(*rows, strict=True)) if rows else [[]] * 6
    standing = _Standing(
        ids, said, np.array(at, dtype="datetime64[ms]").astype(np.int64),
        np.array(seen, dtype="datetime64[ms]").astype(np.int64),
        np.array([relation == Relation.COPY for relation in relations], dtype=np.bool_),
    )  # fmt: skip
    return standing, np.array(has_vector, dtype=np.bool_)


def _as_arrays(standing: _Standing, rows: NDArray[np.intp]) -> dict[str, NDArray[Any]]:
    said = packed([standing.said[row] for row in rows.tolist()])
    return {"said": said, "at": standing.at[rows], "seen": standing.seen[rows], "is_copy": standing.is_copy[rows]}


def _standing(arrays: Any) -> _Standing:
    return _Standing(unpacked(arrays["ids"]), unpacked(arrays["said"]), arrays["at"], arrays["seen"], arrays["is_copy"])


def _milliseconds(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(milliseconds=1)


def _time(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=int(milliseconds))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Tongues:
    """What topics' texts are written in, as `tongue_of` tells it: its model takes half a second to load."""

    def __init__(self, cache: ArrayCache | None) -> None:
        self._cache = cache
        self._known: dict[str, Tongue] = {}
        self._asked: dict[str, Tongue] = {}
        if cache and (kept := cache.load(TONGUES, "topics")):
            columns = (unpacked(kept[1][name]) for name in ("texts", "languages", "scripts"))
            self._known = {key: Tongue(language, script) for key, language, script in zip(*columns, strict=True)}

    def __call__(self, text: str) -> Tongue:
        key = text_hash(text)
        self._asked[key] = self._known.get(key) or tongue_of(text)
        return self._asked[key]

    def keep(self) -> None:
        """Keep what was asked, and what of the rest there is room for."""
        if self._cache and not self._asked.keys() <= self._known.keys():
            self._known = dict(islice((self._asked | self._known).items(), max(KEPT_TONGUES, len(self._asked))))
            tongues = list(self._known.values())
            arrays = {
                "texts": packed(list(self._known)),
                "languages": packed([one.language for one in tongues]),
                "scripts": packed([one.script for one in tongues]),
            }
            self._cache.save(TONGUES, "topics", "", arrays)


def meaning() -> str:
    """What says whether what is kept means what it would if it were made now: the program that makes it."""
    read = zlib.crc32(version("py3langid").encode())
    for module in (columns, language, terms, text, words):
        read = zlib.crc32(Path(module.__file__ or "").read_bytes(), read)
    return f"{__version__} {read:08x}"
