"""Settings that are anything: a verb runs with them, or ends with one sentence."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from reviewstream.cli import main
from reviewstream.settings import Settings
from tests.unit.cli.test_any_answer import CODES, EXAMPLES

LINE = (
    '{"review_id":"a","user_id":"b","business_id":"c","stars":4,"useful":0,"funny":0,"cool":0,'
    '"text":"ok","date":"2018-01-01 00:00:00"}\n'
)
VERBS = (
    ("plan", "FILE"),
    ("doctor",),
    ("ledger", "stats"),
    ("connector", "status"),
    ("schemas", "check"),
    ("index", "setup"),
)
NOWHERE = tuple(f"{section}.url=http://127.0.0.1:1" for section in ("connect", "registry"))
SETTINGS = [
    f"{section}.{name}"
    for section, model in Settings.model_fields.items()
    for name in model.annotation.model_fields  # type: ignore[union-attr]
]
ODD = ["", " ", "inf", "nan", "1e400", "1" + "0" * 30, "-1", "0", "x", "{}", "[", "null", "true"]
URLS = ["http://[::1", "http://a:b", "socks5://h", "redis://h?bogus=1", "~nobody/x", "/dev/null/x"]
VALUES = st.sampled_from(ODD + URLS) | st.text(st.characters(exclude_characters="\0"), max_size=9)
NAMES = st.sampled_from(SETTINGS) | st.text(st.characters(exclude_characters="\0"), max_size=12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("anything")
    (folder / "r.json").write_text(LINE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_STATE_HOME", str(folder))
        yield folder


def run(folder: Path, verb: tuple[str, ...], *options: str) -> Result:
    arguments = [str(folder / "r.json") if each == "FILE" else each for each in verb]
    away = (*NOWHERE, "elasticsearch.url=http://127.0.0.1:1")
    given = [option for place in away for option in ("-s", place)]
    return CliRunner().invoke(main, [*arguments, *given, *options])


def check(result: Result) -> None:
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert result.exit_code in CODES
    assert "Traceback" not in result.output


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(verb=st.sampled_from(VERBS), given=st.lists(st.tuples(NAMES, VALUES), min_size=1))
@example(verb=("doctor",), given=[("kafka.client", "x"), ("kafka.client.linger.ms", "5")])
@example(verb=("ledger", "stats"), given=[("ledger.url", "redis://127.0.0.1:1/0?bogus=1")])
@example(verb=("plan", "FILE"), given=[("limits.budget_usd", "inf")])
@example(verb=("plan", "FILE"), given=[("ledger.file", "~nobody/x")])
def test_any_override_is_taken_or_ends_in_a_sentence(
    folder: Path, verb: tuple[str, ...], given: list[tuple[str, str]]
) -> None:
    check(run(folder, verb, *(part for one in given for part in ("-s", "=".join(one)))))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from(SETTINGS)
    | st.from_regex(r"[A-Z_]{1,12}", fullmatch=True)
    | st.sampled_from([one.partition(".")[0] for one in SETTINGS]),
    value=VALUES,
)
@example(name="kafka", value="foo")
@example(name="kafka", value="[" * 5_000)
def test_any_variable_is_taken_or_ends_in_a_sentence(folder: Path, name: str, value: str) -> None:
    variable = f"REVIEWSTREAM_{name.replace('.', '__')}".upper()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(variable, value.encode(errors="replace").decode())
        check(run(folder, ("plan", "FILE")))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    text=st.binary(max_size=30)
    | st.builds("[{}]\n{} = {}\n".format, *[st.text(max_size=9)] * 3).map(str.encode)
    | st.builds(
        lambda setting, value: "[{}]\n{} = {!r}\n".format(*setting.split("."), value).encode(
            errors="replace"
        ),
        st.sampled_from(SETTINGS),
        VALUES | st.integers() | st.floats(),
    ),
    option=st.sampled_from(["--config", "--env-file"]),
)
def test_any_file_is_taken_or_ends_in_a_sentence(folder: Path, text: bytes, option: str) -> None:
    (folder / "given").write_bytes(text)
    check(run(folder, ("plan", "FILE"), option, str(folder / "given")))
