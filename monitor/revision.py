"""The topics of a folder as they were at a git revision *(edge: the program git, asked without a shell)*."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from monitor.errors import Problem, RevisionError
from monitor.model import Topic
from monitor.rules import PACK, load_topics

_NO_REPOSITORY = "is in no git repository; --against DIR compares with another folder"


def topics_at(folders: Sequence[Path], revision: str, now: Sequence[Topic] = ()) -> tuple[list[Topic], list[Problem]]:
    """Return the topics that could be used then, and what is wrong with the other files; no folder then is no topic.

    A folder in no repository, as a shipped pack's, is taken as it is now, unless none is in one. now: the folders' topics as
    they are: of a file that is what it was then, the topic is not read again.

    Raises: RevisionError if there is no git, no repository, or no such revision.
    """
    with tempfile.TemporaryDirectory() as made:
        then: dict[Path, Path] = {}
        kept = list[Topic]()
        for number, folder in enumerate(folders):
            if len(folders) > 1 and _git(folder, "rev-parse", "--git-dir") is None:
                continue
            then[folder] = Path(made) / str(number)
            then[folder].mkdir()
            files = dict(_files(folder, _commit(folder, revision)))
            # two folders' files of one name would be a mistake to tell, and a pack's defaults are in each of its topics
            same = _same(folder, files, now) if len(folders) == 1 else []
            kept += same
            for name in files.keys() - {Path(topic.path).name for topic in same}:
                (then[folder] / name).write_bytes(files[name])
        if not then:
            raise RevisionError(f"{folders[0]}: {_NO_REPOSITORY}")
        topics, problems = load_topics([then.get(folder, folder) for folder in folders])
        names = {str(path): f"{folder.name}@{revision}" for folder, path in then.items()}
        names |= {str(folder): f"{folder.name}@{revision}" for folder in then} if kept else {}
    return (
        sorted((replace(one, path=_renamed(one.path, names)) for one in [*topics, *kept]), key=lambda one: one.path)
        if kept
        else [replace(topic, path=_renamed(topic.path, names)) for topic in topics],
        [replace(problem, path=_renamed(problem.path, names)) for problem in problems],
    )


def _same(folder: Path, files: Mapping[str, bytes], now: Sequence[Topic]) -> list[Topic]:
    """The topics whose files, and their pack's, are today what they were."""
    if _read(folder / PACK) != files.get(PACK):
        return []
    return [topic for topic in now if _read(Path(topic.path)) == files.get(Path(topic.path).name, b"")]


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _renamed(path: str, names: Mapping[str, str]) -> str:
    return next((path.replace(old, new) for old, new in names.items() if path.startswith(old)), path)


def _commit(folder: Path, revision: str) -> str:
    # what follows --end-of-options is a revision, whatever it looks like
    named = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if named is None:
        _git_or_fail(folder, "rev-parse", "--git-dir")
        raise RevisionError(f"{folder}: its repository has no revision {revision!r}")
    return named.decode().strip()


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
        raise RevisionError(f"{folder}: {_NO_REPOSITORY}")
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
