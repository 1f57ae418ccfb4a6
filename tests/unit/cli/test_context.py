"""Settings as the command line reads them."""

import logging
import pickle
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from reviewstream import ConfigError
from reviewstream.cli.context import Context, load_settings, verb
from reviewstream.cli.progress import Mode


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


@pytest.mark.parametrize("override", ["kafka", "kafka=1", "kafka.partitions"])
def test_an_override_that_is_none_is_named(override: str) -> None:
    with pytest.raises(ConfigError, match=f"--set {override}: expected section.name=value"):
        load_settings(None, None, [override])


def test_an_error_names_the_setting_and_every_place_looked_in(tmp_path: Path) -> None:
    (env_file := tmp_path / "env").write_text("REVIEWSTREAM_KAFKA__PARTITIONS=none\n")
    with pytest.raises(ConfigError) as caught:
        load_settings(None, env_file)
    message = str(caught.value)
    for part in (
        "kafka.partitions",
        "REVIEWSTREAM_KAFKA__PARTITIONS",
        "--set",
        "the environment",
        str(env_file),
        "reviewstream.toml",
    ):
        assert part in message


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
