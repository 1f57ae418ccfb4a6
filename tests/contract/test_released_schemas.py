"""A released schema never changes: somewhere there are records that were written with it.

`schemas/released/SHA256SUMS` pins every one. It is what `sha256sum *.avsc` prints in that folder,
so `sha256sum -c SHA256SUMS` checks it too.
"""

import shutil
from hashlib import sha256
from pathlib import Path

import pytest

RELEASED = Path(__file__).parents[2] / "schemas" / "released"
PINS = "SHA256SUMS"


def drift(folder: Path) -> tuple[str, ...]:
    """Return what differs from the pins, one sentence for each file."""
    pins = dict(_pin(line) for line in (folder / PINS).read_text("ascii").splitlines())
    there = {path.name: sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.avsc")}
    both = sorted(pins.keys() & there.keys())
    return (
        *(f"{n} was changed: release a new version" for n in both if there[n] != pins[n]),
        *(f"{n} is gone: it was released" for n in sorted(pins.keys() - there.keys())),
        *(f"{n} is not pinned: add it to {PINS}" for n in sorted(there.keys() - pins.keys())),
    )


def _pin(line: str) -> tuple[str, str]:
    digest, _, name = line.partition("  ")
    return name, digest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(RELEASED, tmp_path / "released"))


def test_every_released_schema_is_the_one_that_was_released() -> None:
    assert drift(RELEASED) == ()


def test_the_pins_are_what_sha256sum_writes() -> None:
    lines = [
        f"{sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(RELEASED.glob("*.avsc"))
    ]
    assert (RELEASED / PINS).read_text("ascii") == "".join(lines)


def test_nothing_else_lies_beside_the_released_schemas() -> None:
    assert {path.name for path in RELEASED.iterdir() if path.suffix != ".avsc"} == {PINS}


@pytest.mark.parametrize("name", sorted(path.name for path in RELEASED.glob("*.avsc")))
def test_a_single_changed_byte_is_seen(folder: Path, name: str) -> None:
    planted = folder / name
    planted.write_bytes(planted.read_bytes() + b"\n")
    assert drift(folder) == (f"{name} was changed: release a new version",)


def test_a_schema_that_is_gone_is_seen(folder: Path) -> None:
    (folder / "labelled_review.v1.avsc").unlink()
    assert drift(folder) == ("labelled_review.v1.avsc is gone: it was released",)


def test_a_new_version_must_be_pinned(folder: Path) -> None:
    shutil.copy(folder / "labelled_review.v1.avsc", folder / "labelled_review.v2.avsc")
    assert drift(folder) == (f"labelled_review.v2.avsc is not pinned: add it to {PINS}",)
