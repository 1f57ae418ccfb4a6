"""Builds the documentation as a site: `python tools/docs_site.py FOLDER`; needs `--group site`.

The pages are written for the repository. Those at its top (README, SECURITY, ...) become pages of
the site, links follow, and a link to what is no page becomes its text. The build fails on any link
or entry of the navigation that leads nowhere, and on a page that the navigation lacks.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
TOP: Final = {
    "README.md": "index.md",
    "SECURITY.md": "security.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
FENCE: Final = re.compile(
    r"^(```\w+) .*$", re.MULTILINE
)  # a site takes one word, ours has marks for tests
LINK: Final = re.compile(r"\[([^\]]*)\]\(([^)\s#]+)((?:#[\w-]+)?)\)")
CONFIG: Final = "mkdocs.yml"


def assemble(folder: Path) -> None:
    """Write the configuration and all pages of the site to an empty folder."""
    pages = {path.relative_to(ROOT).as_posix(): _place(path) for path in ROOT.glob("docs/**/*.md")}
    pages |= TOP
    for source, target in pages.items():
        page = folder / "docs" / target
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(_page(source, pages), encoding="utf-8")
    config = (ROOT / CONFIG).read_text(encoding="utf-8")
    if absent := [target for target in pages.values() if f": {target}\n" not in config]:
        raise SystemExit(f"{CONFIG}: the navigation lacks {', '.join(absent)}")
    (folder / CONFIG).write_text(config.replace("paths: [", f"paths: [{ROOT}/"), encoding="utf-8")


def _page(source: str, pages: dict[str, str]) -> str:
    """Return the text of a page, whose links lead to pages of the site."""
    text = FENCE.sub(r"\1", (ROOT / source).read_text(encoding="utf-8"))
    return LINK.sub(lambda link: _link(link, source, pages), text)


def _place(page: Path) -> str:
    return page.relative_to(ROOT / "docs").as_posix()


def _link(link: re.Match[str], source: str, pages: dict[str, str]) -> str:
    text, path, anchor = link.groups()
    if ":" in path:
        return link[0]
    target = pages.get(normpath(str(PurePosixPath(source).parent / path)))
    if target is None:
        return text
    return f"[{text}]({relpath(target, str(PurePosixPath(pages[source]).parent))}{anchor})"


def main(folder: Path) -> int:
    """Build the site in `folder/site`; return the exit code."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    assemble(folder)
    command = ["zensical", "build", "--strict", "--clean", "--config-file", CONFIG]
    return subprocess.run(command, cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
