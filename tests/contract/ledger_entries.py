"""Numbered entries of a ledger, in a module that is quickly imported."""

import hashlib
from datetime import UTC, datetime, timedelta

from reviewstream.core.labelling.ports import LedgerEntry, LedgerKey
from reviewstream.core.records.reviews import Sentiment

MOMENT = datetime(2026, 11, 22, 12, 30, 15, 123_000, tzinfo=UTC)


def key_of(number: int, *, model: str = "m", prompt_version: int = 1) -> LedgerKey:
    digest = hashlib.sha256(str(number).encode()).digest()
    return LedgerKey(model=model, prompt_version=prompt_version, text_sha256=digest)


def entry_of(number: int) -> LedgerEntry:
    """Return an entry that is this number's and no other's."""
    return LedgerEntry(
        sentiment=list(Sentiment)[number % 3],
        confidence=None if number % 5 == 0 else 1 / (number + 1),
        model=f"m-{number}",
        prompt_tokens=100 + number,
        completion_tokens=number,
        cost_micro_usd=number << 33,
        request_id=None if number % 4 == 0 else f"req_{number}",
        labelled_at=MOMENT + timedelta(milliseconds=number),
    )


def entries(*numbers: int) -> dict[LedgerKey, LedgerEntry]:
    return {key_of(number): entry_of(number) for number in numbers}


def number_of(entry: LedgerEntry) -> int:
    return entry.completion_tokens
