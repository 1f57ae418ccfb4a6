"""What a server answered over plain HTTP, for tests."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """HTTP status, and body as JSON (None if there is none)."""

    status: int
    body: Any

    @property
    def refusal(self) -> tuple[int, int | None]:
        """The HTTP status and the API's own error code, if there is one."""
        code = self.body.get("error_code") if isinstance(self.body, dict) else None
        return self.status, code

    @property
    def is_rebalancing(self) -> bool:
        """Whether Connect is sharing out the work: the same request may be sent again."""
        return self.status in {409, 500} and "rebalance" in self.body["message"]
