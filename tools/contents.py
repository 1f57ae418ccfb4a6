"""The table of contents of the documentation, made from the navigation of `mkdocs.yml`.

`python -m tests.docs.references` writes it to `docs/index.md`, and to `llms.txt`, where language
models look for it (https://llmstxt.org).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from posixpath import relpath
from typing import Any, Final

import yaml

from tools.docs_site import CONFIG, ROOT, TOP

FILE: Final = ROOT / "llms.txt"
START: Final = "Start"  # section of the pages that are in no other one
INDEX: Final = "index.md"
NOT_PROSE: Final = re.compile(
    r"^```.*?^```$|^<picture>.*?^</picture>$|^<!--.*?-->$|^[#|:][^\n]*$", re.MULTILINE | re.DOTALL
)
LINK: Final = re.compile(r"\[([^\]]*)\]\([^)]*\)")
SENTENCE: Final = re.compile(r".*?[.:](?=\s|$)", re.DOTALL)
STATUS: Final = "Status:"  # decisions begin so; their titles say enough


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of the documentation.

    Attributes:
        path: Path in the repository.
        summary: Its first sentence; empty for a decision.
    """

    title: str
    path: str
    summary: str


def sections() -> dict[str, list[Page]]:
    """Return the pages of each section of the navigation, in its order."""
    config = yaml.safe_load((ROOT / CONFIG).read_text(encoding="utf-8"))
    found: dict[str, list[Page]] = {}
    for section, title, place in _entries(config["nav"], START):
        if place != INDEX:
            found.setdefault(section, []).append(_page(title, place))
    return found


def _entries(nav: list[dict[str, Any]], section: str) -> Iterator[tuple[str, str, str]]:
    """Yield section, title and place of each page; a section in another is a section too."""
    for entry in nav:
        for title, inside in entry.items():
            if isinstance(inside, str):
                yield section, title, inside
            else:
                yield from _entries(inside, title)


def _page(title: str, place: str) -> Page:
    tops = {target: source for source, target in TOP.items()}
    path = tops.get(place, f"docs/{place}")
    return Page(title=title, path=path, summary=summary((ROOT / path).read_text(encoding="utf-8")))


def summary(text: str) -> str:
    """Return the first sentence of a page, without links; empty if there is none."""
    prose = NOT_PROSE.sub("", text).strip()
    first = SENTENCE.match(LINK.sub(r"\1", prose.partition("\n\n")[0]))
    if first is None or first[0] == STATUS:
        return ""
    return " ".join(first[0].split()).removesuffix(":").removesuffix(".") + "."


def contents(folder: str = "") -> str:
    """Return the list of all pages in Markdown, with links for a file in a folder."""
    return "\n\n".join(
        f"## {section}\n\n" + "\n".join(_row(page, folder) for page in pages)
        for section, pages in sections().items()
    )


def _row(page: Page, folder: str) -> str:
    link = f"- [{page.title}]({relpath(page.path, folder or '.')})"
    return f"{link}: {page.summary}" if page.summary else link


def llms_text() -> str:
    """Return the text of `llms.txt`."""
    about = summary((ROOT / "README.md").read_text(encoding="utf-8"))
    return f"# reviewstream\n\n> {about}\n\n{contents()}\n"
