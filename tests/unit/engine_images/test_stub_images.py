"""The recipes of the stand-ins: complete, and read as the official images read their variables."""

import subprocess

import pytest

from reviewstream_testbed.containers.image_sources import pinned
from tools.engine_images.stub_images import INTERNAL, RECIPES, recipes_folder

SCRIPT = recipes_folder() / "kafka_base" / "files" / "usr" / "bin" / "env-to-properties"


def test_every_part_has_a_recipe_and_every_recipe_a_base_or_an_official_name() -> None:
    assert {"kafka", "schema_registry", "kafka_connect", "elasticsearch"} <= {*RECIPES}
    assert {*RECIPES} - {*INTERNAL} <= {*pinned()}
    assert [name for name, recipe in RECIPES.items() if recipe.base is None] == ["base"]
    for recipe in RECIPES.values():
        text = (recipes_folder() / recipe.name / "Dockerfile").read_text()
        assert ("FROM scratch" in text) == (recipe.base is None)
        assert recipe.base is None or (recipe.base in RECIPES and "FROM ${BASE}" in text)


@pytest.mark.parametrize(
    ("variable", "line"),
    [
        ("KAFKA_LOG_DIRS", "log.dirs=x"),
        ("KAFKA_CONFLUENT_SUPPORT__METRICS", "confluent.support_metrics=x"),
        ("KAFKA_SSL___KEY", "ssl-key=x"),
        ("KAFKA_HEAP_OPTS", ""),
        ("KAFKA_LOG4J_ROOT_LOGLEVEL", ""),
        ("KAFKA_JMX_PORT", ""),
        ("KAFKA_SKIPPED", ""),
        ("OTHER_LOG_DIRS", ""),
    ],
)
def test_variables_become_properties_as_in_confluents_images(variable: str, line: str) -> None:
    environ = {variable: "x", "PATH": "/usr/bin:/bin"}
    command = ["sh", str(SCRIPT), "KAFKA_", "KAFKA_SKIPPED"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == line
