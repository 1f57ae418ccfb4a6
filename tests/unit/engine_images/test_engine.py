"""What is said where no engine can be started, and that nothing is installed by surprise."""

import os
import shutil
from pathlib import Path

import pytest

from reviewstream_testbed import TestbedError
from tools.engine_images.__main__ import main
from tools.engine_images.engine import engine_folder
from tools.engine_images.packages import require


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    monkeypatch.setenv("REVIEWSTREAM_TEST_ENGINE", str(tmp_path / "engine"))
    monkeypatch.delenv("REVIEWSTREAM_TEST_REQUIRE_ENGINE", raising=False)
    monkeypatch.delenv("REVIEWSTREAM_TEST_APT", raising=False)


@pytest.mark.usefixtures("no_engine")
def test_without_root_and_engine_the_command_is_skipped_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main(["run", "false"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert said == "Skipped: no container engine answers, and only root can start one"


@pytest.mark.usefixtures("no_engine")
def test_where_an_engine_is_required_its_absence_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("REVIEWSTREAM_TEST_REQUIRE_ENGINE", "true")
    assert main(["run", "true"]) == 2
    assert "only root can start one" in capsys.readouterr().err


@pytest.mark.usefixtures("no_engine")
def test_an_engine_that_is_not_installed_is_not_installed_unasked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert main(["run", "false"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "dockerd is not installed: run `apt-get install docker.io`" in said


def test_a_program_that_is_there_needs_no_package() -> None:
    require("sh", "no-such-package", {})
    with pytest.raises(TestbedError, match="set REVIEWSTREAM_TEST_APT=1 to have it installed"):
        require("no-such-program", "no-such-package", {})


def test_the_engines_folder_is_in_the_cache_unless_moved(tmp_path: Path) -> None:
    assert engine_folder({"REVIEWSTREAM_CACHE": str(tmp_path)}) == tmp_path / "engine"
    moved = {"REVIEWSTREAM_CACHE": "/nowhere", "REVIEWSTREAM_TEST_ENGINE": str(tmp_path)}
    assert engine_folder(moved) == tmp_path
