"""What the Spark cluster is started with, without starting it."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reviewstream_testbed import SparkCluster, TestbedError
from reviewstream_testbed.installation.homes import Installation
from reviewstream_testbed.services.spark_cluster import SparkWorker, spark_home


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    (tmp_path / "archives").mkdir()
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\nexec sleep 60\n")
    java.chmod(0o755)
    return Installation(java=java, jars=tmp_path, homes=tmp_path, archives=tmp_path / "archives")


@pytest.fixture
def cluster(installation: Installation, tmp_path: Path) -> SparkCluster:
    return SparkCluster(installation, tmp_path)


def test_settings_of_another_spark_do_not_reach_the_cluster(
    cluster: SparkCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_HOME", "/opt/another")
    monkeypatch.setenv("SPARK_CONF_DIR", "/opt/another/conf")
    environ = cluster.environ()
    assert environ["SPARK_HOME"] == str(spark_home())
    assert "SPARK_CONF_DIR" not in environ
    assert environ["SPARK_SCALA_VERSION"] == "2.13"


def test_without_pyspark_the_command_to_install_it_is_said(
    cluster: SparkCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(TestbedError, match="pyspark is not installed: pip install"):
        cluster.environ()


def test_a_worker_whose_master_has_ended_is_not_waited_for(
    cluster: SparkCluster, installation: Installation, tmp_path: Path
) -> None:
    is_registered: Callable[[int], bool] = cluster._is_registered
    folder, master = tmp_path / "worker", "spark://127.0.0.1:1"
    worker = SparkWorker(installation, folder, master_url=master, is_registered=is_registered)
    try:
        with pytest.raises(TestbedError, match="spark_cluster ended before its workers were ready"):
            worker.start()
    finally:
        worker.kill()


def test_class_data_of_one_pyspark_is_not_offered_to_another(
    cluster: SparkCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = cluster.archive
    monkeypatch.setattr(
        "reviewstream_testbed.services.spark_cluster.spark_home", lambda: Path("/other")
    )
    assert cluster.archive != before
