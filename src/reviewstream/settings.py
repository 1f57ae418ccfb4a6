"""Settings: frozen values, built once at the edge and passed down.

Order of precedence: argument, environment, env file, `reviewstream.toml`, default. Environment
variables are named `REVIEWSTREAM_<SECTION>__<NAME>`; `OPENAI_API_KEY`, `OPENAI_BASE_URL` and
`REVIEWSTREAM_LEDGER_URL` are also read. A variable for a secret may end in `_FILE`: it then names
a file that contains the secret.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from posixpath import normpath
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import Url
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from reviewstream.errors import ConfigError

SETTINGS_FILE = "reviewstream.toml"
IDENTITY: Final = "reviewstream.json"  # in a checkpoint's folder: its query, stream and account
Delivery: TypeAlias = Literal["exactly_once", "at_least_once"]
SECRET_WORDS: Final = (  # parts of the names of settings with secret values
    "password",
    "secret",
    "passphrase",
    "jaas",
    "user.info",
    "api.key",
    "key.pem",
    "keystore.key",
)
SHORT_NAMES: Final = (  # additional variables, in lower case, as in pydantic
    ("openai_api_key", "openai", "api_key"),
    ("openai_base_url", "openai", "base_url"),
    ("reviewstream_ledger_url", "ledger", "url"),
)
_LOGINS: Final = (  # settings for credentials, which a URL must not contain
    "username",
    "password",
    "token",
    "api_key",
    "oauth_client_id",
    "oauth_client_secret",
)
_ZONE: Final = re.compile(r"%25[^]]*]")  # browsers refuse it in an IPv6 address, clients do not
_OWNED: Final = frozenset(  # request fields set by `openai.*` or by the program
    {"model", "messages", "response_format", "stream", "stream_options", "n", "max_tokens"}
    | {"max_completion_tokens", "temperature", "reasoning_effort", "service_tier"}
)
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FRAMING: Final = frozenset({"content-length", "transfer-encoding", "host", "connection"})
_SENDABLE: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_COMPLETIONS: Final = "/chat/completions"
_WEB: Final = re.compile(r"https?://[^/?#]", re.IGNORECASE)
_NUMBER: Final = re.compile(r"(?<=\.)\d+")  # browsers also refuse a name that ends in a number
_LOCAL: Final = re.compile(r"file:(///|/(?!/))(?P<path>.*)")  # its path is not percent-encoded
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")  # `dbfs:/x` is one, too
_OURS: Final = "reviewstream_"  # at the beginning of our variables
_FILE: Final = "_file"  # at the end of a variable: it names a file that holds the secret


def is_secret(name: str) -> bool:
    """Say whether a setting of librdkafka, Connect or a connector is secret, by its name."""
    dotted = re.sub("[-_]", ".", name.lower())
    # Only at the end: `sasl.oauthbearer.token.endpoint.url` is an address, not a secret.
    return dotted.endswith("token") or any(word in dotted for word in SECRET_WORDS)


def _is_readable(url: str) -> bool:
    try:
        Url(_NUMBER.sub("n", _ZONE.sub("]", url)))
    except ValueError:  # not a port number, half an IPv6 address, an invalid host
        return False
    return url.isprintable()


def _each(urls: str) -> list[str]:
    """Return the URLs of a list; a path may contain a comma, too."""
    parts = urls.split(",")
    return parts if all("://" in part for part in parts) else [urls]


def _named(name: str) -> str:
    if not name.strip():
        raise ValueError("is empty")
    return name


# Bounds that catch typing errors, and that clocks, clients and SQLite can represent.
Name: TypeAlias = Annotated[str, AfterValidator(_named)]
Count: TypeAlias = Annotated[int, Field(ge=1, le=10**9)]
Bytes: TypeAlias = Annotated[int, Field(ge=1, le=1 << 50)]
Replicas: TypeAlias = Annotated[int, Field(ge=0, le=1_000)]
Seconds: TypeAlias = Annotated[float, Field(gt=0, le=10**6)]
Dollars: TypeAlias = Annotated[float, Field(ge=0, le=10**9)]
PerMinute: TypeAlias = Annotated[float, Field(ge=0.001, le=10**12)]


def secret_value(secret: SecretStr | None) -> str | None:
    """Return the text of a secret, or None."""
    return None if secret is None else secret.get_secret_value()


class _Section(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False
    )
    takes_urls: ClassVar[bool] = False  # several, separated by commas

    @field_validator("url", "base_url", "oauth_token_url", check_fields=False)
    @classmethod
    def _can_be_shown(cls, url: object) -> object:
        """Refuse a URL that may contain a password, unless the whole URL is a secret.

        Some clients read the text before an `@`, anywhere in the URL, as a password, and messages
        show the URL.
        """
        if isinstance(url, str) and "@" in url:
            own = ", ".join(name for name in _LOGINS if name in cls.model_fields)
            raise ValueError(
                f"leave user and password out of the URL, for it is shown: set {own} instead;"
                " an @ that belongs to a path is written %40"
            )
        return url

    @field_validator("url", "base_url", "oauth_token_url", check_fields=False)
    @classmethod
    def _can_be_read(cls, url: object) -> object:
        if isinstance(url, str) and len(_each(url)) > 1 and not cls.takes_urls:
            raise ValueError("is a list: name one server by its URL")
        if isinstance(url, str) and not all(map(_is_readable, _each(url))):
            raise ValueError("is not a URL: nobody can read its host or port")
        if isinstance(url, str) and not all(map(_WEB.match, _each(url))):
            raise ValueError("is no address of a web server: it begins with http:// or https://")
        if isinstance(url, str) and url.partition("?")[0].rstrip("/").endswith(_COMPLETIONS):
            raise ValueError(f"leave {_COMPLETIONS} out: the client adds it")
        return url


class SourceSettings(_Section):
    """The TCP server to read from.

    Attributes:
        max_rows_per_trigger: Lines in one micro-batch.
        max_bytes_per_trigger: Bytes in one micro-batch; a review server gives 64 MiB at most.
        partitions: Ranges of a micro-batch that are read and labelled in parallel.
        tls: Speak TLS, and check the server's certificate.
        ca_location: File of the certificates to trust; None: those of the system.
        token: What the server asks for, and what `reviewstream serve` asks for.
    """

    host: Name = "127.0.0.1"
    port: int = Field(default=9999, ge=1, le=65535)
    max_rows_per_trigger: Count = 10_000
    max_bytes_per_trigger: Bytes = 64 << 20
    partitions: Count = 2
    tls: bool = False
    ca_location: Name | None = None
    token: SecretStr | None = None


class OpenAISettings(_Section):
    """The model.

    Attributes:
        api_key_command: Command that prints the key or a token, such as Entra ID's; it wins over
            `api_key`. It is run every five minutes, without a shell, and is not secret itself.
        dialect: How the endpoint differs from OpenAI's: `openai`, `azure`, `openrouter`, `gemini`,
            `mistral`, `groq`, `deepseek`, `xai`, `together`, `vllm`, `ollama`, `litellm` or
            `generic`; `auto` goes by the address.
        ca_location: File of the certificates to trust; None: the public authorities.
        timeout: Seconds for one attempt; 900 by default where `service_tier` is `flex`.
        startup_timeout: Seconds after which a run ends if the endpoint has never answered.
        concurrency: Requests in flight, per Spark task.
        temperature: 0 to 2; None: not sent, as some models allow none.
        reasoning_effort: `none`, `minimal`, `low`, ...; `auto`: the least that a model takes which
            is known to reason; `default`: not sent.
        service_tier: `flex` (cheaper and slower), `default`, `priority`, ...; None: not sent.
        max_tokens_field: `max_completion_tokens` or `max_tokens`; `auto`: as the dialect has it.
        response_format: `json_schema`, `json_object` (JSON mode), or `text` (the prompt alone);
            `auto`: the strictest that the endpoint takes.
        extra_body: Any other fields of the request, verbatim.
        extra_headers: Any other headers, verbatim; never shown.
        prompt_version: Of `core.labelling.prompts`; version 2 takes fewer tokens and asks for no
            confidence.
        max_output_tokens_per_label: Of an answer, for each review. Unless set, a model that reasons
            gets room for its hidden tokens beside it.
        pack: Reviews in one request, at most.
        max_pack_tokens: Of a request and its answer, at most; a longer review is asked about alone.
        controls: Hide two or four texts with known labels in each request with several reviews: a
            review that makes the model label the others is found out. Costs about 35 tokens each.
        max_attempts: Failed requests about one review alone before it may be rejected.
        max_wait: Seconds; a longer `Retry-After` is cut to this.
        generation: Raised to relabel (0 to 999).
        input_usd_per_million: Price of a million prompt tokens, in US dollars; None: as
            genai-prices lists it for the model.
        cached_input_usd_per_million: The same of prompt tokens that the endpoint had in its cache.
        cache_write_usd_per_million: The same of prompt tokens that it wrote to its cache.
        output_usd_per_million: The same of a million completion tokens.
        tier_price_factor: What `service_tier` costs in proportion to these prices; None: half for
            `flex` (at Groq the same) and `batch`, the same for `default`.
        ledger_name: Name of the model in the ledger. By default its own, and the address with it
            where that is not OpenAI's: another endpoint may mean another model by the name.
    """

    base_url: str = "https://api.openai.com/v1"
    api_key: SecretStr | None = None
    api_key_command: Name | None = None
    dialect: Name = "auto"
    ca_location: Name | None = None
    model: Name = "gpt-6-luna"
    timeout: Seconds = 30.0
    startup_timeout: Seconds = 600.0
    concurrency: Count = 16
    temperature: float | None = Field(default=None, ge=0, le=2)
    reasoning_effort: Name = "auto"
    service_tier: str | None = None
    max_tokens_field: Literal["auto", "max_completion_tokens", "max_tokens"] = "auto"
    response_format: Literal["auto", "json_schema", "json_object", "text"] = "auto"
    extra_body: dict[str, Any] = Field(default_factory=dict)
    extra_headers: dict[str, SecretStr] = Field(default_factory=dict)
    prompt_version: Count = 1
    max_output_tokens_per_label: Count = 64
    pack: Count = 20
    max_pack_tokens: Count = 8_000
    controls: bool = True
    max_attempts: Count = 6
    max_wait: Seconds = 60.0
    generation: int = Field(default=0, ge=0, le=999)
    input_usd_per_million: Dollars | None = None
    cached_input_usd_per_million: Dollars | None = None
    cache_write_usd_per_million: Dollars | None = None
    output_usd_per_million: Dollars | None = None
    tier_price_factor: Annotated[float, Field(ge=0, le=1_000)] | None = None
    ledger_name: Name | None = None

    @field_validator("extra_body")
    @classmethod
    def _adds_fields(cls, body: dict[str, Any]) -> dict[str, Any]:
        """Refuse fields that other settings control, and values that JSON cannot represent."""
        if owned := sorted(body.keys() & _OWNED):
            raise ValueError(
                f"{owned[0]} has a setting of its own, or is not for users: leave it out"
            )
        try:
            json.dumps(body, allow_nan=False, ensure_ascii=False).encode()
        except (TypeError, ValueError, RecursionError) as err:
            raise ValueError("holds a value that JSON does not have") from err
        return body

    @field_validator("extra_headers")
    @classmethod
    def _can_be_sent(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, value in headers.items():
            if not _HEADER.fullmatch(name) or name.lower() in _FRAMING:
                raise ValueError(f"{name!r} is no name of a header that can be added")
            if not _SENDABLE.fullmatch(value.get_secret_value()):
                raise ValueError(
                    f"the value of {name} has characters that a header cannot have, or a blank at"
                    " an end"
                )
        return headers


class LedgerSettings(_Section):
    """Labels that were paid for: what is in the ledger is not bought again.

    Attributes:
        enabled: Use a ledger.
        file: SQLite file, on a local disk, of all processes of a machine. By default
            `reviewstream/ledger.sqlite3` in `$XDG_STATE_HOME` (`~/.local/state`).
        url: `redis://...`, `rediss://...` or `unix://...` of a Redis for all machines of a cluster,
            instead of the file; `REVIEWSTREAM_LEDGER_URL` is read too.
        timeout: Seconds to wait for a busy file, or for an answer of Redis.
        lease: Seconds after which Redis lets others buy what a dead process was buying.
    """

    enabled: bool = True
    file: Name | None = None
    url: SecretStr | None = None
    timeout: Seconds = 30.0
    lease: Seconds = 60.0


class LimitsSettings(_Section):
    """Rate limits and budget of the model.

    Attributes:
        file: SQLite file of the limits that all processes of a machine share. By default beside the
            ledger's, as `<ledger.file>-limits`; where `ledger.url` is set, the limits are in Redis.
        requests_per_minute: Shared by all clients of the same model; the endpoint's own limit, if
            it reports one, applies too.
        tokens_per_minute: Likewise.
        budget_usd: US dollars that the account may spend in all; None: as much as it takes.
        account: Account that pays; each has its own budget. By default, for a query, the path of
            its checkpoint's folder when it was first used; each relabelling has its own.
    """

    file: Name | None = None
    requests_per_minute: PerMinute | None = None
    tokens_per_minute: PerMinute | None = None
    budget_usd: Dollars | None = None
    account: str | None = None


class KafkaSettings(_Section):
    """Connection to Kafka, and the topics.

    Attributes:
        security_protocol: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.
        sasl_mechanism: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER.
        ssl_ca_location: File of the certificates to trust; None: those of the system.
        oauth_token_url: Where OAUTHBEARER's tokens come from (OpenID Connect).
        oauth_client_id: Of the application, as the token's issuer knows it.
        oauth_client_secret: Its password there.
        oauth_scope: What is asked for, if the issuer wants to know.
        partitions: Of a topic that we create.
        replication_factor: Of a topic that we create.
        delivery: `exactly_once`, or `at_least_once`: a crash may then write records twice.
        stream_name: Tells the stream from others that write to the same topics; by default the path
            of its checkpoint.
        delivery_timeout: Seconds until an unacknowledged record is an error.
        client: Any other librdkafka setting, verbatim.
        client_secrets: The same for secret values, such as `ssl.key.password`.
    """

    bootstrap_servers: Name = "127.0.0.1:9092"
    security_protocol: Name = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_ca_location: Name | None = None
    oauth_token_url: str | None = None
    oauth_client_id: str | None = None
    oauth_client_secret: SecretStr | None = None
    oauth_scope: str | None = None
    labelled_topic: Name = "reviews.labelled"
    rejected_topic: Name = "reviews.rejected"
    dead_letter_topic: Name = "reviews.labelled.dlq"
    partitions: Count = 3
    replication_factor: Annotated[int, Field(ge=1, le=1_000)] = 1
    delivery: Delivery = "exactly_once"
    stream_name: Name | None = None
    delivery_timeout: Seconds = 120.0
    client: dict[str, str] = Field(default_factory=dict)
    client_secrets: dict[str, SecretStr] = Field(default_factory=dict)

    @field_validator("client")
    @classmethod
    def _has_no_secret(cls, client: dict[str, str]) -> dict[str, str]:
        if secrets := [name for name in client if is_secret(name)]:
            raise ValueError(
                f"{secrets[0]} is a secret: set kafka.sasl_password, kafka.oauth_client_secret or"
                f' kafka.client_secrets."{secrets[0]}"'
            )
        return client


class RegistrySettings(_Section):
    """The Schema Registry.

    Attributes:
        token: Sent as bearer token, instead of user and password.
        logical_cluster: That the token is for; Confluent Cloud wants its id (`lsrc-...`).
        auto_register: Register our schemas when a query starts (development only).
    """

    takes_urls: ClassVar[bool] = True
    url: str = "http://127.0.0.1:8081"
    username: str | None = None
    password: SecretStr | None = None
    token: SecretStr | None = None
    logical_cluster: str | None = None
    ca_location: Name | None = None
    auto_register: bool = False


class ConnectSettings(_Section):
    """Kafka Connect and the sink connector.

    Attributes:
        ca_location: File of the certificates to trust; None: those of the system.
        value_converter: Converter class for Avro values.
        value_converter_config: Its settings, without the prefix `value.converter.`.
        connector: Settings added to the connector, verbatim; they win over ours.
    """

    url: str = "http://127.0.0.1:8083"
    username: str | None = None
    password: SecretStr | None = None
    ca_location: Name | None = None
    name: Name = "reviews-elasticsearch"
    connector_class: Name = "io.confluent.connect.elasticsearch.ElasticsearchSinkConnector"
    value_converter: Name = "io.confluent.connect.avro.AvroConverter"
    # Both may hold secrets, and are sent unchanged, so `repr` omits them.
    value_converter_config: dict[str, str] = Field(default_factory=dict, repr=False)
    connector: dict[str, str] = Field(default_factory=dict, repr=False)


class ElasticsearchSettings(_Section):
    """Elasticsearch. `index` is the alias; the first index behind it is `<index>-v1`."""

    url: str = "http://127.0.0.1:9200"
    username: str | None = None
    password: SecretStr | None = None
    api_key: SecretStr | None = None
    ca_location: Name | None = None
    index: Name = "reviews"
    replicas: Replicas = 0


class SparkSettings(_Section):
    """Spark.

    Attributes:
        master: `local[*]` or `spark://host:7077`; None: what `spark-submit` says, without it
            `local[*]`.
        checkpoint: Folder of the query's checkpoint; the next driver must see it too.
        config: Any Spark setting, verbatim.
    """

    master: Name | None = None
    checkpoint: Name = "checkpoint"
    config: dict[str, str] = Field(default_factory=dict)


def accounted(settings: "Settings") -> "Settings":
    """Return settings with the checkpoint's account, unless `limits.account` is set.

    So a restarted query continues with the same budget: the account is recorded beside the
    checkpoint, and moves with it.

    Raises:
        ConfigError: The record beside the checkpoint cannot be read.
    """
    if settings.limits.account is not None:
        return settings
    account = account_of(settings.spark.checkpoint)
    limits = settings.limits.model_copy(update={"account": account})
    return settings.model_copy(update={"limits": limits})


def account_of(checkpoint: str) -> str:
    """Return the recorded account of a checkpoint, or the default one of a new checkpoint."""
    folder = local_folder(checkpoint)
    if folder is None:
        return checkpoint
    kept = _kept_beside(folder)
    if account := kept.get("account"):
        return str(account)
    stream = str(kept.get("stream") or "")
    # Before accounts were recorded, the path named both, unless the stream was given a name.
    is_path = Path(stream).is_absolute() or _URL.match(stream)
    return stream if is_path else str(folder)


def _kept_beside(folder: Path) -> dict[str, Any]:
    """Return the metadata recorded beside a checkpoint; see `core.delivery.checkpoint_metadata`."""
    file = folder / IDENTITY
    try:
        kept = json.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as err:
        raise ConfigError(f"{file}: {err.strerror}: it names the account that pays") from err
    except (ValueError, RecursionError):
        kept = None
    if isinstance(kept, dict):
        return kept
    raise ConfigError(f"{file} is damaged: put back the one of your copy of the checkpoint")


def absolute(checkpoint: str) -> str:
    """Return the canonical name of a checkpoint, independent of spelling and current folder."""
    folder = local_folder(checkpoint)
    return checkpoint if folder is None else str(folder)


def local_folder(checkpoint: str) -> Path | None:
    """Return the folder of a path or URL without links, or None if it is not on this machine.

    As in Hadoop, ".." removes the preceding part, even if that is a link.
    """
    local = _LOCAL.fullmatch(checkpoint)
    if local is None and _URL.match(checkpoint):
        return None
    path = Path("/", local["path"]) if local else Path(checkpoint)
    return Path(normpath(Path(path).absolute())).resolve()  # `Path` keeps "..", because of links


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
        environ = _read_files(settings_cls, getattr(env_settings, "env_vars", {}))
        env_file = _read_files(settings_cls, getattr(dotenv_settings, "env_vars", {}))
        return (
            init_settings,
            _Variables(settings_cls, environ),
            _ShortNames(settings_cls, environ),
            _Variables(settings_cls, env_file),
            _ShortNames(settings_cls, env_file),
            TomlConfigSettingsSource(settings_cls),
        )


class _Variables(EnvSettingsSource):
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


class _ShortNames(_Variables):
    """The variables that every OpenAI client reads, and the short name of `ledger.url`."""

    def __call__(self) -> dict[str, Any]:
        given: dict[str, Any] = {}
        for variable, section, name in SHORT_NAMES:
            if value := self.env_vars.get(variable):
                given.setdefault(section, {})[name] = value
        return given


def _read_files(
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
