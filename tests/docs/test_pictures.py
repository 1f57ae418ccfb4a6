"""The pictures of the documentation are those that `tools/pictures.py` draws, and can be read."""

from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.docs.references import ROOT
from tools.pictures import BOXES, DARK, HEIGHT, LIGHT, TOPICS, WIDTH, Box, Theme, pictures

# Pixels of a character, on average, in DejaVu Sans: no font of the list is wider.
BOLD = 8.3
SMALL = 7.0
BEHIND = {"light": "#ffffff", "dark": "#0d1117"}


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour (Web Content Accessibility Guidelines 2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def overlap(one: Box, other: Box) -> bool:
    return (
        one.x < other.right
        and other.x < one.right
        and one.y < other.bottom
        and other.y < one.bottom
    )


@pytest.mark.parametrize("file", pictures(), ids=lambda file: file.stem)
def test_a_picture_is_the_one_that_the_script_draws(file: Path) -> None:
    assert file.read_text("utf-8") == pictures()[file], "run: python -m tools.pictures"


def test_no_other_picture_is_in_the_folder() -> None:
    assert {*(ROOT / "docs/images").iterdir()} == {*pictures()}


@pytest.mark.parametrize("file", pictures(), ids=lambda file: file.stem)
def test_a_picture_is_described_in_words(file: Path) -> None:
    drawn = ET.fromstring(file.read_text("utf-8"))  # noqa: S314 - a file of ours
    ids = (drawn.get("aria-labelledby") or "").split()
    named = {each.get("id"): each.text for each in drawn if each.get("id")}
    assert [*named] == ids
    assert all(named.values())


@pytest.mark.parametrize("boxes", [BOXES, TOPICS])
def test_boxes_are_inside_and_do_not_overlap(boxes: tuple[Box, ...]) -> None:
    assert all(min(box.x, box.y) > 0 for box in boxes)
    assert all(box.right < WIDTH and box.bottom < HEIGHT for box in boxes)
    assert [pair for pair in combinations(boxes, 2) if overlap(*pair)] == []


@pytest.mark.parametrize("box", [*BOXES, *TOPICS], ids=lambda box: box.title)
def test_texts_fit_into_their_box(box: Box) -> None:
    assert len(box.title) * (SMALL if box in TOPICS else BOLD) <= box.width
    assert all(len(line) * SMALL <= box.width for line in box.lines)


@pytest.mark.parametrize(("theme", "ground"), [(LIGHT, "light"), (DARK, "dark")])
def test_texts_stand_out_from_what_is_behind_them(theme: Theme, ground: str) -> None:
    fills = {kind: fill for kind, (fill, _) in theme.boxes.items()}
    assert all(contrast(theme.text, fill) >= 7 for fill in fills.values())
    assert all(contrast(theme.quiet, fills[kind]) >= 4.5 for kind in ("ours", "other"))
    assert contrast(theme.quiet, BEHIND[ground]) >= 4.5
