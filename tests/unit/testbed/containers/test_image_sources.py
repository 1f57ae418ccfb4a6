"""Which image a part starts from, and what is said where there is no engine."""

from pathlib import Path

import pytest

from reviewstream_testbed import Testbed, TestbedError
from reviewstream_testbed.containers.image_sources import image_of, pinned


def test_every_part_has_an_image_with_a_version() -> None:
    images = pinned()
    assert {"kafka", "schema_registry", "kafka_connect", "elasticsearch"} <= {*images}
    assert all(image.rpartition(":")[2] not in {"", "latest", image} for image in images.values())


def test_an_image_of_the_users_own_wins() -> None:
    mine = {"REVIEWSTREAM_TEST_IMAGE_KAFKA": "registry.example/cp-kafka:8.1.0"}
    assert image_of("kafka", mine) == "registry.example/cp-kafka:8.1.0"
    assert image_of("elasticsearch", mine) == pinned()["elasticsearch"]


def test_where_no_engine_answers_one_sentence_says_where_it_was_looked_for(tmp_path: Path) -> None:
    host = f"unix://{tmp_path}/docker.sock"
    bed = Testbed(["kafka"], provider="containers", environ={"DOCKER_HOST": host})
    with pytest.raises(TestbedError, match=f"no container engine answers at {host}: start Dock"):
        bed.__enter__()
    assert not bed.folder.exists()
