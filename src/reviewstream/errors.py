"""Errors, classified by whether the same call may succeed later."""


class ReviewStreamError(Exception):
    """Base class of all errors that this package raises.

    Attributes:
        billed: `ChatAnswer` with the tokens that the endpoint billed for a failed call, or None.
    """

    billed: object = None


class TransientError(ReviewStreamError):
    """The same call may succeed later.

    Attributes:
        retry_after: Seconds the server asked us to wait, or None if it did not say.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RateLimitError(TransientError):
    """The server accepts requests, but at a lower rate.

    Attributes:
        requests_per_minute: The limit that the server reports, or None if it reports none.
        tokens_per_minute: The same for tokens.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
    ) -> None:
        super().__init__(message, retry_after=retry_after)
        self.requests_per_minute = requests_per_minute
        self.tokens_per_minute = tokens_per_minute


class CapacityError(TransientError):
    """The endpoint has no capacity for the service tier now; the rate limits are not exceeded."""


class UnknownOutcomeError(TransientError):
    """The outcome is unknown: the request may have been processed and billed."""


class PermanentError(ReviewStreamError):
    """The same call will fail again; other calls may still succeed."""


class BadAnswerError(PermanentError):
    """The model's answer was unusable, and the endpoint returned something else in its place.

    Attributes:
        may_be_billed: The endpoint reported no error, so it may bill the request.
    """

    def __init__(self, message: str, *, may_be_billed: bool = False) -> None:
        super().__init__(message)
        self.may_be_billed = may_be_billed


class RefusedError(PermanentError):
    """The endpoint refused one request, because of its text or because of the settings.

    Attributes:
        blame: The cause, as far as the endpoint names it: a value of
            `core.labelling.endpoint.blame.Blame`.
        status: HTTP status.
        field: Field of the request that the endpoint names; empty if it names none.
    """

    def __init__(
        self, message: str, *, blame: str = "UNCLEAR", status: int = 400, field: str = ""
    ) -> None:
        super().__init__(message)
        self.blame = blame
        self.status = status
        self.field = field


class FatalError(PermanentError):
    """No call of this kind succeeds until a user changes credentials, quota or budget."""


class BudgetExceededError(FatalError):
    """A quota or a budget is spent."""


class ConfigError(PermanentError):
    """A setting is missing or malformed; the message names it and the places searched."""


class SourceReplacedError(PermanentError):
    """The TCP server serves another file than the one that the checkpoint began with."""


class ProtocolError(PermanentError):
    """The peer of a connection does not speak our protocol."""


class IncompatibleSchemaError(PermanentError):
    """A schema breaks the compatibility level of its subject."""
