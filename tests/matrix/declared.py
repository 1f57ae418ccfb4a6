"""What is declared: versions in both pyproject.toml, the environments of the matrix in tox.ini."""

import re
import tomllib
from collections.abc import Iterator
from configparser import ConfigParser
from itertools import product
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
KAFKA = "confluent-kafka"
FACTOR = re.compile(r"(py|pyspark|openai|elasticsearch)([\d.]+)")  # what a name says of a version
_PYTHON = "Programming Language :: Python :: "
_WHEELS = "wheels"  # what the others are made of
_OURS = {"reviewstream", "reviewstream-testbed"}


def project(folder: str = "") -> dict[str, Any]:
    """Return the table [project] of the distribution in a folder."""
    found: dict[str, Any] = _tables(folder)["project"]
    return found


def _tables(folder: str = "") -> dict[str, Any]:
    return tomllib.loads((ROOT / folder / "pyproject.toml").read_text("utf-8"))


def grouped() -> dict[str, Requirement]:
    """Return what the dependency groups of the test environments declare, by canonical name."""
    groups = (group for name, group in _tables()["dependency-groups"].items() if name != "dev")
    texts = (one for group in groups for one in group if isinstance(one, str))
    return {canonicalize_name(one.name): one for one in map(Requirement, texts)}


def requirements() -> dict[str, Requirement]:
    """Return what is declared of each package, extras included, by its canonical name.

    Raises:
        ValueError: The two distributions declare different versions of a package.
    """
    found: dict[str, Requirement] = {}
    for name, each in (*_requirements(project()), *_requirements(project("testbed"))):
        if found.setdefault(name, each).specifier != each.specifier:
            raise ValueError(f"{each} is also declared as {found[name]}")
    return dict(sorted(found.items()))


def _requirements(project: dict[str, Any]) -> Iterator[tuple[str, Requirement]]:
    extras = project["optional-dependencies"].values()
    for each in (*project["dependencies"], *(one for extra in extras for one in extra)):
        requirement = Requirement(each)
        if requirement.name not in _OURS:
            yield canonicalize_name(requirement.name), requirement


def pythons(folder: str = "") -> set[str]:
    """Return the versions of Python that the classifiers of a distribution name."""
    classifiers = project(folder)["classifiers"]
    return {each.removeprefix(_PYTHON) for each in classifiers if _PYTHON in each}


def lowest(requirement: Requirement) -> Version:
    """Return the lowest version that a requirement allows."""
    (bound,) = (each for each in requirement.specifier if each.operator in {">=", "=="})
    return Version(bound.version)


def environments() -> list[str]:
    """Return the environments of `tox -m matrix` that run tests."""
    config = ConfigParser(interpolation=None)
    config.read(ROOT / "tox.ini", encoding="utf-8")
    labels = dict(line.split(" = ") for line in config["tox"]["labels"].strip().splitlines())
    return [name for name in expanded(labels["matrix"]) if name != _WHEELS]


def expanded(names: str) -> list[str]:
    """Return the names that tox makes of `a{1,2}-b, c{3-4}`."""
    apart = re.split(r",\s*(?![^{]*\})", names.strip())
    return [name for each in apart for name in _expanded(each)]


def _expanded(name: str) -> Iterator[str]:
    pieces = [_choices(piece) for piece in re.split(r"(\{.*?\})", name)]
    return map("".join, product(*pieces))


def _choices(piece: str) -> list[str]:
    inner = piece.strip("{}")
    if inner == piece:
        return [piece]
    first, dash, last = inner.partition("-")
    return list(map(str, range(int(first), int(last) + 1))) if dash else inner.split(",")
