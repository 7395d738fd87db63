"""Every exception of ours, each saying what the caller can do about it. Imports nothing.

MonitorError
├── ConfigError        the operator must edit a file            exit 78
├── RulesError         the rule author must edit a file         exit 1
├── StateError         the database cannot be used              exit 69
├── BusyError          another instance holds the state         exit 75
├── EngineError        an embedding model cannot be loaded      exit 69
├── FetchError         a feed gave no document
├── ParseError         a document gave no feed
├── OpinionError       a second opinion was not had; the first judgement stands
├── RulingError        what a person asked of stories cannot be done        exit 1
├── RevisionError      topics cannot be compared with a revision of git     exit 1
├── OvertakenError     a person ruled on stories since: judge again
└── SendError          a message was not, or may not have been, accepted
    ├── NotAccepted        certainly not: it may be sent again
    ├── MaybeAccepted      nobody knows: read back before sending again
    │   └── Unreadable         nor can anybody look: the channel may not be read
    ├── Misconfigured      certainly not, and a person must act (token, channel, scope)
    ├── RootGone           certainly not: the root that it answers, or edits, is not there any more
    └── Unacceptable       certainly not, and these very bytes never will be
"""

from __future__ import annotations

import enum
import re
import unicodedata
from dataclasses import dataclass

#: What no message may repeat: Slack's tokens of every kind, and its webhook addresses, which are as good as a token.
SECRET = re.compile(r"xox[a-z](?:\.xox[a-z])?-[\w-]+|xapp-[\w-]+|hooks\.slack(?:-gov)?\.com/[^\s\"'\\]+", re.IGNORECASE)


class Level(enum.StrEnum):
    """How bad a problem is."""

    ERROR = "error"  # the file is refused, or says what cannot be meant
    WARNING = "warning"  # most likely a mistake
    ADVICE = "advice"  # might be better


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a file that people write."""

    #: the file as the user named it
    path: str
    #: 1-based; None where the file as a whole is meant
    line: int | None
    #: what is wrong; what would be right
    message: str
    level: Level = Level.ERROR
    #: 1-based, in characters; None where the line as a whole is meant
    column: int | None = None

    @property
    def warning(self) -> bool:
        """It is told, but refuses nothing."""
        return self.level is not Level.ERROR

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.path, self.line, self.column) if part is not None)
        return printable(f"{where}: {f'{self.level}: ' if self.warning else ''}{self.message}")


def printable(text: str) -> str:
    """Show what a terminal, or a program that reads lines, could take for more than text: as an escape.

    What people write may hold anything: line ends, signs that turn the direction, bytes of a file's name that are no text.
    """
    return "".join(
        sign if sign.isprintable() or unicodedata.category(sign) == "Zs" else sign.encode("unicode_escape").decode()
        for sign in text
    )


class MonitorError(Exception):
    """The root of the tree: catching it catches all that we raise on purpose.

    permanent: trying again unchanged cannot help.
    retry_after: seconds after which trying again may help; None if nobody said.
    """

    permanent: bool = False
    retry_after: float | None = None


class ProblemsError(MonitorError):
    """Files written by people are wrong; all problems at once."""

    permanent = True

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class ConfigError(ProblemsError):
    """The configuration, a secret or a feed list is unusable."""


class RulesError(ProblemsError):
    """A topic file is unusable."""


class StateError(MonitorError):
    """The database cannot be opened, read or written: permanently if it is damaged; a disk may have room again."""


class BusyError(MonitorError):
    """Another instance works on the same state."""


class EngineError(MonitorError):
    """An embedding model cannot be loaded or does not answer."""

    permanent = True


class FetchError(MonitorError):
    """A feed gave no document. `cause` is one word for logs: `timeout`, `dns`, `http 404`, `too large` …"""

    def __init__(self, cause: str, detail: str = "", *, retry_after: float | None = None, weight: float = 1.0) -> None:
        super().__init__(f"{cause}: {detail}" if detail else cause)
        self.cause = cause
        self.retry_after = retry_after
        #: how much it counts against the feed, 0 to 1 (our own network's faults count little)
        self.weight = weight

    @property
    def unreached(self) -> bool:
        """No publisher was heard: if that is so of most hosts, it is our own network.

        A dead line gives the first three causes, our own firewall or proxy the next two, a wrong clock or a captive portal
        `tls`.
        """
        return self.cause in ("dns", "timeout", "connection", "refused", "proxy", "tls")


class ParseError(MonitorError):
    """A document is no feed. `cause` is one word: `html`, `empty`, `not a feed` …"""

    #: what it counts against the feed: a page of maintenance, a half-written file, a consent page pass
    weight = 0.5
    #: the host did answer
    unreached = False

    def __init__(self, cause: str, detail: str = "") -> None:
        super().__init__(f"{cause}: {detail}" if detail else cause)
        self.cause = cause
        self.detail = detail

    def __reduce__(self) -> tuple[type[ParseError], tuple[str, str]]:
        # it crosses from the parser's process to ours
        return ParseError, (self.cause, self.detail)


class OpinionError(MonitorError):
    """A judge gave no opinion. `cause` is one word for logs and alerts: `timeout`, `connect`, `http 500`, `malformed` …

    detail: in our own words; never what the judge answered, nor where it lives, since alerts repeat it.
    """

    def __init__(self, cause: str, detail: str = "") -> None:
        super().__init__(f"{cause}: {detail}" if detail else cause)
        self.cause = cause


class RulingError(MonitorError):
    """What a person asked of stories cannot be done; nothing was changed."""

    permanent = True


class RevisionError(MonitorError):
    """There is no such revision of a folder's files, or no git to ask."""

    permanent = True


class OvertakenError(MonitorError):
    """A person ruled on stories after these items were judged: nothing was written, judge them again."""

    retry_after = 0.0


class SendError(MonitorError):
    """The root of what can go wrong with one message."""


class NotAccepted(SendError):
    """Certainly not accepted, for a passing reason (no connection, 429)."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class MaybeAccepted(SendError):
    """The answer was lost, or says nothing: the message may stand in the channel."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unreadable(MaybeAccepted):
    """The message may stand in the channel, and we may not look: no scope for it, not in the channel, asked too often."""


class Misconfigured(SendError):
    """Certainly not accepted until a person acts: token revoked, channel gone, scope missing.

    everywhere: none of the sink's channels would take anything; else it is this one's matter.
    """

    permanent = True

    def __init__(self, message: str, *, everywhere: bool = False) -> None:
        super().__init__(message)
        self.everywhere = everywhere


class RootGone(SendError):
    """Certainly not accepted: the root that it replies to, or edits, is not there any more, or takes no replies."""

    permanent = True


class Unacceptable(SendError):
    """Certainly not accepted, whatever the number of tries: the payload itself is refused."""

    permanent = True
