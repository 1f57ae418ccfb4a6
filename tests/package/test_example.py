"""The how-to, followed to the letter: a fresh environment, an empty folder, one file."""

import shutil
import sys
from pathlib import Path

from tests.package.running import ROOT, run


def test_the_example_of_the_how_to_passes_with_the_testbed_extra_alone(
    wheel: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    run(sys.executable, "-m", "venv", ".venv", folder=folder)
    python = folder / ".venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "pytest", f"{wheel}[testbed]", PIP_NO_COMPILE="1")
    shutil.copy(ROOT / "examples" / "test_reviews.py", folder)
    said = run(python.with_name("pytest"), "--rootdir=.", "test_reviews.py", folder=folder)
    assert "1 passed" in said
