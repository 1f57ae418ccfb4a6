"""The composition root: one ledger and one set of limits, wherever a process runs."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import SecretStr

from reviewstream import app
from reviewstream.adapters.sqlite.sqlite_ledger import default_file
from reviewstream.app import absolute, open_limits
from reviewstream.core.labelling.limits.operations import LimitKey, Release, Reserve
from reviewstream.errors import ConfigError
from reviewstream.settings import (
    ConnectSettings,
    ElasticsearchSettings,
    KafkaSettings,
    LedgerSettings,
    LimitsSettings,
    RegistrySettings,
    Settings,
)
from reviewstream.testing import MemoryConnect, MemoryIndex, MemoryLog, MemoryRegistry

SETTINGS = Settings(
    kafka=KafkaSettings(labelled_topic="l", rejected_topic="r", dead_letter_topic="d"),
    registry=RegistrySettings(auto_register=True),
    connect=ConnectSettings(name="c", connector_class=MemoryConnect.CLASS),
    elasticsearch=ElasticsearchSettings(index="i"),
)
TERMS = LimitKey(model="m", account="a")


def test_every_process_means_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ledger, limits = absolute(LedgerSettings(file="a/ledger"), LimitsSettings())
    assert ledger.file == str(tmp_path / "a" / "ledger")
    assert limits.file == str(tmp_path / "a" / "ledger-limits")
    assert absolute(ledger, limits) == (ledger, limits)
    ledger, limits = absolute(LedgerSettings(), LimitsSettings(file="b"))
    assert (ledger.file, limits.file) == (str(default_file()), str(tmp_path / "b"))


@pytest.mark.parametrize("enabled", [True, False])
def test_limits_are_kept_where_the_settings_say_with_a_ledger_or_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, enabled: bool
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    limits, ledger = LimitsSettings(file=str(tmp_path / "mine")), LedgerSettings(enabled=enabled)
    for _ in range(2):
        with closing(open_limits(limits, ledger)) as store:
            store.apply(Reserve(tokens=1, micro_usd=5), TERMS)
    with closing(open_limits(limits, ledger)) as store:
        assert store.apply(Release(), TERMS).spent == 10
    assert not (tmp_path / "home").exists()


def test_importing_it_loads_no_adapter_as_every_worker_of_spark_imports_it() -> None:
    script = "import sys, reviewstream.app; print([n for n in sys.modules if '.adapters.' in n])"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    assert done.stdout.strip() == b"[]"


def test_a_home_that_there_is_not_is_a_setting_to_correct() -> None:
    with pytest.raises(ConfigError, match=r"~nobody-at-all/x: .*ledger\.file"):
        absolute(LedgerSettings(file="~nobody-at-all/x"), LimitsSettings())


def test_a_redis_needs_no_folder_for_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "reviewstream.adapters.sqlite.sqlite_ledger.default_file", lambda: pytest.fail("asked")
    )
    ledger, limits = LedgerSettings(url=SecretStr("redis://localhost")), LimitsSettings()
    assert absolute(ledger, limits) == (ledger, limits)


def test_what_is_prepared_has_the_names_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = MemoryConnect()
    for name, fake in (
        ("open_log", MemoryLog()),
        ("open_registry", MemoryRegistry()),
        ("open_index", MemoryIndex()),
        ("open_connect", connect),
    ):
        monkeypatch.setattr(app, name, lambda _, fake=fake: fake)
    assert app.prepare(SETTINGS) == (
        "topics: l, r, d created",
        "schemas: l-value v1, r-value v1",
        "index: i is ready",
        "connector: c is applied",
    )
    assert connect.configs == {"c": app.connector_config(SETTINGS)}
