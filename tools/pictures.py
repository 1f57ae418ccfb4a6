"""Draws the pictures of the documentation as SVG: `python -m tools.pictures` writes docs/images.

A picture in a README is an image of its own, which cannot use the colours of the page around it.
So each picture is drawn twice, for a light and for a dark page, on a transparent ground.
Coordinates are pixels; the picture is as wide as a README on GitHub.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final, Literal, TypeAlias

FOLDER: Final = Path(__file__).resolve().parents[1] / "docs" / "images"
WIDTH: Final = 830
HEIGHT: Final = 386
ROW: Final = 108  # upper edge of the boxes that a review passes, from left to right
HEAD: Final = 7  # length of an arrowhead
LOW: Final = 40  # a box lower than this has room for a title alone
FONT: Final = "-apple-system,BlinkMacSystemFont,'Segoe UI','Noto Sans',Helvetica,Arial,sans-serif"
TITLE: Final = "The pipeline of reviewstream"
DESCRIPTION: Final = (
    "A TCP server serves a file of reviews. Spark parses each review, labels it with a language"
    " model, and stores paid labels in a ledger. It writes labelled reviews and rejects to Kafka."
    " Kafka Connect writes the labelled reviews to Elasticsearch, and records that the index"
    " refuses to a topic of dead letters. Spark and Connect use a Schema Registry. The command"
    " reconcile compares the file, the topics and the index."
)

Kind: TypeAlias = Literal["ours", "other", "topic", "rejects"]
Way: TypeAlias = Literal["reviews", "schemas", "check"]
Point: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """Colours for one kind of page.

    Attributes:
        text: Titles in boxes.
        quiet: Small text and lines.
        boxes: Fill and border of each kind of box.
    """

    text: str
    quiet: str
    boxes: Mapping[Kind, tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rounded rectangle with a title, and lines of small text below the title."""

    x: int
    y: int
    width: int
    height: int
    title: str
    lines: tuple[str, ...] = ()
    kind: Kind = "other"

    @property
    def middle(self) -> int:
        """Return the x coordinate of the centre."""
        return self.x + self.width // 2

    @property
    def right(self) -> int:
        """Return the x coordinate of the right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """Return the y coordinate of the lower edge."""
        return self.y + self.height


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line through points, with an arrowhead at its end.

    Attributes:
        is_double: Whether its start has an arrowhead too.
    """

    points: tuple[Point, ...]
    way: Way = "reviews"
    is_double: bool = False


LIGHT: Final = Theme(
    text="#1f2328",
    quiet="#59636e",
    boxes={
        "ours": ("#ddf4ff", "#0969da"),
        "other": ("#f6f8fa", "#afb8c1"),
        "topic": ("#ffffff", "#afb8c1"),
        "rejects": ("#fff8c5", "#bf8700"),
    },
)
DARK: Final = Theme(
    text="#f0f6fc",
    quiet="#9198a1",
    boxes={
        "ours": ("#0c2a4d", "#4493f8"),
        "other": ("#1c2128", "#57606a"),
        "topic": ("#0d1117", "#57606a"),
        "rejects": ("#322807", "#bb8009"),
    },
)


def _column(x: int, width: int, title: str, *lines: str, kind: Kind = "other") -> Box:
    return Box(x=x, y=ROW, width=width, height=132, title=title, lines=lines, kind=kind)


def _topic(number: int, title: str, kind: Kind) -> Box:
    return Box(x=416, y=ROW + 36 + 32 * number, width=120, height=24, title=title, kind=kind)


FILE: Final = _column(5, 92, "Review file", "JSON lines:", "plain, gzip,", "zstd or tar")
SERVER: Final = _column(
    122, 112, "TCP server", "byte offsets:", "a reader can", "resume at", "any line", kind="ours"
)
SPARK: Final = _column(
    259, 124, "Spark", "parse, label,", "write in a", "transaction", "per task", kind="ours"
)
KAFKA: Final = _column(408, 136, "Kafka")
CONNECT: Final = _column(569, 118, "Kafka Connect", "sink connector,", "set up from", "the schemas")
INDEX: Final = _column(
    712, 112, "Elasticsearch", "one document", "per review,", "with its", "newest label"
)
LABELLED: Final = _topic(0, "labelled reviews", "topic")
REJECTS: Final = _topic(1, "rejects", "rejects")
DEAD: Final = _topic(2, "dead letters", "rejects")
MODEL: Final = Box(
    x=SPARK.x - 6, y=6, width=136, height=52, title="Language model", lines=("OpenAI-compatible",)
)
REGISTRY: Final = Box(
    x=KAFKA.x, y=6, width=136, height=52, title="Schema Registry", lines=("Avro schemas",)
)
LEDGER: Final = Box(
    x=SPARK.x,
    y=276,
    width=SPARK.width,
    height=52,
    title="Ledger",
    lines=("paid labels",),
    kind="ours",
)
RECONCILE: Final = Box(
    x=291,
    y=350,
    width=370,
    height=30,
    title="reconcile: names each lost or doubled review",
    kind="ours",
)
BOXES: Final = (FILE, SERVER, SPARK, KAFKA, CONNECT, INDEX, MODEL, REGISTRY, LEDGER, RECONCILE)
TOPICS: Final = (LABELLED, REJECTS, DEAD)

LINES: Final = (
    Line(points=((FILE.right, 174), (SERVER.x, 174))),
    Line(points=((SERVER.right, 174), (SPARK.x, 174))),
    Line(points=((SPARK.right, 156), (LABELLED.x, 156))),
    Line(points=((SPARK.right, 188), (REJECTS.x, 188))),
    Line(points=((LABELLED.right, 156), (CONNECT.x, 156))),
    Line(points=((CONNECT.x, 220), (DEAD.right, 220))),
    Line(points=((CONNECT.right, 174), (INDEX.x, 174))),
    Line(points=((SPARK.middle, MODEL.bottom), (SPARK.middle, ROW)), is_double=True),
    Line(points=((SPARK.middle, SPARK.bottom), (SPARK.middle, LEDGER.y)), is_double=True),
    Line(
        points=((432, REGISTRY.bottom), (432, 83), (SPARK.right - 20, 83), (SPARK.right - 20, ROW)),
        way="schemas",
    ),
    Line(
        points=((520, REGISTRY.bottom), (520, 83), (CONNECT.x + 20, 83), (CONNECT.x + 20, ROW)),
        way="schemas",
    ),
    Line(points=((FILE.middle, FILE.bottom), (FILE.middle, 365), (RECONCILE.x, 365)), way="check"),
    Line(points=((KAFKA.middle, KAFKA.bottom), (KAFKA.middle, RECONCILE.y)), way="check"),
    Line(
        points=((INDEX.middle, INDEX.bottom), (INDEX.middle, 365), (RECONCILE.right, 365)),
        way="check",
    ),
)
LEGEND: Final[tuple[tuple[Kind, str], ...]] = (
    ("ours", "reviewstream"),
    ("other", "your file and your servers"),
)


def pipeline(theme: Theme) -> str:
    """Return the picture of the pipeline as an SVG document."""
    size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    named = 'role="img" aria-labelledby="title description"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {named}>',
        f'<title id="title">{escape(TITLE)}</title>',
        f'<desc id="description">{escape(DESCRIPTION)}</desc>',
        _style(theme),
        *(_swatch(number, kind, text) for number, (kind, text) in enumerate(LEGEND)),
        *map(_box, BOXES),
        *map(_line, LINES),
        *map(_box, TOPICS),  # after the lines, which end at them inside another box
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _style(theme: Theme) -> str:
    rules = [
        f"text{{font-family:{FONT};fill:{theme.quiet};font-size:11.5px;text-anchor:middle}}",
        f".title{{fill:{theme.text};font-size:13px;font-weight:600}}",
        f".name{{fill:{theme.text}}}",
        ".legend{text-anchor:start}",
        "rect{stroke-width:1.25}",
        f"polyline{{fill:none;stroke:{theme.quiet};stroke-width:1.5}}",
        f"polygon{{fill:{theme.quiet}}}",
        ".schemas{stroke-dasharray:5 3}",
        ".check{stroke-dasharray:1.5 3}",
        *(
            f"rect.{kind}{{fill:{fill};stroke:{border}}}"
            for kind, (fill, border) in theme.boxes.items()
        ),
    ]
    return "<style>\n" + "\n".join(rules) + "\n</style>"


def _swatch(number: int, kind: Kind, text: str) -> str:
    y = 14 + 24 * number
    return (
        f'<rect class="{kind}" x="6" y="{y}" width="14" height="14" rx="3"/>'
        f'<text class="legend" x="28" y="{y + 11}">{escape(text)}</text>'
    )


def _box(box: Box) -> str:
    """Return a box with its texts; the title of a low box is in its middle."""
    place = f'x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}"'
    first = box.y + (box.height // 2 + 4 if box.height < LOW else 22)
    rows = [("name" if box in TOPICS else "title", first, box.title)]
    rows += [("line", first + 20 + 17 * number, text) for number, text in enumerate(box.lines)]
    texts = [
        f'<text class="{row}" x="{box.middle}" y="{y}">{escape(text)}</text>'
        for row, y, text in rows
    ]
    return "".join([f'<rect class="{box.kind}" {place} rx="6"/>', *texts])


def _line(line: Line) -> str:
    """Return a line that ends at the base of its arrowhead."""
    points = list(line.points)
    heads = [_head(points[-2], points[-1])]
    points[-1] = _short_of(points[-2], points[-1])
    if line.is_double:
        heads.append(_head(points[1], points[0]))
        points[0] = _short_of(points[1], points[0])
    path = " ".join(f"{x},{y}" for x, y in points)
    return f'<polyline class="{line.way}" points="{path}"/>' + "".join(heads)


def _short_of(start: Point, end: Point) -> Point:
    """Return the point one arrowhead before the end of a horizontal or vertical line."""
    across, down = _direction(start, end)
    return end[0] - across * HEAD, end[1] - down * HEAD


def _head(start: Point, end: Point) -> str:
    across, down = _direction(start, end)
    (x, y), half = _short_of(start, end), HEAD // 2 + 1
    corners = [end, (x - down * half, y - across * half), (x + down * half, y + across * half)]
    return f'<polygon points="{" ".join(f"{x},{y}" for x, y in corners)}"/>'


def _direction(start: Point, end: Point) -> Point:
    return (end[0] > start[0]) - (end[0] < start[0]), (end[1] > start[1]) - (end[1] < start[1])


def pictures() -> dict[Path, str]:
    """Return the text of each picture, by its file."""
    return {
        FOLDER / "pipeline-light.svg": pipeline(LIGHT),
        FOLDER / "pipeline-dark.svg": pipeline(DARK),
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file, text in pictures().items():
        file.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{file}\n")
