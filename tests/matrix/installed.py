"""Is what an environment of the matrix holds what its name and pyproject.toml say?

`python -m tests.matrix.installed pyspark4.2-openai2-elasticsearch8` prints what it holds, and ends
with status 1 and a sentence for each surprise, before a test runs.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tests.matrix.declared import FACTOR, KAFKA, lowest, requirements

PYTHON = "python"


def asked_for(
    environment: str, declared: Mapping[str, Requirement]
) -> Iterator[tuple[str, SpecifierSet]]:
    """Return (package, versions) for each thing that an environment's name asks for."""
    for factor in environment.split("-"):
        if factor == "lowest":
            for package, requirement in declared.items():
                yield package, SpecifierSet(f"=={lowest(requirement)}")
        elif factor in {"kafkaoldest", "kafkanewest"}:
            sign = "==" if factor == "kafkaoldest" else ">"
            yield KAFKA, SpecifierSet(f"{sign}{lowest(declared[KAFKA])}")
        elif found := FACTOR.fullmatch(factor):
            package = PYTHON if found[1] == "py" else found[1]
            yield package, SpecifierSet(f"=={found[2]}.*")
        else:
            raise ValueError(f"{environment}: {factor} names no version")


def surprises(
    environment: str, found: Mapping[str, Version], declared: Mapping[str, Requirement]
) -> list[str]:
    """Return a sentence for each version that is not what was asked for, or not declared."""
    every = ((package, requirement.specifier) for package, requirement in declared.items())
    return [
        f"{package} is {found.get(package, 'not installed')}, not {wanted}"
        for package, wanted in (*asked_for(environment, declared), *every)
        if package not in found or not wanted.contains(found[package], prereleases=True)
    ]


def installed(packages: Iterable[str]) -> Iterator[tuple[str, Version]]:
    """Return (package, version) of Python, and of those packages that are installed."""
    yield PYTHON, Version(".".join(map(str, sys.version_info[:3])))
    for package in packages:
        try:
            yield package, Version(version(package))
        except PackageNotFoundError:
            continue


if __name__ == "__main__":
    declared = requirements()
    found = dict(installed(declared))
    sys.stdout.write("".join(f"{package} {each}\n" for package, each in found.items()))
    wrong = surprises(sys.argv[1], found, declared)
    sys.exit("\n".join(f"{sys.argv[1]}: {each}" for each in wrong) or None)
