"""The errors of the API: what is wrong, and the shapes in which endpoints say it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

# What the status is called in an error of Google's.
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
    """An answer that is not 200.

    Attributes:
        status: HTTP status.
        message: For the caller.
        param: The request's field that is to blame, or None.
        code: Machine-readable, or None.
        type: Family of the error.
        headers: Added to the answer.
        cause: A key of a dialect's `words`; empty: every dialect says it in these words.
        more: Further fields of the body's error.
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
        """Return the body in OpenAI's shape; its four fields are required, null or not."""
        return nested(self)


def bad_request(
    message: str, *, param: str | None = None, code: str | None = None, cause: str = ""
) -> ApiError:
    """Return a 400."""
    return ApiError(400, message, param=param, code=code, cause=cause)


# --- Shapes: each makes a body of an error ---


def nested(err: ApiError) -> Any:  # noqa: ANN401 - any JSON, as below
    """Return OpenAI's shape."""
    fields = {"type": err.type, "message": err.message}
    return {"error": {**fields, "param": err.param, "code": err.code, **err.more}}


def without_param(err: ApiError) -> Any:  # noqa: ANN401
    """Return Groq's shape: there is no `param`, and no `code` unless there is one."""
    code = {} if err.code is None else {"code": err.code}
    return {"error": {"message": err.message, "type": err.type, **code, **err.more}}


def with_number(err: ApiError) -> Any:  # noqa: ANN401
    """Return vLLM's shape: `code` is the status, a number."""
    fields = {"message": err.message, "type": err.type}
    return {"error": {**fields, "param": err.param, "code": err.status}}


def with_digits(err: ApiError) -> Any:  # noqa: ANN401
    """Return LiteLLM's shape: `code` is the status, a text."""
    fields = {"message": err.message, "type": err.type}
    return {"error": {**fields, "param": err.param, "code": str(err.status), **err.more}}


def with_metadata(err: ApiError) -> Any:  # noqa: ANN401
    """Return OpenRouter's shape: `code` is the status, and what else there is, is metadata."""
    metadata = {"metadata": err.more} if err.more else {}
    fields = {"message": err.message, "code": err.status, **metadata}
    return {"error": fields, "user_id": "user_mock"}


def in_array(err: ApiError) -> Any:  # noqa: ANN401
    """Return Gemini's shape: an array of one object."""
    name = _STATUSES.get(err.status, "UNKNOWN")
    details = {"details": [err.more]} if err.more else {}
    return [{"error": {"code": err.status, "message": err.message, "status": name, **details}}]


def flat(err: ApiError) -> Any:  # noqa: ANN401
    """Return Mistral's shape: there is no `error`; a field that is refused is in a `detail`."""
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
    """Return xAI's shape: `error` is a text."""
    return {"code": err.code or "Client specified an invalid argument", "error": err.message}
