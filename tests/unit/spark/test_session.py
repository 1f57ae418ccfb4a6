import sys
from pathlib import Path

import pytest

from reviewstream.settings import SparkSettings
from reviewstream.spark.session import (
    LOG_SETTINGS,
    SUBMITTED,
    configuration,
    interpreter,
    python_for,
)


@pytest.mark.parametrize("master", [None, "local[2]", "spark://127.0.0.1:7077"])
def test_on_one_machine_spark_listens_on_loopback_alone(master: str | None) -> None:
    config = configuration(SparkSettings(master=master))
    assert config["spark.driver.host"] == config["spark.driver.bindAddress"] == "127.0.0.1"
    assert config["spark.ui.enabled"] == "false"


def test_a_cluster_keeps_its_own_addresses_and_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SUBMITTED, "4711")
    for master in ("spark://host:7077", None):
        config = configuration(SparkSettings(master=master))
        assert not {"spark.driver.host", "spark.driver.extraJavaOptions"} & config.keys()


def test_what_the_user_sets_wins() -> None:
    config = configuration(SparkSettings(config={"spark.ui.enabled": "true"}))
    assert config["spark.ui.enabled"] == "true"


def test_the_log_settings_are_shipped() -> None:
    assert "rootLogger.level" in LOG_SETTINGS.read_text()


def test_only_on_this_machine_python_is_started_by_a_file_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("SPARK_HOME", raising=False)
    assert python_for(SparkSettings(master="local[2]")) == interpreter() != sys.executable
    assert python_for(SparkSettings(master="spark://host:7077")) == sys.executable
