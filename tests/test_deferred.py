"""Imports that are put off, of a package made here."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.deferred import absent, deferred


@pytest.fixture(autouse=True)
def _package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "heavy").mkdir()
    (tmp_path / "heavy" / "__init__.py").write_text("")
    (tmp_path / "heavy" / "scores.py").write_text("def twice(number, *, more=0):\n    return 2 * number + more\n")
    (tmp_path / "light.py").write_text("from heavy.scores import twice\nimport heavy.scores as scores\n")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "heavy" / "marks.py").write_text(
        "def slow(function=None):\n    raise AssertionError('called')\n\nclass Number: ...\n"
    )
    (tmp_path / "marked.py").write_text(
        "import heavy\n"
        "from heavy.marks import Number, slow\n\n"
        "@slow\ndef one() -> int:\n    return 1\n\n"
        "@slow(None)\ndef two() -> int:\n    return 2\n\n"
        "def is_number(one: object) -> bool:\n    return isinstance(one, Number)\n\n"
        "KNOWN = is_number(one)\n"
    )
    yield
    for name in ("heavy", "heavy.scores", "heavy.marks", "light", "marked"):
        sys.modules.pop(name, None)


def light() -> object:
    return importlib.import_module("light")


def test_what_is_put_off_is_not_imported() -> None:
    with deferred("heavy"):
        light()
    assert "light" in sys.modules
    assert not {"heavy", "heavy.scores"} & sys.modules.keys()


def test_what_is_called_is_imported_then() -> None:
    with deferred("heavy"):
        module = light()
    assert module.twice(3, more=1) == 7  # type: ignore[attr-defined]  # made above
    assert "heavy.scores" in sys.modules
    assert module.scores.twice(4) == 8  # type: ignore[attr-defined]  # as above


def test_one_module_of_a_package_is_put_off_by_its_whole_name() -> None:
    with deferred("heavy.scores", "heavy.mark"):
        light()
        heavy = importlib.import_module("heavy")
        assert importlib.import_module("heavy.marks").Number
    assert sys.modules["heavy"] is heavy
    assert "heavy.scores" not in sys.modules
    assert not hasattr(heavy, "scores")
    assert importlib.import_module("heavy.scores").twice(1) == heavy.scores.twice(1) == 2


def test_what_is_marked_meanwhile_goes_without_its_mark() -> None:
    with deferred("heavy.marks"):
        marked = importlib.import_module("marked")
        assert (marked.one(), marked.two()) == (1, 2)
    assert "heavy.marks" not in sys.modules
    assert (marked.one(), marked.two()) == (1, 2)


def test_nothing_is_of_a_class_that_nobody_imported() -> None:
    with deferred("heavy.marks"):
        marked = importlib.import_module("marked")
        assert not marked.KNOWN
    assert not marked.is_number(3)
    number = importlib.import_module("heavy.marks").Number()
    assert marked.is_number(number)
    assert not marked.is_number(3)


def test_other_imports_are_as_ever() -> None:
    with deferred("heavy"):
        assert importlib.import_module("colorsys").rgb_to_hsv
    assert importlib.import_module("heavy.scores").twice(1) == 2


def test_what_was_imported_before_stays() -> None:
    scores = importlib.import_module("heavy.scores")
    with deferred("heavy"):
        assert light().twice is scores.twice  # type: ignore[attr-defined]  # as above
    assert sys.modules["heavy.scores"] is scores


def test_what_is_absent_is_not_imported_and_is_there_afterwards() -> None:
    with absent("heavy"), pytest.raises(ImportError):
        importlib.import_module("heavy")
    assert importlib.import_module("heavy").__name__ == "heavy"
    with absent("heavy"):  # it was imported before
        importlib.import_module("heavy")
