"""Settings as the command line reads them."""

import logging
import pickle
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from reviewstream import ConfigError
from reviewstream.cli.context import Context, load_settings, verb
from reviewstream.cli.origins import check_names
from reviewstream.cli.progress import Mode
from reviewstream.settings import Settings
from tests.unit.adapters.redis.test_connection import answering, info


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def test_argument_beats_environment_beats_env_file_beats_file_beats_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "reviewstream.toml").write_text(
        "[kafka]\npartitions = 4\nreplication_factor = 4\nlabelled_topic = '4'\n"
        "rejected_topic = '4'\n"
    )
    (env_file := tmp_path / "env").write_text(
        "REVIEWSTREAM_KAFKA__PARTITIONS=3\nREVIEWSTREAM_KAFKA__REPLICATION_FACTOR=3\n"
        "REVIEWSTREAM_KAFKA__LABELLED_TOPIC=3\n"
    )
    monkeypatch.setenv("REVIEWSTREAM_KAFKA__PARTITIONS", "2")
    monkeypatch.setenv("REVIEWSTREAM_KAFKA__REPLICATION_FACTOR", "2")
    kafka = load_settings(None, env_file, ["kafka.partitions=1"]).kafka
    assert kafka.partitions == 1
    assert kafka.replication_factor == 2
    assert kafka.labelled_topic == "3"
    assert kafka.rejected_topic == "4"
    assert kafka.dead_letter_topic == "reviews.labelled.dlq"


def test_a_file_named_with_c_is_read_instead(tmp_path: Path) -> None:
    (tmp_path / "reviewstream.toml").write_text("[source]\nport = 1\n")
    (other := tmp_path / "other.toml").write_text("[source]\nhost = 'h'\n")
    source = load_settings(other, None).source
    assert (source.host, source.port) == ("h", 9999)


def test_openai_s_own_names_are_taken_verbatim(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    openai = load_settings(None, None, ["openai.model=m"]).openai
    assert openai.api_key is not None
    assert openai.api_key.get_secret_value() == "sk-secret"
    assert (openai.base_url, openai.model) == ("http://127.0.0.1:1/v1", "m")
    assert "sk-secret" not in repr(openai)


def test_openai_s_own_names_are_read_from_the_env_file_too(tmp_path: Path) -> None:
    (env_file := tmp_path / "env").write_text("OPENAI_API_KEY=sk-file\n")
    openai = load_settings(None, env_file).openai
    assert openai.api_key is not None
    assert openai.api_key.get_secret_value() == "sk-file"


def test_a_longer_path_is_a_key_of_a_table() -> None:
    kafka = load_settings(None, None, ["kafka.client.linger.ms=5", "kafka.client.acks=1"]).kafka
    assert kafka.client == {"linger.ms": "5", "acks": "1"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("0.5", 0.5),
        ("true", True),
        ('"1"', "1"),
        ('{"a": [1, null]}', {"a": [1, None]}),
        ("high", "high"),
        ("NaN", "NaN"),
        ("", ""),
        ("[" * 9_999, "[" * 9_999),
    ],
)
def test_a_field_of_the_request_is_json_where_it_is_json(text: str, value: object) -> None:
    openai = load_settings(None, None, [f"openai.extra_body.x={text}"]).openai
    assert openai.extra_body == {"x": value}
    assert type(openai.extra_body["x"]) is type(value)


@pytest.mark.parametrize("override", ["kafka", "kafka=1", "kafka.partitions"])
def test_an_override_that_is_none_is_named(override: str) -> None:
    with pytest.raises(ConfigError, match=f"--set {override}: expected section.name=value"):
        load_settings(None, None, [override])


def test_an_error_names_the_setting_and_where_it_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file := tmp_path / "a.toml").write_text("\n[openai]\nmodel = 'm'\n\npack = 0  # none\n")
    (env_file := tmp_path / "env").write_text(
        "# ours\nOTHER=1\nexport REVIEWSTREAM_KAFKA__PARTITIONS=none\nOPENAI_BASE_URL=nowhere\n"
    )
    monkeypatch.setenv("reviewstream_source__port", "0")
    with pytest.raises(ConfigError) as caught:
        load_settings(file, env_file, ["kafka.replication_factor=0"])
    message = str(caught.value)
    for part in (
        "kafka.partitions (REVIEWSTREAM_KAFKA__PARTITIONS) (read from {env}, line 3): Input should",
        "openai.base_url (REVIEWSTREAM_OPENAI__BASE_URL) (read from {env}, line 4): is no",
        "openai.pack (REVIEWSTREAM_OPENAI__PACK) (read from {toml}, line 5): ",
        "(read from the environment (reviewstream_source__port)): ",
        "kafka.replication_factor (REVIEWSTREAM_KAFKA__REPLICATION_FACTOR) (read from --set): ",
    ):
        assert part.format(env=env_file, toml=file) in message


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ("openai.pack = 0", 1),
        ("openai = { model = 'm', pack = 0 }", 1),
        ("[kafka]\npartitions = 1\n[ 'openai' ]\n'pack' = 0", 4),
        ('[openai]\nmodel = """\nx\n"""\n"pack"=0', 5),
    ],
)
def test_a_setting_is_found_however_toml_is_written(
    tmp_path: Path, written: str, line: int
) -> None:
    (file := tmp_path / "a.toml").write_text(written)
    with pytest.raises(ConfigError, match=rf"openai.pack .*a\.toml, line {line}\)"):
        load_settings(file, None)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("kafka.bootstrap_server", r"kafka\.bootstrap_servers \(REVIEWSTREAM_KAFKA__BOOTSTRAP_S"),
        ("kafk.partitions", r"kafka\.partitions \(REVIEWSTREAM_KAFKA__PARTITIONS"),
        ("openai.modle", r"openai\.model "),
    ],
)
def test_an_unknown_setting_gets_a_suggestion(given: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=rf"there is no setting {given} .*did you mean {meant}"):
        load_settings(None, None, [f"{given}=1"])


def test_a_setting_that_resembles_none_gets_no_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"there is no setting zzz.qqqqqqq \(read from --set\)$"):
        load_settings(None, None, ["zzz.qqqqqqq=1"])


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("REVIEWSTREAM_KAFKA_BOOTSTRAP_SERVERS", "REVIEWSTREAM_KAFKA__BOOTSTRAP_SERVERS"),
        ("reviewstream_source_port", "REVIEWSTREAM_SOURCE__PORT"),
        ("REVIEWSTREAM_OPENAI_API_KEY_FILE", "REVIEWSTREAM_OPENAI__API_KEY"),
        ("REVIEWSTREAM_LIMITS___BUDGET__USD", "there is no setting"),
    ],
)
def test_a_setting_with_one_underscore_is_an_error_that_gives_the_right_name(
    name: str, right: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "9")
    with pytest.raises(ConfigError, match=right):
        load_settings(None, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REVIEWSTREAM_SERVICE_HOST", "10.0.0.1"),
        ("REVIEWSTREAM_SERVICE_PORT_HTTP", "80"),
        ("REVIEWSTREAM_PORT", "tcp://10.0.0.1:80"),
        ("REVIEWSTREAM_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("REVIEWSTREAM_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("REVIEWSTREAM_SOURCE_PORT", "tcp://10.0.0.1:9999"),  # a service called reviewstream-source
        ("REVIEWSTREAM_SOURCE_SERVICE_PORT", "9999"),
        ("REVIEWSTREAM_CACHE", "/cache"),
        ("REVIEWSTREAM_LEDGER_URL", "redis://r"),
        ("REVIEWSTREAM_TEST_KAFKA", "k:1"),
        ("REVIEWSTREAM_KAFKA__PARTITIONS", "2"),
        ("REVIEWSTREAM_KAFKA", '{"partitions": 2}'),
    ],
)
def test_names_that_we_or_kubernetes_give_are_no_warning(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    load_settings(None, None)
    assert capsys.readouterr().err == ""


def test_another_name_of_ours_is_a_warning_with_a_suggestion(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REVIEWSTREAM_KAFKA_BOOTSTRAP_SERVER", "k:1")
    (env_file := tmp_path / "env").write_text("REVIEWSTREAM_FOO=1\nOTHER=1\n")
    load_settings(None, env_file)
    first, second = capsys.readouterr().err.splitlines()
    assert first == "Warning: REVIEWSTREAM_FOO is no setting, and is ignored"
    assert second.startswith("Warning: REVIEWSTREAM_KAFKA_BOOTSTRAP_SERVER is no setting")
    assert "did you mean kafka.bootstrap_servers (REVIEWSTREAM_KAFKA__BOOTSTRAP_SER" in second


def test_every_variable_that_the_code_reads_is_known() -> None:
    root = Path(__file__).parents[3]
    files = [file for name in ("src", "testbed", "tests") for file in (root / name).rglob("*.py")]
    texts = (file.read_text(encoding="utf-8") for file in files if file != Path(__file__))
    read = {name for text in texts for name in re.findall(r'"(REVIEWSTREAM_[A-Z]\w*[A-Z])"', text)}
    assert len(read) > 10
    assert check_names(dict.fromkeys(read, "")) == []


@pytest.mark.parametrize("name", ["REVIEWSTREAM_KAFKA", "REVIEWSTREAM_KAFKA__CLIENT"])
def test_a_table_that_is_no_json_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "hush")
    with pytest.raises(ConfigError, match=rf"^{name} is no JSON: (kafka|client) is a") as caught:
        load_settings(None, None)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "overrides",
    [("kafka.client=x", "kafka.client.acks=1"), ("openai.pack=1", "openai.pack.x=1")],
)
def test_a_value_beside_a_table_of_the_same_name_is_named(overrides: tuple[str, str]) -> None:
    with pytest.raises(ConfigError, match="is a value once, and once a table"):
        load_settings(None, None, overrides)


NUMBERS = [
    (section, name)
    for section, model in Settings.model_fields.items()
    for name, field in model.annotation.model_fields.items()  # type: ignore[union-attr]
    if {"int", "float"} & {*re.findall(r"\w+", str(field.annotation))}
]


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e400", "1" + "0" * 20, "-1" + "0" * 20])
def test_a_number_out_of_all_bounds_is_an_error(value: str) -> None:
    assert len(NUMBERS) > 25
    for section, name in NUMBERS:
        with pytest.raises(ConfigError, match=rf"^{section}\.{name} "):
            load_settings(None, None, [f"{section}.{name}={value}"])


@pytest.mark.parametrize("value", ["", " "])
def test_a_name_that_is_empty_is_an_error(value: str) -> None:
    for setting in ("openai.model", "kafka.labelled_topic", "spark.checkpoint", "source.host"):
        with pytest.raises(ConfigError, match=f"{setting} .*: is empty"):
            load_settings(None, None, [f"{setting}={value}"])


URLS = ["connect.url", "elasticsearch.url", "registry.url", "openai.base_url"]


@pytest.mark.parametrize("setting", [*URLS, "kafka.oauth_token_url"])
@pytest.mark.parametrize("url", ["localhost:8083", "ftp://h", "h", "//h", "http:h", ""])
def test_a_url_that_is_no_web_address_is_an_error(setting: str, url: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{setting} "):
        load_settings(None, None, [f"{setting}={url}"])


@pytest.mark.parametrize("setting", URLS)
def test_only_the_registry_takes_several_urls(setting: str) -> None:
    override = [f"{setting}=http://a:1,http://b:1"]
    if setting == "registry.url":
        assert load_settings(None, None, override).registry.url == "http://a:1,http://b:1"
    else:
        with pytest.raises(ConfigError, match="is a list: name one server"):
            load_settings(None, None, override)


@pytest.mark.parametrize("kind", ["config", "env"])
def test_a_file_that_is_no_text_is_named(kind: str, tmp_path: Path) -> None:
    (file := tmp_path / "odd").write_bytes(b"\xff\xfe=\n")
    with pytest.raises(ConfigError, match=f"^{file}: "):
        load_settings(*((file, None) if kind == "config" else (None, file)))


def test_an_error_never_shows_a_value_since_it_may_be_a_secret() -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(None, None, ["openai.api_kee=sk-secret"])
    assert "openai.api_kee" in str(caught.value)
    assert "sk-secret" not in str(caught.value)


def test_the_ledgers_url_has_a_short_name_and_is_a_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (env_file := tmp_path / "env").write_text("REVIEWSTREAM_LEDGER_URL=redis://file\n")
    from_file = load_settings(None, env_file).ledger.url
    monkeypatch.setenv("REVIEWSTREAM_LEDGER_URL", "redis://:secret@h")
    from_environment = load_settings(None, env_file).ledger
    assert from_file is not None
    assert from_environment.url is not None
    assert from_file.get_secret_value() == "redis://file"
    assert from_environment.url.get_secret_value() == "redis://:secret@h"
    assert "secret" not in repr(from_environment)
    monkeypatch.setenv("REVIEWSTREAM_LEDGER__URL", "redis://long")
    from_long_name = load_settings(None, None).ledger.url
    assert from_long_name is not None
    assert from_long_name.get_secret_value() == "redis://long"


def test_a_prompt_version_that_there_is_not_is_an_error_that_names_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match=r"REVIEWSTREAM_OPENAI__PROMPT_VERSION\) is 3: there are"):
        load_settings(None, None, ["openai.prompt_version=3"])


def test_a_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "reviewstream.toml").write_text("[kafka\n")
    with pytest.raises(ConfigError, match=r"reviewstream\.toml"):
        load_settings(None, None)


def test_settings_survive_the_trip_to_a_worker() -> None:
    settings = load_settings(None, None, ["openai.api_key=sk-x"])
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_a_verb_gets_the_common_options_as_a_context() -> None:
    seen: list[Context] = []

    @click.command("show")
    @click.argument("word")
    @verb
    def show(context: Context, *, word: str) -> None:
        seen.append(context)
        context.emit({"word": word})

    result = CliRunner().invoke(show, ["--progress", "log", "--json", "--debug", "é"])
    assert (result.exit_code, result.output) == (0, '{"word": "é"}\n')
    assert (seen[0].progress, seen[0].json, seen[0].debug) == (Mode.LOG, True, True)


def test_json_on_a_terminal_does_not_control_it(capsys: pytest.CaptureFixture[str]) -> None:
    Context().emit({"name": "\x9b31m\u202e\udcff"})
    assert capsys.readouterr().out == '{"name": "\\u009b31m\\u202e\\udcff"}\n'


def test_a_log_line_does_not_control_the_terminal() -> None:
    @click.command("warn")
    @verb
    def warn(_context: Context) -> None:
        logging.getLogger("reviewstream").warning("%s says\n%s", "broker", "\x1b]0;PWNED\x07")

    result = CliRunner().invoke(warn)
    assert result.stderr.splitlines()[1:] == [" ]0;PWNED "]
    assert result.stderr.splitlines()[0].endswith("WARNING reviewstream: broker says")


@pytest.mark.parametrize(("model", "lines"), [("gpt-4o-mini", 0), ("llama", 1)])
def test_a_model_whose_price_nobody_knows_is_told_of(
    capsys: pytest.CaptureFixture[str], model: str, lines: int
) -> None:
    Context(overrides=(f"openai.model={model}",)).warn_of_prices()
    err = capsys.readouterr().err
    assert err.count("\n") == lines
    assert ("no price of llama is known: set openai.input_usd_per_million" in err) == bool(lines)


@pytest.mark.parametrize(("policy", "lines"), [("noeviction", 0), ("allkeys-lru", 1)])
def test_a_redis_that_may_drop_labels_is_told_of(
    capsys: pytest.CaptureFixture[str], policy: str, lines: int
) -> None:
    with answering(info(policy)) as url:
        Context(overrides=(f"ledger.url={url}",)).warn_of_eviction()
    err = capsys.readouterr().err
    assert err.count("\n") == lines
    assert ("CONFIG SET maxmemory-policy noeviction" in err) == bool(lines)


def test_a_ledger_that_is_a_file_or_away_is_not_warned_of(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Context().warn_of_eviction()
    Context(overrides=("ledger.url=redis://127.0.0.1:1",)).warn_of_eviction()
    assert capsys.readouterr().err == ""


def test_a_budget_without_a_price_is_an_error_before_anything_is_asked() -> None:
    overrides = ("openai.model=llama", "limits.budget_usd=0.01")
    with pytest.raises(ConfigError, match=r"^limits\.budget_usd is set, and no price of llama"):
        Context(overrides=overrides).warn_of_prices()
