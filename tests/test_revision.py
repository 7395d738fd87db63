"""Topics as they were in git: a real repository."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from monitor.errors import RevisionError
from monitor.revision import topics_at
from monitor.rules import load_rules

GRAIN = 'title = "Grain"\ndescription = "Grain leaves."\n'


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@x.example", *words], cwd=folder, check=True)  # noqa: S603, S607


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of topics within a repository, with one commit."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "grain.toml").write_text(GRAIN, encoding="utf-8")
    (folder / "notes.md").write_text("no topic", encoding="utf-8")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "grain")
    return folder


def test_topics_are_as_they_were(folder: Path) -> None:
    (folder / "grain.toml").write_text(GRAIN.replace("Grain", "Wheat"), encoding="utf-8")
    (folder / "new.toml").write_text(GRAIN, encoding="utf-8")
    topics, problems = topics_at([folder], "HEAD")
    assert [(topic.id, topic.title, topic.path) for topic in topics] == [("grain", "Grain", "rules@HEAD/grain.toml")]
    assert problems == []


@pytest.mark.parametrize("pack", ["", 'owner = "@desk"\n'])
def test_topics_whose_files_are_the_same_need_not_be_read_again(folder: Path, pack: str) -> None:
    for name in ("a-b", "a", "zinc"):
        (folder / f"{name}.toml").write_text(GRAIN, encoding="utf-8")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "more")
    (folder / "grain.toml").write_text(GRAIN.replace("Grain", "Wheat"), encoding="utf-8")
    (folder / "zinc.toml").unlink()
    (folder / "new.toml").write_text(GRAIN, encoding="utf-8")
    if pack:
        (folder / "_pack.toml").write_text(pack, encoding="utf-8")
    assert topics_at([folder], "HEAD", load_rules(folder)) == topics_at([folder], "HEAD")


def test_what_was_wrong_then_is_named_by_the_revision(folder: Path) -> None:
    (folder / "bad.toml").write_text("title = 1\n", encoding="utf-8")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "bad")
    topics, problems = topics_at([folder], "HEAD")
    assert [topic.id for topic in topics] == ["grain"]
    assert {problem.path for problem in problems} == {"rules@HEAD/bad.toml"}


def test_revision_that_is_none_is_refused(folder: Path) -> None:
    with pytest.raises(RevisionError, match="no revision 'v9'"):
        topics_at([folder], "v9")


@pytest.mark.parametrize("revision", ["--output=/tmp/x", "-h", "HEAD; touch x", "", "HEAD:rules"])
def test_what_is_no_revision_is_not_taken_for_an_option(folder: Path, revision: str) -> None:
    with pytest.raises(RevisionError):
        topics_at([folder], revision)
    assert not (folder / "x").exists()


def test_folder_outside_of_any_repository_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(RevisionError, match="--against"):
        topics_at([tmp_path], "HEAD")


def test_machine_without_git_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(RevisionError, match="git cannot be run"):
        topics_at([folder], "HEAD")


def test_folder_that_was_not_there_then_had_no_topic(folder: Path) -> None:
    later = folder.parent / "later"
    later.mkdir()
    assert topics_at([later], "HEAD") == ([], [])
