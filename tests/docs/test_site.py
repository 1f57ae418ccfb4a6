"""The site is made of the pages of the repository, and has a place for each."""

import re
from pathlib import Path

import pytest

from tools import docs_site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    docs_site.assemble(folder := tmp_path_factory.mktemp("site"))
    return folder / "docs"


def test_a_page_without_a_place_in_the_navigation_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/lost.md").write_text("# Lost\n")
    (tmp_path / docs_site.CONFIG).write_text("nav:\n  - Start: index.md\n")
    (tmp_path / docs_site.LLMS).write_text("# Lost\n")
    monkeypatch.setattr(docs_site, "ROOT", tmp_path)
    monkeypatch.setattr(docs_site, "TOP", {})
    (tmp_path / "built").mkdir()
    with pytest.raises(SystemExit, match=r"the navigation lacks lost\.md"):
        docs_site.assemble(tmp_path / "built")


def test_a_picture_follows_the_colours_that_a_reader_chooses(site: Path) -> None:
    page = (site / "architecture.md").read_text("utf-8")
    assert "<picture>" not in page
    for colours in ("light", "dark"):
        assert f"(images/pipeline-{colours}.svg#only-{colours})" in page
        assert (site / f"images/pipeline-{colours}.svg").is_file()


def test_links_lead_to_pages_of_the_site_and_other_links_become_text(site: Path) -> None:
    page = (site / "security.md").read_text("utf-8")
    assert "[The protocol](reference/protocol.md#limits)" in page
    page = (site / "contributing.md").read_text("utf-8")
    assert "Be friendly: how we treat each other." in page


def test_the_list_for_language_models_leads_to_pages_of_the_site(site: Path) -> None:
    listed = re.findall(
        r"^- \[.+\]\((.+?)\)", (site / docs_site.LLMS).read_text("utf-8"), re.MULTILINE
    )
    assert len(listed) > 50
    assert [path for path in listed if not (site / path).is_file()] == []
