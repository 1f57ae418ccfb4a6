"""The list of all pages is complete, is the same for people and models, and says what a page is."""

import pytest

from tests.docs.references import ROOT
from tools import docs_site
from tools.contents import FILE, Page, llms_text, sections, summary

LISTED = [page for pages in sections().values() for page in pages]


def test_the_file_for_language_models_is_up_to_date() -> None:
    assert FILE.read_text("utf-8") == llms_text(), "run: python -m tests.docs.references"


def test_every_page_is_listed_once() -> None:
    pages = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")}
    tops = {*docs_site.TOP}
    listed = [page.path for page in LISTED]
    assert sorted(listed) == sorted((pages | tops) - {"docs/index.md"})


def test_people_read_concepts_before_instructions_before_references() -> None:
    assert [*sections()][:5] == ["Start", "Concepts", "How to", "Endpoints", "Reference"]


@pytest.mark.parametrize("page", LISTED, ids=lambda page: page.path)
def test_a_page_is_summed_up_in_a_sentence_or_in_its_title(page: Page) -> None:
    if page.path.startswith("docs/decisions/"):
        assert page.summary == ""
    else:
        assert 25 < len(page.summary) < 220
        assert "\n" not in page.summary


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("# A\n\nOne. Two.", "One."),
        ("# A\n\nOne\nand [two](b.md), in 1.5 s: three.\n\nFour.", "One and two, in 1.5 s."),
        ("# A\n\n```sh\nb. c.\n```\n\n<!-- d. -->\n| e. |\n\nOne.", "One."),
        ("# A\n\n::: b\n\n## C\n\nOne:\n", "One."),
        ("# A\n\nStatus: accepted\n\n## Context\n\nOne.", ""),
        ("# A\n", ""),
    ],
)
def test_a_summary_is_the_first_sentence_of_prose(text: str, sentence: str) -> None:
    assert summary(text) == sentence
