"""Settings that are anything: a verb runs with them, or ends with one sentence."""

import gzip
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reviewstream.settings import Settings
from tests.unit.cli.every_verb import CALLS, LINE, World, check, world
from tests.unit.cli.test_any_answer import QUIETLY

SETTINGS = [
    f"{section}.{name}"
    for section, model in Settings.model_fields.items()
    for name in model.annotation.model_fields  # type: ignore[union-attr]
]
ODD = ["", " ", "inf", "nan", "1e400", "1" + "0" * 30, "-1", "0", "x", "{}", "[", "null", "true"]
URLS = ["http://[::1", "http://a:b", "socks5://h", "redis://h?bogus=1", "~nobody/x", "/dev/null/x"]
# A value with a line break is shown as it is: then the sentence has two lines.
CHARACTERS = st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"))
VALUES = st.sampled_from(ODD + URLS) | st.text(CHARACTERS, max_size=9)
NAMES = st.sampled_from(SETTINGS) | st.text(CHARACTERS, max_size=12)


# No verb reads or writes outside of its folder, asks a server of ours, or runs for long.
BOUND = ("kafka.delivery_timeout", "openai.startup_timeout", "openai.max_wait", "source.host")
GIVEN = st.lists(st.tuples(NAMES.filter(lambda name: name not in BOUND), VALUES), min_size=1)
YELP = b'{"votes":{"useful":1},"user_id":"u","review_id":"r","stars":4,"date":"2011-01-01",'
YELP += b'"text":"ok","type":"review","business_id":"b"}\n'
FILES = {
    "csv": b"id,rating,body\n1,5,fine\n",
    "array": b'[{"a": 1},\n {"a": 2}]\n',
    "packed twice": gzip.compress(gzip.compress(LINE.encode())),
    "cut gzip": gzip.compress(LINE.encode())[:-9],
    "UTF-16": LINE.encode("utf-16"),
    "old Yelp": YELP,
    "empty": b"",
    "blank": b"\n\n",
    "binary": bytes(range(256)) * 8,
    "zip": b"PK\x03\x04" + bytes(60),
    "zstd without end": b"\x28\xb5\x2f\xfd\x24",
    "html": b"<html>log in first</html>",
    "deep": b"[" * 100_000 + b"\n",
    "number": b"1" * 10_000 + b"\n",
}
TAKING = tuple(call for call in CALLS if {"FILE", "GOLD"} & {*call})
BROKEN = {
    "ALL_PROXY": "socks5://127.0.0.1:1",
    "HTTP_PROXY": "http://[::1",
    "SSL_CERT_FILE": "/nonexistent",
    "SSL_CERT_DIR": "/nonexistent",
    "REQUESTS_CA_BUNDLE": "/nonexistent",
    "CURL_CA_BUNDLE": "/nonexistent",
    "HOME": "/dev/null",
    "TMPDIR": "/nonexistent",
    "XDG_STATE_HOME": "/dev/null/x",
    "REVIEWSTREAM_CACHE": "/dev/null/x",
    "COLUMNS": "x",
    "TERM": "x",
    "LC_ALL": "x",
    "TZ": "x",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("anything")) as place:
        yield place


@QUIETLY
@given(call=st.sampled_from(CALLS), given=GIVEN)
@example(call=("doctor",), given=[("kafka.client", "x"), ("kafka.client.linger.ms", "5")])
@example(call=("ledger", "stats"), given=[("ledger.url", "redis://127.0.0.1:1/0?bogus=1")])
@example(call=("plan", "FILE"), given=[("limits.budget_usd", "inf")])
@example(call=("plan", "FILE"), given=[("ledger.file", "~nobody/x")])
@example(call=("run", "--once"), given=[("registry.url", "http://127.0.0.1:1,http://127.0.0.1:2")])
@example(call=("run", "--once"), given=[("connect.url", "http://127.0.0.1:1,http://127.0.0.1:2")])
@example(call=("run", "--once", "--no-setup"), given=[("spark.checkpoint", "/dev/null/x")])
@example(call=("reconcile", "FILE"), given=[("kafka.bootstrap_servers", ",,")])
@example(call=("rejects", "list"), given=[("kafka.client.socket.timeout.ms", "1e400")])
@example(call=("relabel", "--prompt-version", "2"), given=[("kafka.labelled_topic", "a b")])
def test_any_override_is_taken_or_ends_in_a_sentence(
    place: World, call: tuple[str, ...], given: list[tuple[str, str]]
) -> None:
    check(place.run(call, *("=".join(one) for one in given)))


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_odd_values_of_what_a_verb_needs_are_taken_or_end_in_a_sentence(
    place: World, call: tuple[str, ...]
) -> None:
    for odd in (
        "limits.budget_usd=inf",
        "connect.url=http://127.0.0.1:1,http://127.0.0.1:2",
        "ledger.file=/dev/null/x",
    ):
        check(place.run(call, odd))


@QUIETLY
@given(
    name=st.sampled_from(SETTINGS)
    | st.from_regex(r"[A-Z_]{1,12}", fullmatch=True)
    | st.sampled_from([one.partition(".")[0] for one in SETTINGS]),
    value=VALUES,
)
@example(name="kafka", value="foo")
@example(name="kafka", value="[" * 5_000)
def test_any_variable_is_taken_or_ends_in_a_sentence(place: World, name: str, value: str) -> None:
    variable = f"REVIEWSTREAM_{name.replace('.', '__')}".upper()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(variable, value.encode(errors="replace").decode())
        check(place.run(("plan", "FILE")))


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_broken_variables_of_other_programs_end_in_a_sentence(
    place: World, call: tuple[str, ...]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in BROKEN.items():
            patch.setenv(name, value)
        check(place.run(call))


@QUIETLY
@given(call=st.sampled_from(CALLS), variables=st.sets(st.sampled_from(sorted(BROKEN)), min_size=1))
def test_any_of_the_broken_variables_end_in_a_sentence(
    place: World, call: tuple[str, ...], variables: set[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name in variables:
            patch.setenv(name, BROKEN[name])
        check(place.run(call))


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_holds_no_review_ends_in_a_sentence(place: World, kind: str) -> None:
    (file := place.folder / "no-review").write_bytes(FILES[kind])
    for call in TAKING:
        arguments = tuple(str(file) if each in {"FILE", "GOLD"} else each for each in call)
        result = place.run(arguments)
        check(result)
        if call[0] in {"demo", "plan"}:
            assert result.exit_code in {1, 2}
            assert str(file) in result.stderr


@QUIETLY
@given(call=st.sampled_from(TAKING), data=st.binary(max_size=60), packed=st.booleans())
def test_any_content_of_a_file_ends_in_a_sentence(
    place: World, call: tuple[str, ...], data: bytes, packed: Any
) -> None:
    (file := place.folder / "any-file").write_bytes(gzip.compress(data) if packed else data)
    check(place.run(tuple(str(file) if each in {"FILE", "GOLD"} else each for each in call)))


@QUIETLY
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
def test_any_file_is_taken_or_ends_in_a_sentence(place: World, text: bytes, option: str) -> None:
    (place.folder / "given").write_bytes(text)
    check(place.run(("plan", "FILE", option, str(place.folder / "given"))))
