"""The documentation is true: what it says of the code is derived from the code, or tried."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from reviewstream.cli import main
from reviewstream.settings import Settings
from tests.docs.references import PAGES, ROOT, rewritten

BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)?(?:#([\w-]+))?\)")
PICTURE = re.compile(r'src(?:set)?="([^"]+)"')
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(page: str, *languages: str) -> Iterator[str]:
    return (text for language, text in BLOCK.findall(page) if language in languages)


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


# Ours may run from an environment, or in a container.
BEFORE_OURS = re.compile(r"^(\.venv/bin/|docker compose run --rm (-e \S+ )*)(?=reviewstream )")
COMMANDS = sorted(
    {
        BEFORE_OURS.sub("", line.strip())
        for page in PAGES
        for block in blocks(page.read_text(encoding="utf-8"), "sh")
        for line in re.split(r"&&|\n", block)
        if BEFORE_OURS.sub("", line.strip()).startswith("reviewstream ")
    }
)
TABLES = [(name(page), t) for page in PAGES for t in blocks(page.read_text("utf-8"), "toml")]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_what_is_derived_from_the_code_is_up_to_date(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert rewritten(text) == text, "run: python -m tests.docs.references"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for path, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        if ":" in path:
            continue
        target = (page.parent / path) if path else page
        assert target.exists(), path
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {
                re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings
            }
            assert anchor in slugs, f"{path}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_picture_of_a_page_is_there(page: Path) -> None:
    for path in PICTURE.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / path).is_file(), path


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_verb_and_options_that_exist(command: str) -> None:
    words = shlex.split(command, comments=True)[1:]
    context = click.Context(main, info_name="reviewstream")
    found: click.Command | None = main
    while isinstance(found, click.Group):
        verb = words.pop(0)
        found = found.get_command(context, verb)
        assert found, verb
    assert found
    # Files named in the documentation need not exist here: only the command's shape is looked at.
    found.make_parser(context).parse_args(words)


@pytest.mark.parametrize(("page", "table"), TABLES)
def test_every_settings_file_is_valid(page: str, table: str) -> None:
    given = Settings(**tomllib.loads(table))
    assert given != Settings(), page


def test_the_example_is_the_file_that_the_spark_tests_run() -> None:
    (block,) = blocks(README, "python")
    example = (ROOT / "examples" / "label_stream.py").read_text(encoding="utf-8")
    assert block == example
    assert len([line for line in example.splitlines() if line.strip()]) <= 15


@pytest.mark.parametrize("file", ["docs/how-to/test-with-real-servers.md", "testbed/README.md"])
def test_the_example_of_a_test_is_the_file_that_the_tests_with_servers_run(file: str) -> None:
    page = (ROOT / file).read_text(encoding="utf-8")
    example = (ROOT / "examples" / "test_reviews.py").read_text(encoding="utf-8")
    assert example in blocks(page, "python")


def test_pip_is_given_the_folder_of_the_testbed_wherever_it_installs_everything() -> None:
    """The testbed is on no index: without its folder pip ends with an error."""
    texts = [page.read_text("utf-8") for page in [*PAGES, ROOT / "Dockerfile"]]
    commands = [line for text in texts for line in text.splitlines() if "'.[all]'" in line]
    with_pip = [line for line in commands if "uv pip" not in line]
    assert len(with_pip) >= 4
    assert [line for line in with_pip if "'./testbed[all]' " not in line] == []


def test_continuous_integration_runs_the_test_command_of_the_readme() -> None:
    (command,) = (block.strip() for block in blocks(README, "sh") if "tox" in block)
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert lines[-1] == command


def test_every_fragment_of_the_change_log_is_of_a_kind_that_exists() -> None:
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    kinds = {kind["directory"] for kind in configured["tool"]["towncrier"]["type"]}
    for fragment in (ROOT / "changes").iterdir():
        if fragment.name != "README.md":
            assert re.fullmatch(rf"(\d+|\+[\w-]+)\.({'|'.join(kinds)})(\.\d+)?\.md", fragment.name)


@pytest.mark.parametrize(
    ("heading", "constant"),
    [('`format("reviews")`', "_SOURCE_NAMES"), ('`format("reviews-kafka")`', "_SINK_NAMES")],
)
def test_every_option_of_a_format_is_described(heading: str, constant: str) -> None:
    """Read from the source text: the module needs pyspark, which is not installed here."""
    page = (ROOT / "docs/reference/spark.md").read_text(encoding="utf-8")
    code = (ROOT / "src/reviewstream/spark/options.py").read_text(encoding="utf-8")
    section = page.partition(f"## {heading}")[2].partition("\n## ")[0]
    described = re.findall(r"^\| `([\w.*]+)`", section, re.MULTILINE)
    names = re.search(rf"^{constant}: Final = \((.*?)\)", code, re.MULTILINE | re.DOTALL)
    assert names
    assert [each for each in described if "." not in each] == re.findall(r'"(\w+)"', names[1])


def test_the_layers_of_the_architecture_are_those_that_are_enforced() -> None:
    contract = (ROOT / ".importlinter").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    enforced = re.search(r"^layers =\n((?: +.+\n)+)", contract, re.MULTILINE)
    assert enforced
    table = page.partition("## Layers")[2].partition("\n\nA layer")[0]
    rows = [re.findall(r"`(\w+)`", row.split("|")[1]) for row in table.splitlines() if "`" in row]
    described = [name for row in rows for name in row]
    wanted = re.findall(r"\w+", re.sub(r"\(\w+\)", "", enforced[1]))
    assert described == wanted


def test_the_files_that_a_change_touches_are_there() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = page.split("## Where a change goes\n")[1].split("\n## ")[0]
    named = re.findall(r"`((?:src|schemas|tests|testbed|docs)/[^`]*)`", section)
    assert len(re.findall(r"^\| (?:a|the) ", section, re.MULTILINE)) == 10
    assert len(named) > 20
    assert [path for path in named if not (ROOT / path).exists()] == []


SYMPTOMS = re.findall(
    r"^\| `([^`]+)` \|", (ROOT / "docs/how-to/troubleshooting.md").read_text("utf-8"), re.MULTILINE
)


@pytest.mark.parametrize("words", SYMPTOMS)
def test_every_message_that_is_explained_is_one_of_ours(words: str) -> None:
    sources = [*ROOT.glob("src/**/*.py"), *ROOT.glob("testbed/**/*.py")]
    assert any(words in re.sub(r'"\s+f?"', "", file.read_text("utf-8")) for file in sources)
