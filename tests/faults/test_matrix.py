"""One fault at a time while reviews flow; whatever it does, in the end everything adds up."""

import json
import os
import random
import time
from functools import partial
from pathlib import Path

import pytest

from reviewstream_testbed import Testbed
from tests.e2e.conftest import Pipeline
from tests.faults.matrix import FAULTS, Fault
from tests.faults.scene import REVIEWS, set_up

pytestmark = pytest.mark.model  # its servers are processes that get signals

ROWS = [
    pytest.param(fault, id=fault.name, marks=() if fault.quick else pytest.mark.faults)
    for fault in FAULTS
]


@pytest.fixture
def moment() -> int:
    """Return after how many texts the fault comes: another one in every run."""
    return random.SystemRandom().randrange(100, REVIEWS // 2)


@pytest.mark.parametrize("fault", ROWS)
@pytest.mark.usefixtures("kafka", "schema_registry", "kafka_connect", "elasticsearch")  # together
def test_nothing_is_lost_and_nothing_doubled(
    fault: Fault, moment: int, pipeline: Pipeline, testbed: Testbed, tmp_path: Path
) -> None:
    start = time.monotonic()
    with set_up(pipeline, testbed, tmp_path, seed=moment) as scene:
        fault.prepare(scene)
        for _ in scene.flow(moment, fault.recover and partial(fault.recover, scene)):
            fault.act(scene)
        found = scene.reconciliation()
        lines, bad, ids = scene.lines()
    write_down(
        fault=fault.name,
        moment=moment,
        ended=scene.notes,
        seconds=round(time.monotonic() - start),
        found=found,
    )
    assert found["adds_up"], found
    assert found["source"]["lines"] == lines
    assert found["rejected"]["lines"] == found["rejected"]["records"] == bad
    assert found["labelled"]["lines"] == found["labelled"]["records"] == lines - bad
    assert found["documents"] == found["source"]["reviews"] == ids  # one that grew has some twice


def write_down(**row: object) -> None:
    """Add a row to the file that `$REVIEWSTREAM_FAULTS` names, for `tests.faults.table`."""
    if file := os.environ.get("REVIEWSTREAM_FAULTS"):
        with Path(file).open("a") as rows:
            rows.write(json.dumps(row) + "\n")
