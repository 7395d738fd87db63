"""What topics are learnt and judged with: the engines, ordinary news as they see it, vectors of texts, what is told whom."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Protocol

import numpy as np

from monitor.archive import read_archive
from monitor.background import Background, Sample, Tongue
from monitor.config import Config
from monitor.database import FILE
from monitor.decide import Policy
from monitor.embed import Embedder, Kept, open_embedder
from monitor.errors import EngineError
from monitor.language import identified
from monitor.match import Matcher, embedded_items, item_texts, topic_texts
from monitor.model import EmbeddedItem, Item, Topic, Vector
from monitor.store import Store
from monitor.text import gist, scripts, text_hash
from monitor.words import word_ids

#: Where alerts without a channel go when there is no Slack.
TERMINAL_CHANNEL = "terminal"
#: What is ordinary is learnt from so many of the monitor's own items of so long, and not from fewer than the last.
OWN_ITEMS, OWN_SPAN, OWN_LEAST = 4_000, timedelta(days=30), 300
#: Texts embedded at once for a person who waits: enough to sort by length, few enough that progress is seen.
CHUNK = 64


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Learning:
    """What topics are learnt with, kept across reloads."""

    embedder: Embedder
    #: gives the ordinary items that the monitor begins with: needed once a day, and 24 MB
    ordinary: Callable[[], Sample]
    #: those, and its own
    background: Background

    def among(self, own: Sample) -> Learning:
        """The same, with the monitor's own items in the background: what is ordinary there, and in which words."""
        if not len(own):
            return self
        return replace(self, background=Background(self.ordinary() + own, self.embedder.parts, self.embedder.languages))

    def vectors(self, texts: Sequence[str]) -> dict[str, Vector]:
        return dict(zip(texts, self.embedder.embed(texts), strict=True))

    def embed(self, items: Sequence[Item]) -> list[EmbeddedItem]:
        return embedded_items(items, self.vectors(item_texts(items)))

    def embed_gists(self, items: Sequence[Item]) -> list[EmbeddedItem]:
        """What stories need of them, which is a quarter of the work."""
        vectors = self.embedder.embed([gist(item.title, item.text) for item in items])
        return [EmbeddedItem(item, vector) for item, vector in zip(items, vectors, strict=True)]

    def matcher(
        self,
        topics: Sequence[Topic],
        known: Mapping[str, Vector] | None = None,
        asked: Collection[str] | None = None,
        read: Callable[[str], Tongue] | None = None,
        before: Matcher | None = None,
    ) -> Matcher:
        """Learn topics. `known` has vectors of texts that need not be embedded again; all else is `Matcher`'s."""
        vectors = dict(known or {})
        missing = [text for text in topic_texts(topics) if text not in vectors]
        vectors |= self.vectors(missing)
        return Matcher(topics, vectors, self.background, asked, read, before)


def open_learning(
    config: Config,
    background_file: Path | None = None,
    *,
    lazily: bool = False,
    kept: Kept | None = None,
    own: Callable[[Embedder], Sample | None] | None = None,
) -> Learning:
    """Load the engines and the background. Slow: imports torch, unless engines are to be loaded `lazily` (`open_embedder`).

    kept: vectors of texts that were embedded before. own: gives ordinary items to add to those that one begins with.

    Raises: EngineError.
    """
    wanted = config.embedding
    embedder = open_embedder(wanted.engines, prompt=wanted.prompt, backend=wanted.backend, lazily=lazily, kept=kept)
    file = background_file or config.background.file
    sample = _embedded_background(embedder, file) if file else shipped_background(embedder)
    more = own(embedder) if own else None
    background = Background(sample + more if more else sample, embedder.parts, embedder.languages)

    def embedded() -> Sample:
        return sample

    return Learning(embedder, embedded if file else functools.partial(shipped_background, embedder), background)


def _embedded_background(embedder: Embedder, file: Path) -> Sample:
    """A background from an archive of ordinary items, one JSON object a line."""
    items, problems = read_archive(file, now())
    if not items:
        raise EngineError(f"{file}: no item in it to learn from" + "".join(f"\n{problem}" for problem in problems[:5]))
    items = list(map(identified, items))
    return _sample(items, embedder.embed([gist(item.title, item.text) for item in items]))


def _sample(items: Sequence[Item], vectors: Vector) -> Sample:
    gists = [gist(item.title, item.text) for item in items]
    tongues = [Tongue(item.language, name) for item, name in zip(items, scripts(gists), strict=True)]
    return Sample(vectors, tongues, list(map(word_ids, gists)))


def shipped_background(embedder: Embedder) -> Sample:
    """The background that comes with the monitor: the same items as each shipped engine sees them, side by side."""
    folder = files("monitor") / "backgrounds"
    parts = []
    for engine in embedder.engine_ids:
        file = folder / f"{engine.replace('@', '-')}.npz"
        if not file.is_file():
            raise EngineError(
                f"no background is shipped for the engine {engine}: set background.file in monitor.toml to a JSON Lines "
                "file of some thousand ordinary news items (title, text) from feeds like yours"
            )
        with file.open("rb") as opened, np.load(opened) as stored:
            parts.append(stored["vectors"].astype(np.float32) * stored["scale"])
    with (folder / "items.npz").open("rb") as opened, np.load(opened) as stored:
        tongues = [
            Tongue(*names) for names in zip(stored["languages"].tolist(), stored["scripts"].tolist(), strict=True)
        ]
        # as `np.split` does, which takes a quarter of a second
        every, ends = stored["words"], np.cumsum(stored["counts"]).tolist()
        words = [every[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    return Sample(np.hstack(parts), tongues, words)


def own_items(store: Store, model: str, clock: Callable[[], datetime]) -> Sample:
    """The monitor's own recent items, if there are enough to say what is ordinary here."""
    kept = store.ordinary_items(clock() - OWN_SPAN, OWN_ITEMS, model)
    if len(kept) < OWN_LEAST:
        return Sample(np.zeros((0, 0), dtype=np.float32), [], [])
    return _sample([item for item, _ in kept], np.stack([vector for _, vector in kept]))


def learning_of_state(config: Config, learning: Learning) -> Learning:
    """The same, with the items of the configuration's state in the background, if there is a state."""
    if not (config.state / FILE).exists():
        return learning
    with contextlib.closing(Store.open(config.state)) as store:
        return learning.among(own_items(store, learning.embedder.id, now))


# -- vectors --------------------------------------------------------------------------------------


class Report(Protocol):
    """Is told what is being done, how much of it is, and of how much."""

    def __call__(self, doing: str, done: int, of: int, /) -> None: ...


def silent(_doing: str, _done: int, _of: int, /) -> None:
    """Report nothing."""


def vectors(
    texts: Iterable[str], learning: Learning, store: Store | None, report: Report = silent
) -> dict[str, Vector]:
    """The vectors of texts, embedding those that the store does not know, which it keeps from then on."""
    keys = {text_hash(text): text for text in texts}
    model = learning.embedder.id
    known = store.vectors(list(keys), model) if store else {}
    missing = [key for key in keys if key not in known]
    for start in range(0, len(missing), CHUNK):
        some = missing[start : start + CHUNK]
        made = dict(zip(some, learning.embedder.embed([keys[key] for key in some]), strict=True))
        if store:
            store.keep_vectors(made, model, now())
        known |= made
        report("embedding", min(start + CHUNK, len(missing)), len(missing))
    return {keys[key]: vector for key, vector in known.items()}


def policy_of(config: Config) -> Policy:
    """What the configuration says of alerts, where there is no Slack to ask."""
    return policy_for(config, config.alerts.channel or TERMINAL_CHANNEL)


def policy_for(config: Config, channel: str) -> Policy:
    """The same, where alerts that name no channel go to this one."""
    alerts = config.alerts
    return Policy(channel, alerts.max_age, alerts.backfill, alerts.escalate_sources, alerts.escalate_within)
