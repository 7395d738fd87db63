"""The lock names all that the monitor asks for; the audit of it says what it could not ask."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCK = (ROOT / "deploy" / "requirements.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ASKED = [Requirement(text) for text in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["onnx"]]
#: one for each version of Python: numpy may stand twice
PINS = re.findall(r"^([\w.-]+)==(\S+)(?: ; [^\\]+)? \\$", LOCK, re.MULTILINE)
WHOLE = re.compile(r"(?:#.*\n)*(?:[\w.-]+==\S+(?: ; [^\\\n]+)?(?: \\\n    --hash=sha256:[0-9a-f]{64})+\n)+")


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: asked.name)
def test_each_dependency_is_locked_within_its_range(asked: Requirement) -> None:
    versions = [version for name, version in PINS if name == canonicalize_name(asked.name)]
    assert versions
    assert all(asked.specifier.contains(version) for version in versions)


def test_lock_is_pins_with_hashes_and_nothing_else() -> None:
    assert WHOLE.fullmatch(LOCK)


def test_lock_has_the_torch_that_is_installed_first_and_no_cuda() -> None:
    torch = re.search(r"^TORCH=(\S+)$", (ROOT / "deploy" / "packages.sh").read_text(encoding="utf-8"), re.MULTILINE)
    assert torch
    assert ("torch", torch[1]) in PINS
    assert [name for name, _ in PINS if name.startswith(("nvidia", "cuda", "triton"))] == []


def answer(**of: Any) -> str:
    return json.dumps({"dependencies": [{"name": "tqdm", "version": "4.0", **of}], "fixes": []})


FLAW = {"id": "PYSEC-1", "fix_versions": ["4.1"]}


@pytest.mark.parametrize(
    ("said", "code", "told"),
    [
        pytest.param(answer(vulns=[]), 0, "1 packages audited, 0 not, 0 vulnerabilities", id="none"),
        pytest.param(answer(vulns=[FLAW]), 1, "tqdm 4.0: PYSEC-1, mended in 4.1", id="found"),
        pytest.param(answer(skip_reason="not found"), 69, "NOT AUDITED", id="passed-over"),
        pytest.param("", 69, "NOT AUDITED", id="no-network"),
    ],
)
def test_audit_tells_none_found_from_nobody_asked(said: str, code: int, told: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / "run.sh", tmp_path)
    tools = tmp_path / "build" / "tools"
    (tools / "bin").mkdir(parents=True)
    (tools / "installed").touch()
    (tmp_path / "said").write_text(said, encoding="utf-8")
    asked = tools / "bin" / "pip-audit"
    asked.write_text("#!/bin/sh\ncat said\nexit 1\n", encoding="utf-8")
    asked.chmod(0o755)
    done = subprocess.run([tmp_path / "run.sh", "audit"], capture_output=True, text=True, check=False)  # noqa: S603 - our own script
    assert done.returncode == code
    assert told in done.stdout


PIP = """\
#!/bin/sh
echo "$*" >>asked
case $* in *--require-hashes*) echo "ERROR: {said}" >&2; exit {code} ;; esac
"""


@pytest.mark.parametrize(
    ("said", "code", "ends"),
    [
        pytest.param("", 0, 0, id="well"),
        pytest.param("No matching distribution found for numpy==2.4.6", 1, 3, id="not-to-be-had"),
        pytest.param("THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", 1, 1, id="another-file"),
    ],
)
def test_packages_tells_what_cannot_be_had_from_what_is_not_what_it_says(
    said: str, code: int, ends: int, tmp_path: Path
) -> None:
    pip = tmp_path / "pip"
    pip.write_text(PIP.format(said=said, code=code), encoding="utf-8")
    pip.chmod(0o755)
    command = [ROOT / "deploy" / "packages.sh", pip]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603 - our own script
    assert done.returncode == ends
    assert said in done.stderr
    first, last = (tmp_path / "asked").read_text(encoding="utf-8").splitlines()
    assert first.startswith("install --quiet torch==")
    assert last.endswith("deploy/requirements.lock")
