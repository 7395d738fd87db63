"""The topics of a folder as they were at a git revision *(edge: the program git, asked without a shell)*."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from monitor.errors import Problem, RevisionError
from monitor.model import Topic
from monitor.rules import load_topics


def topics_at(folders: Sequence[Path], revision: str) -> tuple[list[Topic], list[Problem]]:
    """Return the topics that could be used then, and what is wrong with the other files; no folder then is no topic.

    Raises: RevisionError if there is no git, no repository, or no such revision.
    """
    read = [_topics_of(folder, revision) for folder in folders]
    return [topic for topics, _ in read for topic in topics], [problem for _, found in read for problem in found]


def _topics_of(folder: Path, revision: str) -> tuple[list[Topic], list[Problem]]:
    # what follows --end-of-options is a revision, whatever it looks like
    named = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if named is None:
        _git_or_fail(folder, "rev-parse", "--git-dir")
        raise RevisionError(f"{folder}: its repository has no revision {revision!r}")
    commit = named.decode().strip()
    with tempfile.TemporaryDirectory() as made:
        for name, content in _files(folder, commit):
            (Path(made) / name).write_bytes(content)
        topics, problems = load_topics(Path(made))
    then = f"{folder.name}@{revision}"
    return (
        [replace(topic, path=topic.path.replace(made, then)) for topic in topics],
        [replace(problem, path=problem.path.replace(made, then)) for problem in problems],
    )


def _files(folder: Path, commit: str) -> Iterator[tuple[str, bytes]]:
    """The folder's topic files then: a thousand of them by one question."""
    listed = _git_or_fail(folder, "ls-tree", "-z", commit, "--", ".").decode("utf-8", "surrogateescape")
    entries = [entry.partition("\t") for entry in listed.split("\0") if entry.endswith(".toml")]
    blobs = {name: about.split()[2] for about, _, name in entries if about.split()[1] == "blob"}
    said = _git_or_fail(folder, "cat-file", "--batch", told="".join(f"{blob}\n" for blob in blobs.values()).encode())
    at = 0
    for name in blobs:
        end = said.index(b"\n", at)
        size = int(said[at:end].split()[2])
        yield name, said[end + 1 : end + 1 + size]
        at = end + size + 2


def _git_or_fail(folder: Path, *words: str, told: bytes = b"") -> bytes:
    said = _git(folder, *words, told=told)
    if said is None:
        raise RevisionError(f"{folder}: is in no git repository; --against DIR compares with another folder")
    return said


def _git(folder: Path, *words: str, told: bytes = b"") -> bytes | None:
    """What git says when it is told something on its input; None where it refuses."""
    try:
        done = subprocess.run(  # noqa: S603 - words of ours, and a revision that stands where only one may
            ["git", *words],  # noqa: S607 - whichever git the author uses
            cwd=folder, input=told, capture_output=True, check=False, timeout=60,
        )  # fmt: skip
    except OSError as error:
        raise RevisionError(f"git cannot be run in {folder}: {error.strerror}; --against DIR does without") from error
    except subprocess.TimeoutExpired as error:
        raise RevisionError(f"{folder}: git {words[0]} gives no answer") from error
    return done.stdout if done.returncode == 0 else None
