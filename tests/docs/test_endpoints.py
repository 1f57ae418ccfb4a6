"""The pages about endpoints agree with the table of dialects."""

import re
import tomllib
from pathlib import Path

import pytest

from reviewstream.core.labelling.endpoint.dialects import (
    DIALECTS,
    Dialect,
    dialect_of,
    least_effort,
)
from reviewstream.settings import OpenAISettings, Settings
from tests.docs.references import ROOT

PAGES = sorted((ROOT / "docs/how-to/endpoints").glob("*.md"))
TOML = re.compile(r"^```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def dialect(page: Path) -> Dialect:
    return DIALECTS[page.stem]


def first_settings(page: Path) -> OpenAISettings:
    found = TOML.search(page.read_text(encoding="utf-8"))
    assert found
    return Settings(**tomllib.loads(found[1])).openai


@each_page
def test_a_page_sets_what_its_dialect_takes(page: Path) -> None:
    settings = first_settings(page)
    assert dialect_of(settings.base_url, settings.dialect) == dialect(page)
    assert settings.response_format in dialect(page).response_formats
    if settings.reasoning_effort != "auto":
        least = least_effort(settings.model, dialect(page))
        assert settings.reasoning_effort == (least or "none")


@each_page
def test_an_address_that_is_known_needs_no_dialect(page: Path) -> None:
    settings = first_settings(page)
    assert dialect_of(settings.base_url) == dialect(page) or not dialect(page).hosts


@each_page
def test_a_page_has_the_names_of_a_spent_quota_and_of_what_is_wrong_with_a_key(page: Path) -> None:
    text = page.read_text(encoding="utf-8").lower()
    assert not [name for name in dialect(page).quota if name not in text]
    names = dialect(page).account
    assert not names or any(name in text for name in names)


@each_page
def test_a_page_says_whether_it_was_tried(page: Path) -> None:
    assert "**Not tried against the real service.** As of 30 November 2026" in page.read_text(
        "utf-8"
    )


def test_every_page_is_linked_from_the_page_about_all_of_them() -> None:
    every = (ROOT / "docs/how-to/use-a-real-model.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES if f"(endpoints/{page.name})" not in every] == []
