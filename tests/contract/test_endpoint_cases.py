"""What real endpoints are documented or reported to answer: each ends as it should."""

from collections.abc import Mapping
from typing import Any

import pytest

from reviewstream import errors
from reviewstream.core.records.reviews import LabelledReview, RejectedReview
from tests.contract.case_endpoint import case_endpoint, cases, ruled, sentiment, texts_of, wired

pytestmark = [pytest.mark.model, pytest.mark.anyio]

SILENCE = 5.0  # seconds that may be waited without a word about it


def _of_case(case: Mapping[str, Any]) -> str:
    return str(case["name"])


@pytest.mark.parametrize("case", [*cases()], ids=_of_case)
async def test_the_case_ends_as_it_should(
    case: Mapping[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    expected, texts = case["expect"], texts_of(case)
    with case_endpoint(ruled(case["rules"])) as endpoint:
        budget = case.get("budget_usd")
        async with wired(endpoint.url, budget_usd=budget, **case.get("settings", {})) as on:
            if "error" in expected:
                with pytest.raises(errors.FatalError) as raised:
                    await on.label(texts)
                assert type(raised.value) is getattr(errors, expected["error"])
                _assert_says(str(raised.value), expected)
            else:
                _assert_outcomes(texts, await on.label(texts), expected)
            waited, naps = sum(on.clock.sleeps), len(on.clock.sleeps)
    said = " ".join(one.getMessage() for one in caplog.records)
    assert len(endpoint.requests) <= expected["requests"], len(endpoint.requests)
    assert expected.get("log", "") in said
    assert naps <= expected.get("waits", naps)
    assert said or waited <= SILENCE, f"{waited} s without a word"
    assert endpoint.paths[0] == expected.get("path", endpoint.paths[0])
    assert expected.get("never_again") not in endpoint.requests[-1]
    assert all(expected.get("always_sent", "model") in sent for sent in endpoint.requests)


def _assert_outcomes(texts: list[str], outcomes: list[Any], expected: Mapping[str, Any]) -> None:
    refused = expected.get("rejected", {})
    for text, outcome in zip(texts, outcomes, strict=True):
        reason = next((refused[word] for word in refused if word in text), None)
        if reason is None:
            assert isinstance(outcome, LabelledReview), (text, outcome)
            assert outcome.sentiment == sentiment(text)
        else:
            assert isinstance(outcome, RejectedReview), text
            assert outcome.reason == reason
            _assert_says(outcome.detail, expected)


def _assert_says(said: str, expected: Mapping[str, Any]) -> None:
    for words in expected.get("says", ()):
        assert words in said
    assert said.encode().decode() == said, "no half of a surrogate pair"
    assert len(said) < 1_500
