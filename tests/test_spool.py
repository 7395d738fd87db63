"""Texts in a file without a name, or in memory where there is no disk for them."""

import os
import resource
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.spool import Spool


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_what_is_put_in_comes_back(texts: list[bytes]) -> None:
    spool = Spool()
    where = [(spool.add(text), len(text)) for text in texts]
    assert [spool.read(*place) for place in where] == texts


def test_without_a_folder_for_it_texts_are_kept_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "not there"))
    spool = Spool()
    assert spool.read(spool.add(b"Talks in Kazan"), 14) == b"Talks in Kazan"


def test_what_a_full_disk_does_not_take_is_kept_in_memory() -> None:
    """In a process of its own, whose files may have 8 bytes."""
    child = os.fork()
    if not child:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8, 8))
        spool = Spool()
        texts = [b"Talks", b"Floods", b"Grain"]
        where = [(spool.add(text), len(text)) for text in texts]
        os._exit([spool.read(*place) for place in where] != texts)
    assert os.waitpid(child, 0)[1] == 0


def test_nothing_is_left_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    Spool().add(b"Talks in Kazan")
    assert list(tmp_path.iterdir()) == []
