"""Packs: nothing lost, nothing out of order, nothing too large."""

from hypothesis import example, given
from hypothesis import strategies as st

from reviewstream.core.labelling.packs import halves, overhead, shares, tokens_of
from reviewstream.core.labelling.prompts import PROMPT_VERSIONS, as_sent, build_prompt

texts = st.lists(st.text(st.characters(), max_size=200), max_size=40)


@given(texts=texts, version=st.sampled_from(PROMPT_VERSIONS), each=st.integers(1, 5_000))
@example(texts=["<" * 100], version=2, each=1)
def test_a_request_takes_no_more_tokens_than_its_texts_were_weighed(
    texts: list[str], version: int, each: int
) -> None:
    weights = (tokens_of(text, version=version, tokens_per_label=each) for text in texts)
    prompt = build_prompt(list(map(as_sent, texts)), version=version, tokens_per_label=each)
    assert prompt.tokens <= overhead(version) + sum(weights)


@given(total=st.integers(0, 10_000), parts=st.integers(1, 50))
def test_shares_add_up_and_are_fair(total: int, parts: int) -> None:
    each = shares(total, parts)
    assert len(each) == parts
    assert sum(each) == total
    assert max(each) - min(each) <= 1


@given(items=st.lists(st.integers(), min_size=2))
def test_halves_are_shorter_and_together_the_whole(items: list[int]) -> None:
    first, second = halves(items)
    assert first + second == items
    assert 0 <= len(first) - len(second) <= 1


def test_each_prompt_version_has_an_overhead_of_its_own() -> None:
    found = [overhead(version) for version in PROMPT_VERSIONS]
    assert found == [build_prompt([], version=version).tokens for version in PROMPT_VERSIONS]
    assert len(set(found)) == len(found)
