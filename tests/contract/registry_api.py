"""What every server with Confluent's Schema Registry API must do; subclass it and provide `api`.

Plain HTTP, so that the server is judged and not a client. Errors are told apart by the HTTP status
and the code, as clients do. Where servers differ, `api.kind` says how this one does it.

Source: Confluent, "Schema Registry API Reference".
"""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from tests.contract.answers import Answer
from tests.contract.registry_http import RegistryApi
from tests.contract.schema_pairs import (
    B0,
    LEVELS,
    PAIRS,
    TRIPLES,
    A,
    Pair,
    Triple,
    field,
    inner,
    record,
)

ONE = record(A)
OTHER = record(A, B0)
UNKNOWN_ID = 2**31 - 1


class RegistryApiContract:
    def test_a_registered_schema_is_given_by_id_by_number_and_as_the_latest(
        self, api: RegistryApi, subject: str
    ) -> None:
        schema_id = api.register(subject, ONE)
        assert json.loads(api.get(f"/schemas/ids/{schema_id}")["schema"]) == json.loads(ONE)
        for version in ("1", "latest"):
            found = api.get(f"/subjects/{subject}/versions/{version}")
            assert (found["subject"], found["version"], found["id"]) == (subject, 1, schema_id)
            assert json.loads(found["schema"]) == json.loads(ONE)
            assert api.get(f"/subjects/{subject}/versions/{version}/schema") == json.loads(ONE)

    def test_registering_again_changes_nothing(self, api: RegistryApi, subject: str) -> None:
        schema_id = api.register(subject, ONE)
        assert api.register(subject, ONE) == schema_id
        assert api.versions(subject) == [1]

    def test_spaces_in_a_schema_mean_nothing(self, api: RegistryApi, subject: str) -> None:
        schema_id = api.register(subject, ONE)
        assert api.register(subject, json.dumps(json.loads(ONE), indent=2)) == schema_id
        assert api.versions(subject) == [1]

    def test_versions_are_numbered_from_one(self, api: RegistryApi, subject: str) -> None:
        ids = [api.register(subject, schema) for schema in (ONE, OTHER)]
        assert api.versions(subject) == [1, 2]
        assert len(set(ids)) == 2
        assert subject in api.get("/subjects")

    def test_a_schema_has_one_id_under_all_its_subjects(
        self, api: RegistryApi, subject: str
    ) -> None:
        names = [subject, f"{subject}-again"]
        new = record(A, name=f"R{uuid4().hex}")
        ids = {api.register(name, new) for name in names}
        assert len(ids) == 1
        (schema_id,) = ids
        found = api.get(f"/schemas/ids/{schema_id}/versions")
        assert sorted(each["subject"] for each in found) == names

    def test_a_schema_is_looked_up_without_being_registered(
        self, api: RegistryApi, subject: str
    ) -> None:
        schema_id = api.register(subject, ONE)
        found = api.look_up(subject, ONE)
        assert found.status == 200
        assert (found.body["id"], found.body["version"]) == (schema_id, 1)
        assert api.look_up(subject, OTHER).refusal == (404, 40403)
        assert api.versions(subject) == [1]

    def test_a_schema_that_differs_in_its_docs_is_new_or_not(
        self, api: RegistryApi, subject: str
    ) -> None:
        ids = {api.register(subject, record({**A, "doc": doc})) for doc in ("x", "y")}
        assert (len(ids) == 2) == api.kind.doc_is_content

    def test_the_bare_schema_of_an_id_can_be_had(self, api: RegistryApi, subject: str) -> None:
        found = api.ask("GET", f"/schemas/ids/{api.register(subject, ONE)}/schema")
        assert (found.status == 200) == api.kind.has_raw_schema

    def test_avro_is_among_the_types(self, api: RegistryApi) -> None:
        assert "AVRO" in api.get("/schemas/types")

    def test_one_schema_registered_by_many_at_once_has_one_id_and_one_version(
        self, api: RegistryApi, subject: str
    ) -> None:
        new = record(A, field("int", f"b{uuid4().hex}"))
        with ThreadPoolExecutor(8) as threads:
            ids = set(threads.map(lambda _: api.register(subject, new), range(24)))
        assert len(ids) == 1
        assert api.versions(subject) == [1]

    def test_different_schemas_registered_at_once_each_get_a_version(
        self, api: RegistryApi, subject: str
    ) -> None:
        api.set_level(subject, "NONE")
        schemas = [record(A, field("int", f"b{number}")) for number in range(8)]
        with ThreadPoolExecutor(8) as threads:
            ids = list(threads.map(lambda schema: api.register(subject, schema), schemas))
        assert len(set(ids)) == 8
        assert api.versions(subject) == list(range(1, 9))
        for schema_id, schema in zip(ids, schemas, strict=True):
            assert json.loads(api.get(f"/schemas/ids/{schema_id}")["schema"]) == json.loads(schema)


class ReferencesContract:
    """One schema that names another, which is registered under its own subject."""

    OUTER = record(field("contract.Inner", "i"))

    @pytest.fixture
    def references(self, api: RegistryApi, subject: str) -> list[dict[str, Any]]:
        referred = json.dumps(inner(A, namespace="contract"))
        api.register(f"{subject}-inner", referred)
        return [{"name": "contract.Inner", "subject": f"{subject}-inner", "version": 1}]

    def test_a_schema_keeps_its_references(
        self, api: RegistryApi, subject: str, references: list[dict[str, Any]]
    ) -> None:
        schema_id = api.register(subject, self.OUTER, references=references)
        for path in (f"/schemas/ids/{schema_id}", f"/subjects/{subject}/versions/1"):
            assert api.get(path)["references"] == references
        found = api.look_up(subject, self.OUTER, references=references)
        assert (found.status, found.body["id"]) == (200, schema_id)

    def test_who_refers_to_a_version_is_known(
        self, api: RegistryApi, subject: str, references: list[dict[str, Any]]
    ) -> None:
        schema_id = api.register(subject, self.OUTER, references=references)
        assert schema_id in api.get(f"/subjects/{subject}-inner/versions/1/referencedby")

    def test_what_is_referred_to_cannot_be_deleted(
        self, api: RegistryApi, subject: str, references: list[dict[str, Any]]
    ) -> None:
        api.register(subject, self.OUTER, references=references)
        assert api.delete(f"/subjects/{subject}-inner/versions/1").refusal == (422, 42206)
        assert api.delete(f"/subjects/{subject}-inner").refusal == (422, 42206)
        assert api.versions(f"{subject}-inner") == [1]

    def test_a_reference_that_is_missing_or_leads_nowhere_is_an_invalid_schema(
        self, api: RegistryApi, subject: str, references: list[dict[str, Any]]
    ) -> None:
        nowhere = [
            [],
            *([references[0] | change] for change in ({"subject": "no"}, {"version": 9})),
        ]
        for wrong in nowhere:
            found = api.post_version(subject, self.OUTER, references=wrong)
            assert found.refusal == (422, 42201), wrong


class LevelsContract:
    """The seven compatibility levels."""

    @pytest.mark.parametrize("level", LEVELS)
    def test_a_level_that_is_set_is_in_force_until_it_is_deleted(
        self, api: RegistryApi, subject: str, level: str
    ) -> None:
        api.register(subject, ONE)
        told = api.set_level(subject, level)
        assert (told.status, told.body["compatibility"]) == (200, level)
        assert api.get(f"/config/{subject}")["compatibilityLevel"] == level
        assert api.delete(f"/config/{subject}").status == 200
        assert api.ask("GET", f"/config/{subject}").refusal == api.kind.subject_without_level

    def test_a_level_may_be_set_before_the_subject_is_there(
        self, api: RegistryApi, subject: str
    ) -> None:
        assert api.set_level(subject, "FULL").status == 200
        api.register(subject, ONE)
        assert api.get(f"/config/{subject}")["compatibilityLevel"] == "FULL"

    def test_where_no_level_is_set_the_servers_own_is_in_force(self, api: RegistryApi) -> None:
        assert api.get("/config")["compatibilityLevel"] == api.kind.default_level

    def test_a_level_that_does_not_exist_is_refused(self, api: RegistryApi, subject: str) -> None:
        api.register(subject, ONE)
        assert api.set_level(subject, "LOOSE").refusal == (422, 42203)

    @pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
    def test_each_level_takes_what_avro_allows(
        self, api: RegistryApi, subject: str, pair: Pair
    ) -> None:
        seen = pair.as_seen_by(api.kind.misread)
        found = {
            level: api.verdicts(f"{subject}-{level}", [pair.old], pair.new, level)
            for level in LEVELS
        }
        assert found == {level: _wanted(allowed=seen.allows(level)) for level in LEVELS}

    @pytest.mark.parametrize("triple", TRIPLES, ids=lambda triple: triple.name)
    def test_transitive_levels_ask_every_version_and_the_others_the_last(
        self, api: RegistryApi, subject: str, triple: Triple
    ) -> None:
        *older, new = triple.schemas
        found = {
            level: api.verdicts(f"{subject}-{level}", older, new, level)["told"] for level in LEVELS
        }
        assert found == {level: _wanted(allowed=triple.allows(level))["told"] for level in LEVELS}

    def test_an_incompatible_schema_is_refused_and_leaves_no_trace(
        self, api: RegistryApi, subject: str
    ) -> None:
        api.register(subject, ONE)
        api.set_level(subject, "FULL_TRANSITIVE")
        incompatible = record(A, field("int", "c"))
        refused = api.post_version(subject, incompatible)
        assert refused.status == 409
        assert refused.body["error_code"] in api.kind.incompatible_codes
        assert api.versions(subject) == [1]
        assert api.look_up(subject, incompatible).refusal == (404, 40403)

    def test_why_a_schema_is_incompatible_is_said_or_not(
        self, api: RegistryApi, subject: str
    ) -> None:
        api.register(subject, ONE)
        api.set_level(subject, "FULL")
        path = f"/compatibility/subjects/{subject}/versions/latest?verbose=true"
        found = api.ask("POST", path, {"schema": record(A, field("int", "c"))}).body
        assert not found["is_compatible"]
        assert bool(found.get("messages")) == api.kind.explains


class ErrorsContract:
    """What is not there, and what makes no sense."""

    @pytest.mark.parametrize("path", ["/versions", "/versions/1", "/versions/latest"])
    def test_an_unknown_subject_is_40401(self, api: RegistryApi, subject: str, path: str) -> None:
        assert api.ask("GET", f"/subjects/{subject}{path}").refusal == (404, 40401)

    def test_looking_up_in_an_unknown_subject_is_40401(
        self, api: RegistryApi, subject: str
    ) -> None:
        assert api.look_up(subject, ONE).refusal == (404, 40401)

    def test_deleting_an_unknown_subject_is_40401(self, api: RegistryApi, subject: str) -> None:
        assert api.delete(f"/subjects/{subject}").refusal == (404, 40401)

    def test_an_unknown_version_is_40402(self, api: RegistryApi, subject: str) -> None:
        api.register(subject, ONE)
        path = f"/subjects/{subject}/versions/9"
        asked = api.ask("POST", f"/compatibility{path}", {"schema": ONE})
        answers = [api.ask("GET", path), api.delete(path), asked]
        assert [answer.refusal for answer in answers] == [(404, 40402)] * 3

    def test_an_unknown_id_is_40403(self, api: RegistryApi) -> None:
        assert api.ask("GET", f"/schemas/ids/{UNKNOWN_ID}").refusal == (404, 40403)

    @pytest.mark.parametrize("version", ["abc", "0"])
    def test_a_version_that_is_none_is_refused(
        self, api: RegistryApi, subject: str, version: str
    ) -> None:
        api.register(subject, ONE)
        found = api.ask("GET", f"/subjects/{subject}/versions/{version}")
        assert found.refusal == api.kind.odd_version

    @pytest.mark.parametrize(
        "schema", ["no schema", '{"type": "recor"}', record({"name": "a"}), '"contract.Unknown"']
    )
    def test_an_invalid_schema_is_42201_and_makes_no_subject(
        self, api: RegistryApi, subject: str, schema: str
    ) -> None:
        assert api.post_version(subject, schema).refusal == (422, 42201)
        assert subject not in api.get("/subjects")

    def test_an_empty_schema_is_invalid_or_not(self, api: RegistryApi, subject: str) -> None:
        refused = api.post_version(subject, "").refusal == (422, 42201)
        assert refused == api.kind.refuses_empty_schema

    def test_an_unknown_type_of_schema_is_refused(self, api: RegistryApi, subject: str) -> None:
        refused = api.post_version(subject, ONE, schemaType="WRONG")
        assert refused.refusal == api.kind.unknown_type


class DeletesContract:
    """A soft delete hides; a permanent one, after it, forgets."""

    def test_a_deleted_version_is_hidden_and_its_id_still_known(
        self, api: RegistryApi, subject: str
    ) -> None:
        ids = [api.register(subject, schema) for schema in (ONE, OTHER)]
        path = f"/subjects/{subject}/versions/1"
        assert api.delete(path) == Answer(200, 1)
        assert api.ask("GET", path).refusal == (404, 40402)
        assert api.get(f"{path}?deleted=true")["id"] == ids[0]
        assert api.versions(subject) == [2]
        assert api.versions(subject, "?deleted=true") == [1, 2]
        assert json.loads(api.get(f"/schemas/ids/{ids[0]}")["schema"]) == json.loads(ONE)

    def test_a_deleted_subject_is_hidden(self, api: RegistryApi, subject: str) -> None:
        schema_id = api.register(subject, ONE)
        assert api.delete(f"/subjects/{subject}") == Answer(200, [1])
        assert subject not in api.get("/subjects")
        assert subject in api.get("/subjects?deleted=true")
        assert api.ask("GET", f"/subjects/{subject}/versions").refusal == (404, 40401)
        assert api.versions(subject, "?deleted=true") == [1]
        assert api.look_up(subject, ONE).status == 404
        assert api.look_up(subject, ONE, "?deleted=true").body["id"] == schema_id

    def test_what_was_deleted_and_comes_back_has_its_old_id_and_the_next_number(
        self, api: RegistryApi, subject: str
    ) -> None:
        schema_id = api.register(subject, ONE)
        api.delete(f"/subjects/{subject}")
        assert api.register(subject, ONE) == schema_id
        assert api.versions(subject) == [2]
        assert api.get(f"/subjects/{subject}/versions/latest")["version"] == 2

    def test_a_permanent_delete_comes_after_a_soft_one(
        self, api: RegistryApi, subject: str
    ) -> None:
        early = api.kind.early_delete_status
        for schema in (ONE, OTHER):
            api.register(subject, schema)
        version, whole = f"/subjects/{subject}/versions/1", f"/subjects/{subject}"
        assert api.delete(f"{version}?permanent=true").refusal == (early, 40407)
        assert api.delete(f"{whole}?permanent=true").refusal == (early, 40405)
        assert api.delete(version).status == 200
        assert api.delete(version).refusal == (early, 40406)
        assert api.delete(f"{version}?permanent=true") == Answer(200, 1)
        assert api.versions(subject, "?deleted=true") == [2]

    def test_deleting_a_deleted_subject_is_40404(self, api: RegistryApi, subject: str) -> None:
        api.register(subject, ONE)
        api.delete(f"/subjects/{subject}")
        assert api.delete(f"/subjects/{subject}").refusal == (404, 40404)

    def test_what_is_deleted_for_good_is_gone_and_may_come_back(
        self, api: RegistryApi, subject: str
    ) -> None:
        api.register(subject, ONE)
        assert api.delete(f"/subjects/{subject}").status == 200
        assert api.delete(f"/subjects/{subject}?permanent=true") == Answer(200, [1])
        assert subject not in api.get("/subjects?deleted=true")
        gone = api.ask("GET", f"/subjects/{subject}/versions?deleted=true")
        assert gone.refusal == (404, 40401)
        schema_id = api.register(subject, OTHER)
        assert api.look_up(subject, OTHER).body["id"] == schema_id

    def test_a_deleted_version_no_longer_counts_for_compatibility(
        self, api: RegistryApi, subject: str
    ) -> None:
        api.register(subject, ONE)
        api.register(subject, OTHER)
        api.set_level(subject, "FULL_TRANSITIVE")
        wanted = record(B0)  # lacks `a`, which only readers of the deleted versions need
        assert api.post_version(subject, wanted).status == 409
        api.delete(f"/subjects/{subject}")
        api.set_level(subject, "FULL_TRANSITIVE")
        assert api.post_version(subject, wanted).status == 200


def _wanted(*, allowed: bool) -> Mapping[str, Any]:
    return {"asked": allowed, "told": 200 if allowed else 409}
