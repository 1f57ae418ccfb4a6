"""The API's errors, and the body formats of different endpoints."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

# Names of the statuses in Google's errors.
_STATUSES: Final[Mapping[int, str]] = MappingProxyType(
    {
        400: "INVALID_ARGUMENT",
        401: "UNAUTHENTICATED",
        403: "PERMISSION_DENIED",
        404: "NOT_FOUND",
        429: "RESOURCE_EXHAUSTED",
        500: "INTERNAL",
        503: "UNAVAILABLE",
    }
)


class ApiError(Exception):
    """A response with a status other than 200.

    Attributes:
        status: HTTP status.
        message: Message for the caller.
        param: The invalid field of the request, or None.
        code: Machine-readable code, or None.
        type: Type of the error.
        headers: Additional response headers.
        cause: A key of a dialect's `words`; if empty, the message is the same in every dialect.
        more: Additional fields of the error in the body.
    """

    def __init__(  # noqa: PLR0913 - the fields of the published shape
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        type: str = "invalid_request_error",  # noqa: A002 - the API's own name
        headers: Mapping[str, str] | None = None,
        cause: str = "",
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.type = type
        self.headers = dict(headers or {})
        self.cause = cause
        self.more = dict(more or {})

    def body(self) -> Any:  # noqa: ANN401 - any JSON
        """Return the body in OpenAI's format; its four fields are required, null or not."""
        return nested(self)


def bad_request(
    message: str, *, param: str | None = None, code: str | None = None, cause: str = ""
) -> ApiError:
    """Return a 400."""
    return ApiError(400, message, param=param, code=code, cause=cause)


# --- Shapes: each formats the body of an error ---


def nested(err: ApiError) -> Any:  # noqa: ANN401 - any JSON, as below
    """Return the body in OpenAI's format."""
    fields = {"type": err.type, "message": err.message}
    return {"error": {**fields, "param": err.param, "code": err.code, **err.more}}


def without_param(err: ApiError) -> Any:  # noqa: ANN401
    """Return the body in Groq's format: no `param`, and `code` only if it has a value."""
    code = {} if err.code is None else {"code": err.code}
    return {"error": {"message": err.message, "type": err.type, **code, **err.more}}


def with_number(err: ApiError) -> Any:  # noqa: ANN401
    """Return the body in vLLM's format: `code` is the status as a number."""
    fields = {"message": err.message, "type": err.type}
    return {"error": {**fields, "param": err.param, "code": err.status}}


def with_digits(err: ApiError) -> Any:  # noqa: ANN401
    """Return the body in LiteLLM's format: `code` is the status as a string."""
    fields = {"message": err.message, "type": err.type}
    return {"error": {**fields, "param": err.param, "code": str(err.status), **err.more}}


def with_metadata(err: ApiError) -> Any:  # noqa: ANN401
    """Return the body in OpenRouter's format: `code` is the status, other fields are metadata."""
    metadata = {"metadata": err.more} if err.more else {}
    fields = {"message": err.message, "code": err.status, **metadata}
    return {"error": fields, "user_id": "user_mock"}


def in_array(err: ApiError) -> Any:  # noqa: ANN401
    """Return the body in Gemini's format: an array of one object."""
    name = _STATUSES.get(err.status, "UNKNOWN")
    details = {"details": [err.more]} if err.more else {}
    return [{"error": {"code": err.status, "message": err.message, "status": name, **details}}]


def flat(err: ApiError) -> Any:  # noqa: ANN401
    """Return the body in Mistral's format: no `error` object; `detail` names an invalid field."""
    if err.cause == "key":
        return {"detail": err.message}
    if err.cause == "field":
        detail = {"type": "extra_forbidden", "loc": ["body", err.param], "msg": err.message}
        return {
            "object": "error",
            "message": {"detail": [detail]},
            "type": err.type,
            "param": None,
            "code": None,
        }
    fields = {"object": "error", "message": err.message, "type": err.type}
    return {**fields, "param": None, "code": err.code}


def as_text(err: ApiError) -> Any:  # noqa: ANN401
    """Return the body in xAI's format: `error` is a string."""
    return {"code": err.code or "Client specified an invalid argument", "error": err.message}
