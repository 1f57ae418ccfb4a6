"""`reviewstream demo` as a new user runs it, and with the worst file that one can bring."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reviewstream.samples import expand
from tests.e2e.hostile import hostile_file

pytestmark = [
    pytest.mark.processes,  # the demo starts its own
    pytest.mark.usefixtures("spark_class_data"),
]
KEYS = [
    "read",
    "blank",
    "labelled",
    "rejected",
    "published",
    "indexed",
    "missing",
    "doubled",
    "seconds",
]


def demo(*arguments: str, code: int = 0) -> tuple[dict[str, Any], str]:
    clean = {name: v for name, v in os.environ.items() if not name.startswith("OPENAI_")}
    done = subprocess.run(
        [sys.executable, "-m", "reviewstream", "demo", "--json", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=clean,
    )
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def assert_counts_agree(shown: str) -> None:
    """No stage is ever ahead of the one before it."""
    seen = dict.fromkeys(("read", "labelled", "published", "indexed"), 0)
    for stage, done in re.findall(
        r"^(read|labelled|published|indexed): ([\d,]+) of", shown, re.MULTILINE
    ):
        seen[stage] = int(done.replace(",", ""))
        if stage == "indexed":  # the last of a look
            assert [*seen.values()] == sorted(seen.values(), reverse=True), shown


def test_the_sample_adds_up_and_is_shown() -> None:
    sums, shown = demo("--count", "300")
    assert list(sums) == KEYS
    assert (sums["read"], sums["labelled"], sums["published"]) == (300, 300, 300)
    assert (sums["indexed"], sums["rejected"], sums["blank"]) == (300, 0, 0)
    assert (sums["missing"], sums["doubled"]) == ([], [])
    for part in (
        "Kafka is up",
        "Everything adds up",
        "POSITIVE",
        "NEGATIVE",
        "a word list",
        "Stopping",
    ):
        assert part in shown
    assert_counts_agree(shown)


@pytest.mark.faults  # test_pipeline_on_cluster.py streams on a cluster in every run
def test_it_adds_up_on_a_cluster_too() -> None:
    sums, shown = demo("--count", "200", "--spark", "cluster")
    assert list(sums) == KEYS
    assert (sums["read"], sums["labelled"], sums["published"], sums["indexed"]) == (200,) * 4
    assert (sums["missing"], sums["doubled"]) == ([], [])
    for part in ("Spark runs on spark://127.0.0.1:", "Everything adds up"):
        assert part in shown


def test_every_kind_of_bad_line_is_counted_and_nothing_is_lost(tmp_path: Path) -> None:
    hostile = hostile_file([line.rstrip(b"\n") for line in expand(100, seed=5)])
    (file := tmp_path / "hostile.json").write_bytes(hostile.data)
    sums, _ = demo("--reviews", str(file))
    rejected = sum(hostile.reasons.values())
    assert sums["read"] == hostile.accepted + rejected
    assert (sums["blank"], sums["labelled"]) == (hostile.blank, hostile.accepted)
    assert (sums["rejected"], sums["published"]) == (rejected, hostile.accepted)
    assert (sums["indexed"], sums["missing"], sums["doubled"]) == (hostile.distinct, [], [])
