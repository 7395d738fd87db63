"""Vectors of texts, of which the store knows those that were embedded before, made where they are missing and kept.

Made a few at a time: items need not wait for all of them, a start says how far it is, and one that is cut short goes on where
it was.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from monitor.database import chunks
from monitor.learning import Learning, Report, silent
from monitor.match import Matcher, topic_texts
from monitor.model import Topic, Vector
from monitor.pipeline import Clock, InThread
from monitor.store import Store
from monitor.text import gist, text_hash

log = structlog.get_logger()

#: Of what is learnt or tested, so many texts are embedded before an item may be.
EMBEDDED_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class KeptVectors:
    """The store's vectors and the engines, each asked in its own thread."""

    store: Store
    in_store: InThread
    in_engine: InThread
    clock: Clock

    async def matcher(self, topics: Sequence[Topic], learning: Learning, report: Report = silent) -> Matcher:
        """Learn the topics, asking the engines only for texts that they have not seen."""
        vectors = await self.of(topic_texts(topics), learning, report)
        return await self.in_engine(learning.matcher, topics, vectors)

    async def of(self, wanted: Sequence[str], learning: Learning, report: Report = silent) -> dict[str, Vector]:
        """The vectors of texts, which count as used now."""
        texts, model = {text_hash(text): text for text in wanted}, learning.embedder.id
        vectors: dict[str, Vector] = await self.in_store(self.store.vectors, list(texts), model)
        missing = {key: text for key, text in texts.items() if key not in vectors}
        for known in chunks(list(vectors)):
            await self.in_store(self.store.use_vectors, known, model, self.clock())
        async for made in self._make(missing, learning, "embedding the topics", report):
            vectors |= made
        return {texts[key]: vector for key, vector in vectors.items()}

    async def embed_again(self, span: timedelta, learning: Learning, report: Report = silent) -> None:
        """After a change of model: embed the open stories' items with the new one. Vectors of two models never meet.

        span: how far back stories are open.
        """
        model = learning.embedder.id
        before = await self.in_store(self.store.fact, "model")
        if before == model:
            return
        items = await self.in_store(self.store.recent_items, span)
        missing = {key: gist(item.title, item.text) for item, key, _, _ in items}
        for some in chunks(list(missing)):
            for known in await self.in_store(self.store.vectors, some, model):
                del missing[known]
        if before:
            log.warning("model changed", before=before, now=model, items_embedded_again=len(missing))
        async for _ in self._make(missing, learning, "embedding the open items with another model", report):
            pass
        await self.in_store(self.store.remember, "model", model)

    async def _make(
        self, texts: Mapping[str, str], learning: Learning, doing: str, report: Report
    ) -> AsyncIterator[dict[str, Vector]]:
        """Embed texts, by their hashes, and keep the vectors."""
        keys = list(texts)
        for begin in range(0, len(keys), EMBEDDED_AT_ONCE):
            report(doing, begin, len(keys))
            some = keys[begin : begin + EMBEDDED_AT_ONCE]
            vectors = await self.in_engine(learning.embedder.embed, [texts[key] for key in some])
            made = dict(zip(some, vectors, strict=True))
            await self.in_store(self.store.keep_vectors, made, learning.embedder.id, self.clock())
            yield made
