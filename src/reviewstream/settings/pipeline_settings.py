"""All settings, and the order in which their sources are read."""

from typing import Final

from pydantic import Field
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from reviewstream.settings.environment import ShortNames, Variables, read_files
from reviewstream.settings.model_settings import LedgerSettings, LimitsSettings, OpenAISettings
from reviewstream.settings.server_settings import (
    ConnectSettings,
    ElasticsearchSettings,
    KafkaSettings,
    RegistrySettings,
    SourceSettings,
    SparkSettings,
)

SETTINGS_FILE: Final = "reviewstream.toml"


class Settings(BaseSettings):
    """All settings of the pipeline."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        env_prefix="REVIEWSTREAM_",
        env_nested_delimiter="__",
        toml_file=SETTINGS_FILE,
    )

    source: SourceSettings = Field(default_factory=SourceSettings)
    openai: OpenAISettings = Field(default_factory=OpenAISettings)
    ledger: LedgerSettings = Field(default_factory=LedgerSettings)
    limits: LimitsSettings = Field(default_factory=LimitsSettings)
    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    registry: RegistrySettings = Field(default_factory=RegistrySettings)
    connect: ConnectSettings = Field(default_factory=ConnectSettings)
    elasticsearch: ElasticsearchSettings = Field(default_factory=ElasticsearchSettings)
    spark: SparkSettings = Field(default_factory=SparkSettings)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - their signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources in the order of precedence."""
        environ = read_files(settings_cls, getattr(env_settings, "env_vars", {}))
        env_file = read_files(settings_cls, getattr(dotenv_settings, "env_vars", {}))
        return (
            init_settings,
            Variables(settings_cls, environ),
            ShortNames(settings_cls, environ),
            Variables(settings_cls, env_file),
            ShortNames(settings_cls, env_file),
            TomlConfigSettingsSource(settings_cls),
        )
