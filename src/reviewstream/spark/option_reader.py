"""Reads the options that Spark passes to a format: strings, with case-insensitive names."""

from collections.abc import Iterable, Mapping
from typing import Final

from pydantic import SecretStr

from reviewstream.errors import ConfigError
from reviewstream.settings import Delivery, absolute

EARLIEST: Final = "earliest"
LATEST: Final = "latest"
TRUE_FALSE: Final = {"true": True, "false": False}
SPARK_NAMES: Final = ("checkpointLocation", "path", "queryName", "outputMode")


class OptionReader:
    """Options of one format, parsed with clear errors."""

    def __init__(self, form: str, options: Mapping[str, str], names: Iterable[str]) -> None:
        self._form = form
        self._given = {name.lower(): value for name, value in options.items()}
        known = {name.lower() for name in (*names, *SPARK_NAMES)}
        if unknown := sorted(self._given.keys() - known):
            raise ConfigError(
                f'{form}: unknown option "{unknown[0]}"; there are {", ".join(sorted(names))}'
            )

    def maybe(self, name: str) -> str | None:
        """Return an option, or None if it is not given."""
        return self._given.get(name.lower())

    def secret(self, name: str) -> SecretStr | None:
        """Return a secret, or None."""
        value = self.maybe(name)
        return None if value is None else SecretStr(value)

    def text(self, name: str, default: str) -> str:
        """Return a text."""
        return self._given.get(name.lower(), default)

    def whole(self, name: str, default: int, *, least: int = 1, most: int = 1 << 62) -> int:
        """Return a whole number from `least` to `most`."""
        value = self.text(name, str(default))
        if not (value.isascii() and value.isdigit() and least <= int(value) <= most):
            raise self._wrong(name, value, f"a whole number from {least} to {most}")
        return int(value)

    def schema_id(self, name: str) -> int | None:
        """Return an id of the Schema Registry, or None."""
        return None if self.maybe(name) is None else self.whole(name, 0, least=0)

    def seconds(self, name: str, default: float) -> float:
        """Return a number of seconds above 0."""
        value = self.text(name, str(default))
        try:
            seconds = float(value)
        except ValueError:
            seconds = -1.0
        if not 0 < seconds < 1e9:
            raise self._wrong(name, value, "a number of seconds above 0")
        return seconds

    def offset(self, name: str) -> int | str:
        """Return a byte offset, `earliest` or `latest`."""
        value = self.text(name, EARLIEST)
        if value in {EARLIEST, LATEST}:
            return value
        if not (value.isascii() and value.isdigit()):
            raise self._wrong(name, value, f"{EARLIEST}, {LATEST} or a byte offset")
        return int(value)

    def checkpoint(self) -> str | None:
        """Return the checkpoint; None if a Spark setting names it instead."""
        given = self.maybe("checkpointLocation")
        return None if given is None else absolute(given)

    def delivery(self, name: str, default: Delivery) -> Delivery:
        """Return how records are delivered."""
        match value := self.text(name, default).lower():
            case "exactly_once" | "at_least_once":
                return value
            case _:
                raise self._wrong(name, value, "exactly_once or at_least_once")

    def flag(self, name: str) -> bool:
        """Return true or false; false by default."""
        value = self.text(name, "false").lower()
        if value not in TRUE_FALSE:
            raise self._wrong(name, value, "true or false")
        return TRUE_FALSE[value]

    def _wrong(self, name: str, value: str, wanted: str) -> ConfigError:
        return ConfigError(f'{self._form}: option "{name}" is {value!r}, not {wanted}')
