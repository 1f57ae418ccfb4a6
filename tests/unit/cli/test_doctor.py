"""`reviewstream doctor`."""

import importlib.util
import json

import pytest
from click.testing import CliRunner

from reviewstream.cli import doctor, main


def without(monkeypatch: pytest.MonkeyPatch, *absent: str) -> None:
    def find(name: str) -> object:
        return None if name in absent else importlib.util.find_spec(name)

    monkeypatch.setattr(doctor, "find_spec", find)


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without(monkeypatch, "openai", "psutil")
    result = CliRunner().invoke(main, ["doctor", "--json"])
    assert result.exit_code == 1
    answer = json.loads(result.stdout.splitlines()[-1])
    assert answer["good"] is False
    (found,) = [check for check in answer["checks"] if check["name"] == "extra [openai]"]
    assert found["detail"] == "openai not installed"
    assert found["fix"] == "pip install 'reviewstream[openai]'"
    assert "fix: pip install 'reviewstream[openai]'" in result.stderr


def test_the_machine_is_looked_at_where_the_testbed_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without(monkeypatch, "psutil")
    bare = json.loads(CliRunner().invoke(main, ["doctor", "--json"]).stdout.splitlines()[-1])
    monkeypatch.undo()
    full = json.loads(CliRunner().invoke(main, ["doctor", "--json"]).stdout.splitlines()[-1])
    seen = {check["name"] for check in full["checks"]} - {c["name"] for c in bare["checks"]}
    assert {"java", "memory", "disk", "servers"} <= seen
