"""The "model": writes a judge's opinions of the reviews in the requested format."""

import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from reviewstream_testbed.mock_openai import prompt_reviews
from reviewstream_testbed.mock_openai.error_bodies import bad_request
from reviewstream_testbed.mock_openai.obedience import by_obedience
from reviewstream_testbed.mock_openai.prompt_reviews import PromptReview
from reviewstream_testbed.mock_openai.schema_faker import Judged, Unwritable, written
from reviewstream_testbed.mock_openai.scorers import Opinion, by_hash, by_lexicon

Judge = Callable[[Sequence[PromptReview]], list[Opinion]]


def _each(opinion: Callable[[str], Opinion]) -> Judge:
    """Return a judge of many reviews from one that judges a single review."""
    return lambda reviews: [opinion(one.text) for one in reviews]


JUDGES: Final[Mapping[str, Judge]] = MappingProxyType(
    {"lexicon": _each(by_lexicon), "hash": _each(by_hash), "obedient": by_obedience}
)


def answer_of(body: Mapping[str, Any], reviews: Sequence[PromptReview], judge: Judge) -> str:
    """Return the text that answers a request, in the requested format.

    Without a response format, it is JSON if the instructions ask for JSON, else one word per
    review.

    Raises:
        ApiError: The mock cannot generate a value for the schema.
    """
    pairs = zip(reviews, judge(reviews), strict=True)
    judged = [Judged(one.id, opinion) for one, opinion in pairs]
    wanted = body.get("response_format") or {"type": "text"}
    if wanted["type"] == "json_schema" and wanted["json_schema"].get("schema"):
        return _structured(wanted["json_schema"]["schema"], judged)
    if (
        wanted["type"] == "text"
        and "json" not in prompt_reviews.instructions(body["messages"]).lower()
    ):
        return "\n".join(one.opinion.sentiment for one in judged)
    return json.dumps({"labels": [{"id": one.id, **one.opinion._asdict()} for one in judged]})


def _structured(schema: Mapping[str, Any], judged: Sequence[Judged]) -> str:
    try:
        return json.dumps(written(schema, judged), ensure_ascii=False)
    except Unwritable as err:
        raise bad_request(
            f"This mock endpoint cannot answer with this schema: {err}", param="response_format"
        ) from err
