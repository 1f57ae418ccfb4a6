"""Runs commands as a user does: with the packages of an environment, not with this tree."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def run(*command: str | Path, folder: Path = ROOT, **environment: str) -> str:
    """Run a command to its end; return what it printed on standard output."""
    result = _done(*command, folder=folder, **environment)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def refused(*command: str | Path) -> str:
    """Run a command that ends with status 2; return what it printed on standard error."""
    result = _done(*command)
    assert result.returncode == 2, result.stdout + result.stderr
    return result.stderr


def _done(
    *command: str | Path, folder: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env={**HERE, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def installed(folder: Path, *packages: str | Path, compiled: bool = False) -> Path:
    """Return the Python of a new environment that holds these packages."""
    run(sys.executable, "-m", "venv", folder)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", *packages, PIP_NO_COMPILE="0" if compiled else "1")
    return python


def files_of(source: Path) -> set[str]:
    """Return the paths of the files in a source package."""
    with tarfile.open(source) as archive:
        return {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
