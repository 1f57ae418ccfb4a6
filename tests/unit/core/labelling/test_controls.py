"""Control texts: where they stand, and what they find out."""

from hypothesis import given
from hypothesis import strategies as st

from reviewstream.core.labelling.answers import Label
from reviewstream.core.labelling.controls import (
    BAD,
    CONTROL_TEXTS,
    GOOD,
    HALVED,
    contradicts,
    known_label,
    with_controls,
    without_controls,
)
from reviewstream.core.records.reviews import Sentiment

packs = st.lists(st.text(max_size=20), min_size=2, max_size=30)


def label_of(text: str) -> Label:
    """Return the right label of a control text, and one that tells the others apart."""
    sentiment = known_label(text) if text in CONTROL_TEXTS else Sentiment.NEUTRAL
    return Label(sentiment=sentiment, confidence=len(text) / 1000)


@given(packs)
def test_a_pack_keeps_its_texts_in_their_order_and_gets_one_control_of_each_opinion(
    texts: list[str],
) -> None:
    asked = with_controls(texts)
    assert len(asked.places) == (2 if len(texts) < HALVED else 4)
    assert {asked.items[place] for place in asked.places[::2]} <= {*GOOD}
    assert {asked.items[place] for place in asked.places[1::2]} <= {*BAD}
    own = [item for place, item in enumerate(asked.items) if place not in asked.places]
    assert own == texts
    assert with_controls(texts) == asked, "a request can be repeated"


@given(packs)
def test_a_model_that_labels_rightly_contradicts_nothing(texts: list[str]) -> None:
    asked = with_controls(texts)
    labels = [label_of(text) for text in asked.items]
    assert not contradicts(labels, asked.places)
    assert without_controls(labels, asked.places) == [label_of(text) for text in texts]


@given(packs, st.sampled_from(Sentiment))
def test_one_label_for_all_is_found_out_whatever_it_is(
    texts: list[str], sentiment: Sentiment
) -> None:
    asked = with_controls(texts)
    labels = [Label(sentiment=sentiment) for _ in asked.items]
    assert contradicts(labels, asked.places)


@given(st.lists(st.text(max_size=20), min_size=HALVED, max_size=30), st.sampled_from(Sentiment))
def test_one_label_for_one_half_is_found_out(texts: list[str], sentiment: Sentiment) -> None:
    asked = with_controls(texts)
    middle = len(texts) // 2 + 2
    for half in (range(middle), range(middle, len(asked.items))):
        labels = [
            Label(sentiment=sentiment) if place in half else label_of(text)
            for place, text in enumerate(asked.items)
        ]
        assert contradicts(labels, asked.places)


def test_a_text_alone_stays_alone() -> None:
    for texts in ([], ["a"]):
        assert with_controls(texts).items == tuple(texts)
        assert with_controls(texts).places == ()


def test_the_places_and_the_texts_differ_from_pack_to_pack() -> None:
    found = [with_controls([f"a {number}", "b", "c"]) for number in range(200)]
    assert len({one.places for one in found}) == 4 * 5
    assert {item for one in found for item in one.items} >= CONTROL_TEXTS
