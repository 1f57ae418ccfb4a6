"""Errors, split by the one question a caller asks: is it worth trying again?"""


class ReviewStreamError(Exception):
    """Base of every error this package raises.

    Attributes:
        billed: `ChatAnswer` whose tokens the endpoint reports to bill though it failed, or None.
    """

    billed: object = None


class TransientError(ReviewStreamError):
    """The same call may succeed later.

    Attributes:
        retry_after: Seconds the other side asked us to wait, or None if it did not say.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RateLimitError(TransientError):
    """The other side takes requests, but not this many.

    Attributes:
        requests_per_minute: What it says that it allows, or None if it does not say.
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
    """The endpoint has no capacity for the service tier just now; its rate limits are not met."""


class UnknownOutcomeError(TransientError):
    """The outcome is unknown: the request may have been processed and billed."""


class PermanentError(ReviewStreamError):
    """The same call will fail again; other calls may still succeed."""


class BadAnswerError(PermanentError):
    """The model's answer was unusable, and the endpoint sent something else in its place.

    Attributes:
        may_be_billed: The endpoint does not report an error: it may bill the request.
    """

    def __init__(self, message: str, *, may_be_billed: bool = False) -> None:
        super().__init__(message)
        self.may_be_billed = may_be_billed


class RefusedError(PermanentError):
    """The endpoint refused one request; whether its text or the settings are at fault is open.

    Attributes:
        blame: Whose fault it is as far as the endpoint says: a value of `core.blame.Blame`.
        status: HTTP status.
        field: Field of the request that the endpoint names; empty: none.
    """

    def __init__(
        self, message: str, *, blame: str = "UNCLEAR", status: int = 400, field: str = ""
    ) -> None:
        super().__init__(message)
        self.blame = blame
        self.status = status
        self.field = field


class FatalError(PermanentError):
    """No call of this kind will succeed until a person acts: credentials, quota, money."""


class BudgetExceededError(FatalError):
    """A quota or a budget is spent."""


class ConfigError(PermanentError):
    """A setting is missing or malformed; the message names it and the places looked in."""


class SourceReplacedError(PermanentError):
    """The file behind the TCP server is not the one that the checkpoint began with."""


class ProtocolError(PermanentError):
    """The other side of a connection does not speak our protocol."""


class IncompatibleSchemaError(PermanentError):
    """A schema breaks the compatibility level of its subject."""
