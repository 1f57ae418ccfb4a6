"""Looking through a ledger; `tests/contract` does it with every kind of ledger."""

import json

import pytest
from msgspec import structs

from reviewstream.core.labelling.ledger.maintenance import (
    BATCH,
    Selection,
    export,
    holdings,
    prune,
    restore,
)
from reviewstream.errors import PermanentError
from reviewstream.testing import MemoryLedger
from tests.contract.ledger_entries import entries, entry_of, key_of


def filled(count: int) -> MemoryLedger:
    ledger = MemoryLedger()
    ledger.record(entries(*range(count)))
    return ledger


def test_an_empty_ledger_has_nothing() -> None:
    assert holdings(MemoryLedger()) == ()
    assert list(export(MemoryLedger())) == []
    assert restore(MemoryLedger(), [], "copy.jsonl") == 0


def test_an_export_says_what_is_known_of_a_label() -> None:
    (line,) = export(filled(1))
    assert json.loads(line) == {
        "model": "m",
        "prompt_version": 1,
        "text_sha256": key_of(0).text_sha256.hex(),
        "sentiment": "POSITIVE",
        "confidence": None,
        "answered_by": "m-0",
        "prompt_tokens": 100,
        "completion_tokens": 0,
        "cost_micro_usd": 0,
        "request_id": None,
        "labelled_at": "2026-11-22T12:30:15.123000Z",
    }


def test_what_is_known_already_stays_and_blank_lines_are_nothing() -> None:
    lines = [*export(filled(2)), b"", b"\n"]
    ledger = MemoryLedger()
    ledger.record({key_of(0): entry_of(7)})
    assert restore(ledger, lines, "copy.jsonl") == 2
    assert ledger.labels == {key_of(0): entry_of(7), key_of(1): entry_of(1)}


@pytest.mark.parametrize(
    "change",
    [
        {"text_sha256": "xyz"},
        {"text_sha256": "00"},
        {"sentiment": "GOOD"},
        {"labelled_at": "2026-11-22T12:30:15"},
        {"more": 1},
        {"model": None},
        {"prompt_version": 10**30},
        {"prompt_tokens": 1 << 31},
        {"prompt_tokens": -1},
        {"completion_tokens": 10**30},
        {"cost_micro_usd": 1 << 63},
        {"cost_micro_usd": -1},
        {"confidence": 1.5},
        {"labelled_at": "0001-01-01T00:00:00+14:00"},
        {"labelled_at": "9999-12-31T23:59:59-14:00"},
    ],
    ids=str,
)
def test_a_line_of_something_else_is_named(change: dict[str, object]) -> None:
    (line,) = export(filled(1))
    changed = json.dumps({**json.loads(line), **change}).encode()
    with pytest.raises(PermanentError, match=r"^copy\.jsonl, line 2 is not of an exported "):
        restore(MemoryLedger(), [line, changed], "copy.jsonl")


def test_the_largest_numbers_that_records_can_hold_are_taken_over() -> None:
    (line,) = export(filled(1))
    largest = {
        "confidence": 1.0,
        "prompt_version": (1 << 31) - 1,
        "prompt_tokens": (1 << 31) - 1,
        "completion_tokens": (1 << 31) - 1,
        "cost_micro_usd": (1 << 63) - 1,
        "labelled_at": "9999-12-31T23:59:59.999999Z",
    }
    ledger = MemoryLedger()
    assert (
        restore(ledger, [json.dumps({**json.loads(line), **largest}).encode()], "copy.jsonl") == 1
    )
    (again,) = export(ledger)
    assert {name: json.loads(again)[name] for name in largest} == largest


@pytest.mark.parametrize("line", [b"{", b"\xff", b"[]", b"null"])
def test_a_line_that_is_no_entry_is_named(line: bytes) -> None:
    with pytest.raises(PermanentError, match=r"^copy\.jsonl, line 1 is not of an exported "):
        restore(MemoryLedger(), [line], "copy.jsonl")


def test_many_are_pruned_in_batches_and_the_rest_stays() -> None:
    ledger = filled(3 * BATCH)
    moment = entry_of(2 * BATCH + 1).labelled_at
    assert prune(ledger, Selection(before=moment)) == 2 * BATCH + 1
    assert ledger.labels == entries(*range(2 * BATCH + 1, 3 * BATCH))
    assert prune(ledger, Selection(model="other")) == 0


def test_all_labels_of_one_request_are_forgotten_together() -> None:
    known = entries(1, 2, 3)
    first, second, third = known
    ledger = MemoryLedger()
    ledger.record(
        {
            first: structs.replace(known[first], request_id="req_1"),
            second: structs.replace(known[second], request_id="req_1"),
            third: structs.replace(known[third], request_id=None),
        }
    )
    assert prune(ledger, Selection(request_id="req_2")) == 0
    assert prune(ledger, Selection(request_id="req_1")) == 2
    assert [*ledger.labels] == [third]
