"""The tutorial is true: its commands are run in their order, as they stand there."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from reviewstream.app import open_index, open_log, prepare
from reviewstream_testbed.processes.free_ports import free_ports
from tests.docs.references import ROOT
from tests.docs.test_docs import blocks
from tests.e2e.conftest import Pipeline, await_condition, with_changes

TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
# The package is installed already, and the testbed's servers stand for those of the demo.
NOT_RUN = ("pip install", "reviewstream demo")
IN_A_TERMINAL_OF_ITS_OWN = "reviewstream serve "


@pytest.fixture
def commands() -> Iterator[str]:
    """Return the commands, with ports that are free."""
    ports = dict(zip(("9999", "9998"), map(str, free_ports(2)), strict=True))
    assert all(port in TUTORIAL for port in ports)
    return (
        re.sub("|".join(ports), lambda found: ports[found[0]], command)
        for command in blocks(TUTORIAL, "sh")
        if not any(words in command for words in NOT_RUN)
    )


def test_the_commands_of_the_tutorial_do_what_it_says(
    pipeline: Pipeline, commands: Iterator[str], tmp_path: Path
) -> None:
    """Spark is started twice, as it is the only test that reads everything again."""
    pipeline = with_changes(pipeline, "ledger", enabled=True, file=str(tmp_path / "ledger"))
    prepare(pipeline.settings)
    for code in islice(blocks(TUTORIAL, "python"), 2):  # the third is of one's own code
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=60)
    serve = next(commands)
    assert serve.startswith(IN_A_TERMINAL_OF_ITS_OWN)
    with pipeline.start(*serve.split()[1:]) as server:
        server.await_text("Ready.")
        assert "1000 labelled" in shell(next(commands), pipeline)
        assert "1000 labelled, of them 1000 from the ledger" in shell(next(commands), pipeline)
    log = open_log(pipeline.settings.kafka)
    records = [record.key for record in log.read_all(pipeline.settings.kafka.labelled_topic)]
    assert (len(records), len({*records})) == (2_000, 1_000)
    await_condition("index", open_index(pipeline.settings).count, lambda count: count == 1_000)
    assert "POSITIVE" in shell(next(commands), pipeline)
    assert next(commands, None) is None


def shell(command: str, pipeline: Pipeline) -> str:
    """Run a block as a user types it; return what it shows."""
    bash = shutil.which("bash")
    assert bash
    done = subprocess.run(
        [bash, "-ec", f'reviewstream() {{ "{sys.executable}" -m reviewstream "$@"; }}\n{command}'],
        cwd=pipeline.folder,
        env=pipeline.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return " ".join(done.stdout.split())
