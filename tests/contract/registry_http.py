"""Confluent's registry API over plain HTTP, for tests: no client's opinion in between."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2

from tests.contract.answers import Answer
from tests.contract.registry_differences import RegistryKind

MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"


@dataclass(frozen=True)
class RegistryApi:
    """A server, and which kind of server it is.

    Attributes:
        http: Its base URL is that of the API.
    """

    http: httpx2.Client
    kind: RegistryKind

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        content = None if body is None else json.dumps(body)
        answer = self.http.request(
            method, path, content=content, headers={"Content-Type": MEDIA_TYPE}
        )
        return Answer(answer.status_code, answer.json())

    def get(self, path: str) -> Any:
        """Return what is there; it must be there."""
        answer = self.ask("GET", path)
        assert answer.status == 200, (path, answer)
        return answer.body

    def post_version(self, subject: str, schema: str, **more: Any) -> Answer:
        return self.ask("POST", f"/subjects/{subject}/versions", {"schema": schema, **more})

    def register(self, subject: str, schema: str, **more: Any) -> int:
        """Return the schema's id; it must be taken."""
        answer = self.post_version(subject, schema, **more)
        assert answer.status == 200, (subject, answer)
        return int(answer.body["id"])

    def look_up(self, subject: str, schema: str, query: str = "", **more: Any) -> Answer:
        return self.ask("POST", f"/subjects/{subject}{query}", {"schema": schema, **more})

    def set_level(self, subject: str, level: str) -> Answer:
        return self.ask("PUT", f"/config/{subject}", {"compatibility": level})

    def delete(self, path: str) -> Answer:
        return self.ask("DELETE", path)

    def versions(self, subject: str, query: str = "") -> list[int]:
        return list(self.get(f"/subjects/{subject}/versions{query}"))

    def verdicts(
        self, subject: str, older: Sequence[str], new: str, level: str
    ) -> Mapping[str, Any]:
        """Return what the server says of a schema that follows others: asked, and then told."""
        assert self.set_level(subject, "NONE").status == 200
        for schema in older:
            self.register(subject, schema)
        assert self.set_level(subject, level).status == 200
        last = f"/compatibility/subjects/{subject}/versions/latest"
        asked = self.ask("POST", last, {"schema": new}).body["is_compatible"]
        return {"asked": asked, "told": self.post_version(subject, new).status}
