"""Words of others cannot control a terminal, and stay as they are where they need not."""

import json
import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from reviewstream.cli.terminal import plain, plain_json, plain_lines

HOSTILE = "\x1b]0;PWNED\x07 \x9b31m \u202eabc\u2066 \x7f\r\n\tnext"
words = st.text() | st.text(alphabet="\x1b[]0;m\x07\x9b\x7f\x85\r\n\t\u2028\u202e\u2066")


def harmful(shown: str) -> set[str]:
    return {c for c in shown if unicodedata.category(c) in {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}}


@given(words)
@example(HOSTILE)
def test_a_line_holds_nothing_that_a_terminal_obeys(text: str) -> None:
    assert harmful(plain(text)) <= {"\u200c", "\u200d"}


@given(words)
@example(HOSTILE)
def test_lines_hold_nothing_but_line_breaks_that_a_terminal_obeys(text: str) -> None:
    assert harmful(plain_lines(text)) <= {"\u200c", "\u200d", "\n"}


def test_lines_stay_lines_and_what_can_be_read_stays() -> None:
    assert plain_lines("Boom: ä  日本\n\tat a.b(C.java:1)") == "Boom: ä  日本\n    at a.b(C.java:1)"


@given(words)
@example(HOSTILE)
@example("re\udcffview.json")
@example("\U000e0001")
def test_json_says_the_same_without_what_a_terminal_obeys(text: str) -> None:
    shown = plain_json(json.dumps({text: [text]}, ensure_ascii=False))
    assert not harmful(shown)
    assert json.loads(shown) == {text: [text]}


def test_json_shows_letters_of_any_language() -> None:
    assert plain_json('{"word": "é日"}') == '{"word": "é日"}'
