"""Settings of the model, of its labels, and of their limits."""

import json
import re
from typing import Annotated, Any, Final, Literal

from pydantic import Field, SecretStr, field_validator

from reviewstream.settings.section import Count, Dollars, Name, PerMinute, Seconds, Section

_OWNED: Final = frozenset(  # request fields set by `openai.*` or by the program
    {"model", "messages", "response_format", "stream", "stream_options", "n", "max_tokens"}
    | {"max_completion_tokens", "temperature", "reasoning_effort", "service_tier"}
)
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FRAMING: Final = frozenset({"content-length", "transfer-encoding", "host", "connection"})
_SENDABLE: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")


class OpenAISettings(Section):
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


class LedgerSettings(Section):
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


class LimitsSettings(Section):
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
