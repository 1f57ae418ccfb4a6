"""The container for development is set up as CONTRIBUTING says."""

import json
import shlex

from tests.docs.references import ROOT
from tests.docs.test_docs import blocks
from tests.matrix.declared import pythons

CONTAINER = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text("utf-8"))


def test_the_container_is_set_up_by_the_documented_commands() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("## Set up\n")[2]
    documented = next(blocks(page, "sh")).splitlines()
    commands = [shlex.split(command) for command in CONTAINER["postCreateCommand"].split(" && ")]
    assert commands == [shlex.split(line, comments=True) for line in documented]


def test_the_container_has_a_python_that_is_supported() -> None:
    assert CONTAINER["image"].partition(":")[2] in pythons()
