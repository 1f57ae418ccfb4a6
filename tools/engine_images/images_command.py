"""`python -m tools.engine_images build|list|remove`."""

import argparse
import os
from collections.abc import Mapping, Sequence

from docker import DockerClient
from rich.table import Table

from reviewstream_testbed.containers.image_sources import (
    STANDIN,
    connect,
    find,
    image_of,
    provide,
    standin_of,
)
from reviewstream_testbed.installation.downloads import stderr
from reviewstream_testbed.testbed_error import TestbedError
from tools.engine_images.stub_images import INTERNAL, RECIPES, StubImages

_PARTS = [name for name in RECIPES if name not in INTERNAL]


def add_to(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verbs `build`, `list` and `remove`."""
    build = verbs.add_parser("build", help="build stand-ins for the images that are not there")
    build.add_argument("parts", nargs="*", choices=[*_PARTS, []], help="default: all")
    build.add_argument("--pull", action="store_true", help="build only what cannot be pulled")
    build.set_defaults(run=_build)
    verbs.add_parser("list", help="which images there are").set_defaults(run=_list)
    verbs.add_parser("remove", help="remove the stand-ins").set_defaults(run=_remove)


def provide_all(environ: Mapping[str, str]) -> None:
    """Pull every missing image; build a stand-in for each image that cannot be pulled.

    Raises:
        TestbedError: An image can neither be pulled nor built.
    """
    client = connect(environ)
    _build_all(client, [part for part in _PARTS if not _can_be_had(client, part, environ)], environ)


def _build(given: argparse.Namespace) -> int:
    client = connect(os.environ)
    wanted = given.parts or _PARTS
    if given.pull:
        wanted = [part for part in wanted if not _can_be_had(client, part, os.environ)]
    _build_all(client, wanted, os.environ)
    return 0


def _build_all(client: DockerClient, parts: Sequence[str], environ: Mapping[str, str]) -> None:
    if parts:
        stubs = StubImages(client, environ, stderr().print)
        for part in parts:
            stubs.ensure(part)


def _can_be_had(client: DockerClient, part: str, environ: Mapping[str, str]) -> bool:
    """Report whether an official image is present or can be pulled."""
    image = image_of(part, environ)
    if standin_of(find(client, image)):
        return False
    try:
        provide(client, image)
    except TestbedError:
        return False
    return True


def _list(_: argparse.Namespace) -> int:
    client = connect(os.environ)
    table = Table("part", "image", "is")
    for part in _PARTS:
        image = image_of(part, os.environ)
        found = find(client, image)
        kind = "a stand-in" if standin_of(found) else "the real one"
        table.add_row(part, image, kind if found else "not there")
    stderr().print(table)
    return 0


def _remove(_: argparse.Namespace) -> int:
    client = connect(os.environ)
    for image in client.images.list(filters={"label": STANDIN}):
        image.remove(force=True)
    return 0
