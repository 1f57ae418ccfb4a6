"""The two distributions, built once."""

import sys
from pathlib import Path

import pytest

from tests.package.running import ROOT, run


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    for project in (ROOT, ROOT / "testbed"):  # each wheel from its source package
        run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, project)
    return folder


@pytest.fixture(scope="session")
def wheel(built: Path) -> Path:
    (found,) = built.glob("reviewstream-*.whl")
    return found


@pytest.fixture(scope="session")
def testbed_wheel(built: Path) -> Path:
    (found,) = built.glob("reviewstream_testbed-*.whl")
    return found
