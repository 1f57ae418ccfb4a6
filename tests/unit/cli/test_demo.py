"""What `reviewstream demo` refuses before it starts anything."""

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from click.testing import CliRunner

from reviewstream.cli import main


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
