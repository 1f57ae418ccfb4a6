"""Finds and pulls the containers' images, which `images.toml` pins."""

import socket
import tomllib
from collections.abc import Mapping
from pathlib import Path

import docker
from docker.errors import DockerException, ImageNotFound
from docker.models.images import Image

from reviewstream_testbed.testbed_error import TestbedError

STANDIN = "reviewstream.testbed.standin"  # a label; its value is derived from the contents
VARIABLE = "REVIEWSTREAM_TEST_IMAGE_"
_USUAL = "unix:///var/run/docker.sock"
_PINNED = Path(__file__).with_name("images.toml")


def pinned() -> dict[str, str]:
    """Return the name and tag of each image that a part or a recipe's Dockerfile is based on."""
    tables = tomllib.loads(_PINNED.read_text())
    return {part: image for table in tables.values() for part, image in table.items()}


def image_of(part: str, environ: Mapping[str, str]) -> str:
    """Return the image of a part: the one that the user has set, else the pinned one."""
    return environ.get(f"{VARIABLE}{part.upper()}") or pinned()[part]


def connect(environ: Mapping[str, str]) -> docker.DockerClient:
    """Return a client of the engine that `DOCKER_HOST` names, else of the default engine.

    Raises:
        TestbedError: The engine does not answer.
    """
    host = environ.get("DOCKER_HOST") or _USUAL
    try:
        if host.startswith("unix://"):
            # The client does not close its socket if the connection fails.
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(host.removeprefix("unix://"))
        return docker.from_env(environment=dict(environ))
    except (DockerException, OSError) as error:
        raise TestbedError(
            f"no container engine answers at {host}: start Docker, or set DOCKER_HOST"
        ) from error


def find(client: docker.DockerClient, image: str) -> Image | None:
    """Return the image, or None if the engine does not have it."""
    try:
        return client.images.get(image)
    except ImageNotFound:
        return None


def standin_of(image: Image | None) -> str | None:
    """Return the key that a stand-in was built from, or None for any other image."""
    return image.labels.get(STANDIN) if image else None


def provide(client: docker.DockerClient, image: str) -> None:
    """Pull the image if the engine does not have it.

    Raises:
        TestbedError: The image cannot be pulled.
    """
    if find(client, image):
        return
    try:
        client.images.pull(image)
    except DockerException as error:
        raise TestbedError(
            f"{image} cannot be pulled ({error}): mend the network, name another image by"
            f" {VARIABLE}..., or build it in a clone of reviewstream:"
            " `python -m tools.engine_images build`"
        ) from error
