"""Settings from environment variables and env files."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource

from reviewstream.errors import ConfigError

SHORT_NAMES: Final = (  # additional variables, in lower case, as in pydantic
    ("openai_api_key", "openai", "api_key"),
    ("openai_base_url", "openai", "base_url"),
    ("reviewstream_ledger_url", "ledger", "url"),
)
_OURS: Final = "reviewstream_"  # at the beginning of our variables
_FILE: Final = "_file"  # at the end of a variable: it names a file that holds the secret


class Variables(EnvSettingsSource):
    """The variables of a mapping that name our settings; others are ignored, as in an env file."""

    def __init__(self, settings: type[BaseSettings], variables: Mapping[str, str | None]) -> None:
        super().__init__(settings)
        self.env_vars = variables

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:  # noqa: ANN401 - its signature
        """Parse a table, or a whole section, from JSON."""
        try:
            return super().decode_complex_value(field_name, field, value)
        except (ValueError, RecursionError) as err:
            ours = (
                (name, given) for name, given in self.env_vars.items() if name.startswith(_OURS)
            )
            names = " or ".join(name.upper() for name, given in ours if given == value)
            raise ConfigError(
                f"{names} is no JSON: {field_name} is a table; each of its settings may have a"
                " variable, with two underscores before its name"
            ) from err


class ShortNames(Variables):
    """The variables that every OpenAI client reads, and the short name of `ledger.url`."""

    def __call__(self) -> dict[str, Any]:
        """Return the values of the variables that are set, by section and name."""
        given: dict[str, Any] = {}
        for variable, section, name in SHORT_NAMES:
            if value := self.env_vars.get(variable):
                given.setdefault(section, {})[name] = value
        return given


def read_files(
    settings: type[BaseSettings], variables: Mapping[str, str | None]
) -> dict[str, str | None]:
    """Replace each `_FILE` variable by the secret in its file; the variable itself wins.

    Raises:
        ConfigError: A file cannot be read, or is empty.
    """
    secrets = {*_secret_names(settings)}
    found = {name: value for name, value in variables.items() if not _names_file(name, secrets)}
    for name in variables.keys() - found.keys():
        found.setdefault(name.removesuffix(_FILE), _read_secret(name, variables[name] or ""))
    return found


def _names_file(variable: str, secrets: set[str]) -> bool:
    return variable.endswith(_FILE) and variable.removesuffix(_FILE) in secrets


def _secret_names(settings: type[BaseSettings]) -> Iterator[str]:
    """Yield the variables of secrets, in lower case, as in pydantic."""
    yield from (variable for variable, _, _ in SHORT_NAMES)
    for section, field in settings.model_fields.items():
        model = field.annotation
        assert isinstance(model, type)  # noqa: S101 - all fields are sections
        assert issubclass(model, BaseModel)  # noqa: S101 - likewise
        for name, inner in model.model_fields.items():
            if SecretStr in {inner.annotation, *get_args(inner.annotation)}:
                yield f"reviewstream_{section}__{name}"


def _read_secret(variable: str, file: str) -> str:
    try:
        secret = Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as err:
        why = err.strerror if isinstance(err, OSError) else "is not text in UTF-8"
        raise ConfigError(f"{variable.upper()}: {file}: {why}") from err
    if not secret:
        raise ConfigError(f"{variable.upper()}: {file}: is empty")
    return secret
