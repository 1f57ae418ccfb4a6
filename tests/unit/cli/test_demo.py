"""What `reviewstream demo` refuses before it starts anything, and shows in the end."""

import json
from collections import Counter, defaultdict
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from click.testing import CliRunner
from rich.console import Console

from reviewstream.cli import main
from reviewstream.cli.demo import COUNT, SEED
from reviewstream.cli.demo_result import COUNTS
from reviewstream.cli.report import sentiment_table
from reviewstream.core.index.searching import Row
from reviewstream.samples import expand
from reviewstream_testbed.mock_openai.scorers import by_lexicon

README = Path(__file__).parents[3] / "README.md"


def test_short_memory_is_said_before_a_server_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusal(where: str, megabytes: int) -> str:
        short = SimpleNamespace(available=megabytes << 20)
        monkeypatch.setattr(psutil, "virtual_memory", lambda: short)
        result = CliRunner().invoke(main, ["demo", "--spark", where])
        assert result.exit_code == 2
        return result.output

    assert "elasticsearch need about 1800 MB of memory, 1700 MB are available" in refusal(
        "local", 1_700
    )
    assert "spark_cluster need about 3400 MB of memory, 3300 MB are available" in refusal(
        "cluster", 3_300
    )


@pytest.mark.parametrize("text", ["", "id,rating,body\n1,5,fine\n", "[\n {}\n]\n"])
def test_a_file_without_a_review_starts_nothing(tmp_path: Path, text: str) -> None:
    (file := tmp_path / "r.csv").write_text(text)
    result = CliRunner().invoke(main, ["demo", "--reviews", str(file)])
    assert result.exit_code == 1
    assert f"{file} holds no review: it seems to be" in result.stderr
    assert "Starting" not in result.output


def test_the_readme_shows_the_labels_that_the_demo_gives() -> None:
    labels: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for review in map(json.loads, expand(COUNT, seed=SEED)):
        labels[str(review["stars"])][by_lexicon(review["text"]).sentiment] += 1
    rows = [
        Row(key=stars, documents=counts.total(), sentiments=counts)
        for stars, counts in sorted(labels.items())
    ]
    shown = StringIO()
    Console(file=shown, width=80).print(sentiment_table("stars", rows))
    readme = README.read_text(encoding="utf-8")
    assert shown.getvalue() in readme
    assert f"┃ {' ┃ '.join(COUNTS)} ┃\n" in readme
