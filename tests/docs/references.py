"""The parts of the documentation that are derived from the code.

`python -m tests.docs.references` writes them anew, between the marks `generated` and `end`, and
with them `llms.txt`.
"""

import functools
import inspect
import json
import math
import operator
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import click
from pydantic import BaseModel

from reviewstream.adapters.connect.connector_config import connector_config
from reviewstream.cli import main
from reviewstream.core.index.mapping import index_mapping
from reviewstream.core.retry import waits
from reviewstream.core.schemas.schema_files import SchemaName, schema_text
from reviewstream.settings import Settings
from reviewstream_testbed.mock_openai.fault_kinds import KINDS
from tests.mutation.survivors import listed
from tools import contents

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "testbed/README.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
]
MARKS = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def rewritten(page: str) -> str:
    """Return the page with its generated parts made anew."""
    return MARKS.sub(lambda marks: f"{marks[1]}\n{PARTS[marks[2]]()}\n\n{marks[3]}", page)


def table(*rows: tuple[str, ...]) -> str:
    head, *body = [
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows
    ]
    return "\n".join([head, f"|{' --- |' * len(rows[0])}", *body])


def meanings(documented: object) -> dict[str, str]:
    """Return what the docstring of a class or module says of each attribute."""
    text = inspect.getdoc(documented) or ""
    found = re.findall(
        r"^    (\w+): (.*(?:\n        .*)*)", text.partition("Attributes:")[2], re.MULTILINE
    )
    return {name: " ".join(meaning.split()) for name, meaning in found}


def settings() -> str:
    sections = Settings.model_fields.items()
    return "\n\n".join(
        f"## {name}\n\n{_section(name, field.annotation)}" for name, field in sections
    )


def _section(section: str, model: Any) -> str:
    assert issubclass(model, BaseModel)
    said = meanings(model)
    rows = [
        (
            f"`{section}.{name}`",
            _type(field.annotation),
            _default(field.get_default(call_default_factory=True)),
            said.get(name, ""),
        )
        for name, field in model.model_fields.items()
    ]
    return f"{(inspect.getdoc(model) or '').splitlines()[0]}\n\n" + table(
        ("setting", "type", "default", "meaning"), *rows
    )


def _type(annotation: Any) -> str:
    annotation = _unbounded(annotation)
    name = (
        annotation.__name__
        if isinstance(annotation, type) and not hasattr(annotation, "__args__")
        else str(annotation)
    )
    return re.sub(r"\b(?:\w+\.)+(\w)", r"\1", name).replace("SecretStr", "secret")


def _unbounded(annotation: Any) -> Any:
    """Return a type without its bounds."""
    if get_origin(annotation) is Annotated:
        return get_args(annotation)[0]
    if get_origin(annotation) is Union:
        return functools.reduce(operator.or_, map(_unbounded, get_args(annotation)))
    return annotation


def _default(value: object) -> str:
    return "" if value in (None, {}) else f"`{value}`"


def commands() -> str:
    return "\n\n".join(
        f"## {name}\n\n```text\n{text}\n```" for name, text in _helps("reviewstream", main)
    )


def _helps(name: str, command: click.Command) -> Iterator[tuple[str, str]]:
    # Without these settings click lists, and remembers, `--help` alone.
    with click.Context(
        command, info_name=name, terminal_width=90, **main.context_settings
    ) as context:
        yield name, command.get_help(context)
        if isinstance(command, click.Group):
            for verb in command.list_commands(context):
                found = command.get_command(context, verb)
                assert found
                yield from _helps(f"{name} {verb}", found)


def schema(name: SchemaName) -> str:
    return table(("field", "type", "default", "meaning"), *_fields(json.loads(schema_text(name))))


def _fields(record: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    for field in record["fields"]:
        path, of_type = f"{prefix}{field['name']}", field["type"]
        default = f"`{json.dumps(field['default'])}`" if "default" in field else ""
        yield f"`{path}`", _avro_type(of_type), default, field.get("doc", "")
        if isinstance(of_type, dict) and of_type["type"] == "record":
            yield from _fields(of_type, f"{path}.")


def _avro_type(of_type: Any) -> str:
    if isinstance(of_type, list):
        return " or ".join(map(_avro_type, of_type))
    if isinstance(of_type, str):
        return of_type
    if of_type["type"] == "enum":
        return f"enum: {', '.join(of_type['symbols'])}"
    return str(of_type.get("logicalType", of_type["type"]))


def connector() -> str:
    config = connector_config(Settings.model_construct())
    rows = [(f"`{name}`", f"`{value}`") for name, value in sorted(config.items())]
    return table(("setting", "value"), *rows)


def mapping() -> str:
    rows = _mapped(index_mapping(schema_text("labelled_review")))
    return table(("field", "type in the index"), *rows)


def _mapped(mapped: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, field in mapped["properties"].items():
        if "properties" in field:
            yield from _mapped(field, f"{prefix}{name}.")
        else:
            more = [f"{key} `{value}`" for key, value in field.items() if key != "type"]
            yield f"`{prefix}{name}`", ", ".join([field["type"], *more])


def mutants() -> str:
    rows = (
        (f"`{mutant.function.removeprefix('reviewstream.')}`", f"`{mutant.became}`", reason)
        for mutant, reason in listed().items()
    )
    return table(("function", "mutant", "why it may live"), *rows)


def faults() -> str:
    rows = (
        (f"`{name}`", kind.what, ", ".join(f"`{field}`" for field in kind.fields))
        for name, kind in KINDS.items()
    )
    return table(("kind", "what a client sees", "fields"), *rows)


def retries() -> str:
    rows = (
        (meaning, *map(_seconds, (each.first, each.longest, each.total)))
        for name, meaning in meanings(waits).items()
        for each in [getattr(waits, name)]
    )
    return table(("what is tried again", "first wait", "longest wait", "in all"), *rows)


def _seconds(wait: float) -> str:
    return f"{wait:g} s" if math.isfinite(wait) else ""


PARTS: dict[str, Callable[[], str]] = {
    "settings": settings,
    "commands": commands,
    "labelled-review": lambda: schema("labelled_review"),
    "rejected-review": lambda: schema("rejected_review"),
    "connector": connector,
    "mapping": mapping,
    "mutants": mutants,
    "faults": faults,
    "contents": lambda: contents.contents("docs"),
    "waits": retries,
}

if __name__ == "__main__":
    for path in PAGES:
        path.write_text(rewritten(path.read_text(encoding="utf-8")), encoding="utf-8")
    contents.FILE.write_text(contents.llms_text(), encoding="utf-8")
    sys.stdout.write("The generated parts are those of the code.\n")
