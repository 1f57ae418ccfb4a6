"""Settings by name: the place where one was read, and suggestions for unknown names."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from reviewstream.errors import ConfigError
from reviewstream.settings import SHORT_NAMES, Settings

PREFIX: Final = "REVIEWSTREAM_"
OURS: Final = re.compile(  # read by other parts of this project, not settings
    r"REVIEWSTREAM_(?:CACHE|STATE|IMAGE|MAVEN_REPOSITORY|FAULTS|ADVISORIES|TEST_\w+)"
)
# Kubernetes sets these in every pod for a service called `reviewstream` or `reviewstream-x`.
_SERVICE: Final = re.compile(
    r"\w*_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)\w*)"
)
_ADDRESS: Final = re.compile(r"(?:tcp|udp|sctp)://")
_FILE: Final = "_FILE"  # suffix of a secret's variable
_VARIABLE: Final = re.compile(r"\s*(?:export\s+)?([\w.]+)\s*=")
_TABLE: Final = re.compile(r"\s*\[\s*([^]]+?)\s*\]")
_PART: Final = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")
_KEY: Final = re.compile(rf"\s*((?:{_PART.pattern})(?:\s*\.\s*(?:{_PART.pattern}))*)\s*=")

Path_ = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingOrigins:
    """All sources of settings, in order of precedence.

    Attributes:
        overrides: Values of `--set`, as a tree.
        environment: Environment variables.
        env_file: File of NAME=value lines, or None.
        file: TOML file, which may not exist.
    """

    overrides: Mapping[str, Any]
    environment: Mapping[str, str]
    env_file: Path | None
    file: Path

    def origin(self, path: Path_) -> str:
        """Return the place where a setting was read; empty if it was not found."""
        for length in range(len(path), 0, -1):
            if found := next(self._found(path[:length]), ""):
                return found
        return ""

    def whole(self, path: Path_) -> Path_:
        """Return a path; to that of a section it appends the section's first setting of `--set`."""
        inside = self.overrides.get(path[0]) if len(path) == 1 else None
        return (*path, *([*inside][:1] if isinstance(inside, Mapping) else []))

    def _found(self, path: Path_) -> Iterator[str]:
        if _has(self.overrides, path):
            yield "--set"
        names = {name.upper(): name for name in self.environment}
        yield from (f"the environment ({names[name]})" for name in _names(path) if name in names)
        if self.env_file is not None:
            lines = variable_lines(_text(self.env_file))
            known = [lines[name] for name in _names(path) if name in lines]
            yield from (f"{self.env_file}, line {number}" for number in known)
        if (number := toml_line(_text(self.file), path)) is not None:
            yield f"{self.file}, line {number}"


def variable(path: Sequence[str]) -> str:
    """Return the environment variable of a setting."""
    return f"{PREFIX}{'__'.join(path)}".upper()


def suggestion(name: str) -> str:
    """Return a question that suggests a similar setting; empty if no setting is similar."""
    known = {".".join(path): path for path in _settings()}
    close = get_close_matches(name.lower(), known, n=1)
    return f"; did you mean {close[0]} ({variable(known[close[0]])})?" if close else ""


def check_names(variables: Mapping[str, str | None]) -> list[str]:
    """Return a warning for each variable with our prefix that is not a setting.

    Raises:
        ConfigError: A name differs from a setting only in the number of underscores.
    """
    meant = {_flat(variable(path)): path for path in _settings()}
    warnings = []
    for name, value in sorted(variables.items()):
        upper = name.upper()
        if not upper.startswith(PREFIX) or _is_known(upper, value or ""):
            continue
        if (path := meant.get(_flat(upper.removesuffix(_FILE)))) is not None:
            raise ConfigError(
                f"{name} is no setting: the one of {'.'.join(path)} is {variable(path)}, with two"
                " underscores after the section"
            )
        guess = suggestion(_flat(upper.removeprefix(PREFIX)).replace("_", ".", 1))
        warnings.append(f"{name} is no setting, and is ignored{guess}")
    return warnings


def variable_lines(text: str) -> dict[str, int]:
    """Return the line number of each variable of an env file; the last one counts."""
    found = ((number, _VARIABLE.match(line)) for number, line in enumerate(text.splitlines(), 1))
    return {match[1].upper(): number for number, match in found if match}


def toml_line(text: str, path: Path_) -> int | None:
    """Return the line of a setting in TOML, or of the table that contains it."""
    table: Path_ = ()
    best: tuple[int, int] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if header := _TABLE.match(line):
            here = table = _parts(header[1])
        elif key := _KEY.match(line):
            here = (*table, *_parts(key[1]))
        else:
            continue
        shared = min(len(here), len(path))
        if here[:shared] == path[:shared] and (best is None or shared > best[0]):
            best = shared, number
    return None if best is None else best[1]


def _settings() -> Iterator[Path_]:
    for section, field in Settings.model_fields.items():
        model = field.annotation
        assert isinstance(model, type)  # noqa: S101 - all fields are sections
        assert issubclass(model, BaseModel)  # noqa: S101 - likewise
        yield from ((section, name) for name in model.model_fields)


def _names(path: Path_) -> tuple[str, ...]:
    """Return the environment variables of a setting."""
    short = (name.upper() for name, *place in SHORT_NAMES if tuple(place) == path)
    names = (variable(path), *short)
    return (*names, *(f"{name}{_FILE}" for name in names))


def _is_known(name: str, value: str) -> bool:
    section, has_two, _ = name.removeprefix(PREFIX).partition("__")
    is_section = section.lower() in Settings.model_fields
    is_short = name.removesuffix(_FILE) in {short.upper() for short, *_ in SHORT_NAMES}
    is_service = _SERVICE.fullmatch(name) or (name.endswith("_PORT") and _ADDRESS.match(value))
    is_read = is_section and (bool(has_two) or name == f"{PREFIX}{section}")
    return is_read or is_short or bool(is_service) or bool(OURS.fullmatch(name))


def _flat(name: str) -> str:
    return re.sub("_+", "_", name)


def _has(tree: object, path: Path_) -> bool:
    for name in path:
        if not isinstance(tree, Mapping) or name not in tree:
            return False
        tree = tree[name]
    return True


def _parts(dotted: str) -> Path_:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig", errors="replace")
    except OSError:  # it does not exist
        return ""
