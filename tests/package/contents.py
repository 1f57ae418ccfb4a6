"""Contents and metadata of a wheel."""

import zipfile
from configparser import ConfigParser
from email.message import Message
from email.parser import Parser
from pathlib import Path

from packaging.requirements import Requirement


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def packages(wheel: Path) -> set[str]:
    tops = {name.split("/")[0] for name in names(wheel)}
    return {top for top in tops if not top.endswith(".dist-info")}


def entry_points(wheel: Path) -> dict[str, dict[str, str]]:
    points = ConfigParser()
    points.read_string(_metadata_file(wheel, "entry_points.txt"))
    return {group: dict(points[group]) for group in points.sections()}


def metadata(wheel: Path) -> Message:
    return Parser().parsestr(_metadata_file(wheel, "METADATA"))


def requirements(wheel: Path) -> dict[str, Requirement]:
    found = map(Requirement, metadata(wheel).get_all("Requires-Dist", []))
    return {each.name: each for each in found}


def licence(wheel: Path) -> str:
    return _metadata_file(wheel, "licenses/LICENSE")


def _metadata_file(wheel: Path, file: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith(f".dist-info/{file}"))
        return archive.read(name).decode()
