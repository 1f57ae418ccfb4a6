"""The errors of the API, in the shape that OpenAI publishes."""

from typing import Any


class ApiError(Exception):
    """An answer that is not 200.

    Attributes:
        status: HTTP status.
        message: For the caller.
        param: The request's field that is to blame, or None.
        code: Machine-readable, or None.
        type: Family of the error.
        headers: Added to the answer.
    """

    def __init__(  # noqa: PLR0913 - the fields of the published shape
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        type: str = "invalid_request_error",  # noqa: A002 - the API's own name
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.type = type
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        """Return the body; its four fields are required, null or not."""
        fields = {"type": self.type, "message": self.message}
        return {"error": {**fields, "param": self.param, "code": self.code}}


def bad_request(message: str, *, param: str | None = None, code: str | None = None) -> ApiError:
    """Return a 400."""
    return ApiError(400, message, param=param, code=code)
