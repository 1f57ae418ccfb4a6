"""What `reviewstream run` says of a file that it could label nothing of."""

from pathlib import Path

import pytest

from reviewstream.adapters.tcp.log_server import serving
from reviewstream.cli.run import why_nothing
from reviewstream.cli.streaming import Counts
from reviewstream.samples import write_sample
from reviewstream.settings import SourceSettings

NOWHERE = SourceSettings(port=1)


@pytest.mark.parametrize("counts", [Counts(), Counts(labelled=1), Counts(labelled=1, rejected=9)])
def test_a_run_that_labelled_or_had_nothing_to_read_is_no_finding(counts: Counts) -> None:
    assert why_nothing(counts, NOWHERE) == ""


def test_a_file_without_a_review_is_said_to_be_what_it_seems(tmp_path: Path) -> None:
    (file := tmp_path / "r.csv").write_text("id,rating,body\n1,5,fine\n")
    with serving(file) as address:
        source = SourceSettings(host=address.host, port=address.port)
        said = why_nothing(Counts(rejected=2), source)
    assert said.startswith("r.csv holds no review: it seems to be CSV with columns id, rating, ")
    assert "NOT_JSON in 1 of 2 lines, first in line 1" in said


def test_rejects_of_a_good_file_are_on_their_topic(tmp_path: Path) -> None:
    write_sample(tmp_path / "r.json", 3)
    with serving(tmp_path / "r.json") as address:
        source = SourceSettings(host=address.host, port=address.port)
        assert "rejects list" in why_nothing(Counts(rejected=3), source)
    assert "rejects list" in why_nothing(Counts(rejected=3), NOWHERE)  # the server is away
