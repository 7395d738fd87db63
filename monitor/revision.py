"""The topics of a folder as they were at a git revision *(edge: the program git, asked without a shell)*."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from monitor.errors import Problem, RevisionError
from monitor.model import Topic
from monitor.rules import load_topics


def topics_at(folder: Path, revision: str) -> tuple[list[Topic], list[Problem]]:
    """Return the topics that could be used then, and what is wrong with the other files; no folder then is no topic.

    Raises: RevisionError if there is no git, no repository, or no such revision.
    """
    # what follows --end-of-options is a revision, whatever it looks like
    named = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if named is None:
        _git_or_fail(folder, "rev-parse", "--git-dir")
        raise RevisionError(f"{folder}: its repository has no revision {revision!r}")
    commit = named.decode().strip()
    listed = _git_or_fail(folder, "ls-tree", "-z", "--name-only", commit, "--", ".")
    names = [name for name in listed.decode("utf-8", "surrogateescape").split("\0") if name.endswith(".toml")]
    with tempfile.TemporaryDirectory() as made:
        for name in names:
            (Path(made) / name).write_bytes(_git_or_fail(folder, "show", f"{commit}:./{name}"))
        topics, problems = load_topics(Path(made))
    then = f"{folder.name}@{revision}"
    return (
        [replace(topic, path=topic.path.replace(made, then)) for topic in topics],
        [replace(problem, path=problem.path.replace(made, then)) for problem in problems],
    )


def _git_or_fail(folder: Path, *words: str) -> bytes:
    said = _git(folder, *words)
    if said is None:
        raise RevisionError(f"{folder}: is in no git repository; --against DIR compares with another folder")
    return said


def _git(folder: Path, *words: str) -> bytes | None:
    """What git says; None where it refuses."""
    try:
        done = subprocess.run(  # noqa: S603 - words of ours, and a revision that stands where only one may
            ["git", *words],  # noqa: S607 - whichever git the author uses
            cwd=folder, capture_output=True, check=False, timeout=60,
        )  # fmt: skip
    except OSError as error:
        raise RevisionError(f"git cannot be run in {folder}: {error.strerror}; --against DIR does without") from error
    except subprocess.TimeoutExpired as error:
        raise RevisionError(f"{folder}: git {words[0]} gives no answer") from error
    return done.stdout if done.returncode == 0 else None
