"""How servers with Confluent's registry API differ: the one place where a test may know the server.

Apicurio's and Karapace's rows are what the suite found (Apicurio 3.3; Karapace 6.2 from its source,
with Avro's own library in the place of the patched one that it names). Confluent's is from its
documentation: not run.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RegistryKind:
    """One server's ways, where the API leaves room or a server strays from it.

    Attributes:
        sign: A path on the server that this kind alone answers.
        default_level: In force where nobody set one.
        subject_without_level: HTTP status and error code of `GET /config/SUBJECT` for a subject
            that is there and has no level of its own; 200 and None if the level in force is given.
        incompatible_codes: Error codes that come with the HTTP status 409.
        explains: Whether `?verbose=true` says why a schema is incompatible.
        odd_version: HTTP status and error code for a version that is no number.
        early_delete_status: HTTP status where a permanent delete comes before the soft one, or a
            soft one comes twice; the error codes, 40405 to 40407, are the same everywhere.
        refuses_empty_schema: Whether an empty schema is an invalid one (42201).
        unknown_type: HTTP status and error code for a `schemaType` that does not exist.
        doc_is_content: Whether a schema that differs in `doc` alone is a new version.
        misread: Pairs of schemas that it takes for unreadable in either direction.
        has_raw_schema: Whether there is `GET /schemas/ids/ID/schema`.
    """

    name: str
    sign: str | None = None
    default_level: str = "BACKWARD"
    subject_without_level: tuple[int, int | None] = (404, 40408)
    incompatible_codes: frozenset[int] = frozenset({409})
    explains: bool = True
    odd_version: tuple[int, int] = (422, 42202)
    early_delete_status: int = 404
    refuses_empty_schema: bool = True
    unknown_type: tuple[int, int] = (422, 42201)
    doc_is_content: bool = True
    misread: frozenset[str] = frozenset()
    has_raw_schema: bool = True


CONFLUENT = RegistryKind(name="Confluent", incompatible_codes=frozenset({409, 40901}))
KARAPACE = RegistryKind(
    name="Karapace",
    sign="/_health",
    unknown_type=(422, 422),
    misread=frozenset({"the record is renamed with an alias"}),
    has_raw_schema=False,
)
APICURIO = RegistryKind(
    name="Apicurio",
    sign="/apis/registry/v2/system/info",
    default_level="NONE",
    subject_without_level=(200, None),
    explains=False,
    odd_version=(404, 40402),
    early_delete_status=409,
    refuses_empty_schema=False,
    unknown_type=(500, 0),
    doc_is_content=False,
)
KINDS = (APICURIO, KARAPACE, CONFLUENT)


def kind_of(answers: Callable[[str], bool]) -> RegistryKind:
    """Return the kind of a server, by the paths that it answers.

    Args:
        answers: Whether there is something at a path of the server.
    """
    return next(kind for kind in KINDS if kind.sign is None or answers(kind.sign))
