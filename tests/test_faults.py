"""The fault list, in its shortest form: the whole of it is run by hand (faults.py)."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import faults
import pytest


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 and /dev/shm are Linux's")
@pytest.mark.parametrize("fault", ["kills", "broken-files"])
def test_fault_loses_nothing_doubles_nothing_and_is_told_truly(fault: str) -> None:
    folder = Path(tempfile.mkdtemp(dir=faults.MEMORY))  # a socket's path must be short
    problems, _ = faults.tried(faults.FAULTS[fault], faults.Terms(folder, seed=1, kills=5))
    shutil.rmtree(folder)
    assert problems == []
