"""Builds the documentation as a site: `python tools/docs_site.py FOLDER`; needs `--group site`.

The pages are written for the repository. Those outside `docs` (README, SECURITY, ...) become pages
of the site, links follow, and a link to what is no page becomes its text. A picture in two versions
follows the colours that the reader of the site chooses. The build fails on any link or entry of the
navigation that leads nowhere, and on a page that the navigation lacks.
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
    "README.md": "overview.md",
    "SECURITY.md": "security.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "testbed/README.md": "testbed.md",
}
FENCE: Final = re.compile(
    r"^(```\w+) .*$", re.MULTILINE
)  # a site takes one word, ours has marks for tests
LINK: Final = re.compile(r"\[([^\]]*)\]\(([^)\s#]+)((?:#[\w-]+)?)\)")
PICTURE: Final = re.compile(
    r'<picture>\s*<source [^>]*srcset="(?P<dark>[^"]+)">\s*'
    r'<img alt="(?P<alt>[^"]*)" src="(?P<light>[^"]+)">\s*</picture>'
)
CONFIG: Final = "mkdocs.yml"
LLMS: Final = "llms.txt"  # the list of pages for language models
SOURCES: Final = "paths: [src, testbed]"


def assemble(folder: Path) -> None:
    """Write the configuration and all pages of the site to an empty folder."""
    pages, pictures = TOP | _places("*.md"), _places("*.svg")
    targets = pages | pictures | {LLMS: LLMS}
    for source in (*pages, LLMS):
        _made(folder / "docs" / targets[source]).write_text(_page(source, targets), "utf-8")
    for source, target in pictures.items():
        shutil.copy(ROOT / source, _made(folder / "docs" / target))
    config = (ROOT / CONFIG).read_text(encoding="utf-8")
    if absent := [target for target in pages.values() if f": {target}\n" not in config]:
        raise SystemExit(f"{CONFIG}: the navigation lacks {', '.join(absent)}")
    if SOURCES not in config:
        raise SystemExit(f"{CONFIG}: there is no {SOURCES!r} to replace")
    absolute = config.replace(SOURCES, f"paths: [{ROOT}/src, {ROOT}/testbed]")
    (folder / CONFIG).write_text(absolute, encoding="utf-8")


def _places(pattern: str) -> dict[str, str]:
    """Return the place on the site of each file below docs, by its path in the repository."""
    return {
        path.relative_to(ROOT).as_posix(): path.relative_to(ROOT / "docs").as_posix()
        for path in sorted((ROOT / "docs").rglob(pattern))
    }


def _made(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def _page(source: str, targets: dict[str, str]) -> str:
    """Return the text of a page, whose links lead to pages and pictures of the site."""
    text = FENCE.sub(r"\1", (ROOT / source).read_text(encoding="utf-8"))
    text = PICTURE.sub(_picture, text)
    return LINK.sub(lambda link: _link(link, source, targets), text)


def _picture(picture: re.Match[str]) -> str:
    """Return two images, of which the theme shows the one that fits its colours."""
    alt, light, dark = picture["alt"], picture["light"], picture["dark"]
    return f"![{alt}]({light}#only-light)\n![{alt}]({dark}#only-dark)"


def _link(link: re.Match[str], source: str, targets: dict[str, str]) -> str:
    text, path, anchor = link.groups()
    if ":" in path:
        return link[0]
    target = targets.get(normpath(str(PurePosixPath(source).parent / path)))
    if target is None:
        return text
    return f"[{text}]({relpath(target, str(PurePosixPath(targets[source]).parent))}{anchor})"


def main(folder: Path) -> int:
    """Build the site in `folder/site`; return the exit code."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    assemble(folder)
    command = ["zensical", "build", "--strict", "--clean", "--config-file", CONFIG]
    code = subprocess.run(command, cwd=folder, check=False).returncode
    if code == 0:  # the pages as they were written too: these are what `llms.txt` links to
        shutil.copytree(folder / "docs", folder / "site", dirs_exist_ok=True)
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
