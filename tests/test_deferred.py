"""Imports that are put off, of a package made here."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.deferred import deferred


@pytest.fixture(autouse=True)
def _package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "heavy").mkdir()
    (tmp_path / "heavy" / "__init__.py").write_text("")
    (tmp_path / "heavy" / "scores.py").write_text("def twice(number, *, more=0):\n    return 2 * number + more\n")
    (tmp_path / "light.py").write_text("from heavy.scores import twice\nimport heavy.scores as scores\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("heavy", "heavy.scores", "light"):
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


def test_other_imports_are_as_ever() -> None:
    with deferred("heavy"):
        assert importlib.import_module("colorsys").rgb_to_hsv
    assert importlib.import_module("heavy.scores").twice(1) == 2


def test_what_was_imported_before_stays() -> None:
    scores = importlib.import_module("heavy.scores")
    with deferred("heavy"):
        assert light().twice is scores.twice  # type: ignore[attr-defined]  # as above
    assert sys.modules["heavy.scores"] is scores
