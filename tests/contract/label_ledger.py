"""What every `LabelLedger` and `LedgerArchive` must do."""

import json
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reviewstream.core.labelling.ledger.maintenance import (
    Selection,
    export,
    holdings,
    prune,
    restore,
)
from reviewstream.core.labelling.ports import LedgerArchive, LedgerEntry, LedgerKey
from reviewstream.core.records.reviews import Sentiment
from reviewstream.settings import LedgerSettings
from reviewstream.testing import MemoryLedger
from tests.contract.ledger_entries import entries, entry_of, key_of, number_of

ROOT = Path(__file__).parents[2]
OpenAgain = Callable[[], LedgerArchive]

# One ledger for all examples, which empty it, and one test for all ledgers.
SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
all_keys = st.builds(
    LedgerKey,
    model=names,
    prompt_version=st.integers(1, 10_000),
    text_sha256=st.binary(min_size=32, max_size=32),
)
all_entries = st.builds(
    LedgerEntry,
    sentiment=st.sampled_from(Sentiment),
    confidence=st.none() | st.floats(0, 1),
    model=names,
    prompt_tokens=st.integers(0, 2**31),
    completion_tokens=st.integers(0, 2**31),
    cost_micro_usd=st.integers(0, 2**62),
    request_id=st.none() | names,
    labelled_at=st.datetimes(timezones=st.just(UTC)),
)


class LabelLedgerContract:
    """Subclass it and provide two fixtures: `ledger`, and `again`, which opens the same anew."""

    def test_what_was_recorded_is_found_and_nothing_else(self, ledger: LedgerArchive) -> None:
        assert ledger.find([key_of(1)]) == {}
        ledger.record(entries(1, 2))
        assert ledger.find([key_of(2), key_of(3), key_of(1)]) == entries(1, 2)
        assert ledger.find([]) == {}

    def test_nothing_recorded_is_nothing_kept(self, ledger: LedgerArchive) -> None:
        ledger.record({})
        assert list(ledger.entries()) == []
        assert ledger.forget([]) == 0

    @given(st.dictionaries(all_keys, all_entries, max_size=6))
    @settings(max_examples=30, suppress_health_check=SHARED)
    def test_every_entry_comes_back_as_it_was(
        self, ledger: LedgerArchive, some: dict[LedgerKey, LedgerEntry]
    ) -> None:
        ledger.forget([key for key, _ in ledger.entries()])
        ledger.record(some)
        assert ledger.find(some.keys()) == some
        assert dict(ledger.entries()) == some
        assert ledger.forget(some.keys()) == len(some)
        assert ledger.find(some.keys()) == {}

    @pytest.mark.parametrize(
        "other",
        [
            key_of(1, model="M"),
            key_of(1, model="m\0"),
            key_of(1, model="m "),
            key_of(1, prompt_version=2),
            key_of(2),
        ],
        ids=["capitals", "nul", "blank", "prompt", "text"],
    )
    def test_another_model_prompt_or_text_is_another_label(
        self, ledger: LedgerArchive, other: LedgerKey
    ) -> None:
        ledger.record(entries(1))
        assert ledger.find([other]) == {}
        ledger.record({other: entry_of(9)})
        assert ledger.find([key_of(1), other]) == {**entries(1), other: entry_of(9)}

    def test_a_label_that_is_known_stays_as_it_is(self, ledger: LedgerArchive) -> None:
        ledger.record(entries(1))
        ledger.record({key_of(1): entry_of(2), key_of(3): entry_of(3)})
        assert ledger.find([key_of(1), key_of(3)]) == entries(1, 3)

    def test_many_are_recorded_and_found_at_once(self, ledger: LedgerArchive) -> None:
        many = entries(*range(5_000))
        ledger.record(many)
        assert ledger.find(many.keys()) == many
        assert dict(ledger.entries()) == many

    def test_every_entry_is_told_once_though_more_come_meanwhile(
        self, ledger: LedgerArchive
    ) -> None:
        before = entries(*range(3_000))
        ledger.record(before)
        seen: list[LedgerKey] = []
        for number, (key, _) in enumerate(ledger.entries()):
            if number % 500 == 0:
                ledger.record(entries(*range(10_000 + number, 10_100 + number)))
            seen.append(key)
        assert len(seen) == len(set(seen))
        assert set(seen) >= before.keys()

    def test_what_was_recorded_is_there_when_it_is_opened_again(
        self, ledger: LedgerArchive, again: OpenAgain
    ) -> None:
        ledger.record(entries(1, 2))
        ledger.close()
        ledger.close()  # twice is fine
        assert again().find([key_of(1)]) == entries(1)
        assert ledger.find([key_of(2)]) == entries(2)  # and it can be used again itself

    def test_a_label_is_for_one_to_buy_until_it_is_given_back(
        self, ledger: LedgerArchive, again: OpenAgain
    ) -> None:
        other = again()
        assert ledger.claim([key_of(1), key_of(2)]) == {key_of(1), key_of(2)}
        assert ledger.claim([key_of(1)]) == set()
        assert other.claim([key_of(1), key_of(3)]) == {key_of(3)}
        ledger.release([key_of(1), key_of(9)])
        assert other.claim([key_of(1), key_of(2)]) == {key_of(1)}

    def test_claims_are_separate_as_labels_are(self, ledger: LedgerArchive) -> None:
        assert ledger.claim([key_of(1)])
        for other in (key_of(1, model="n"), key_of(1, prompt_version=2), key_of(2)):
            assert ledger.claim([other]) == {other}

    def test_a_proof_that_labels_can_be_written_changes_nothing(
        self, ledger: LedgerArchive, again: OpenAgain
    ) -> None:
        ledger.prove()  # a new one, too
        assert list(ledger.entries()) == []
        ledger.record(entries(1, 2))
        assert ledger.claim([key_of(3)])
        other = again()
        for each in (ledger, ledger, other):
            each.prove()
        assert dict(other.entries()) == entries(1, 2)
        assert other.claim([key_of(3), key_of(4)]) == {key_of(4)}
        ledger.close()
        ledger.prove()
        assert dict(ledger.entries()) == entries(1, 2)

    def test_one_of_many_threads_gets_a_claim(self, ledger: LedgerArchive) -> None:
        keys = list(entries(*range(50)))
        mine: list[LedgerKey] = []

        def claim() -> None:
            for key in random.sample(keys, len(keys)):
                mine.extend(ledger.claim([key]))

        run_together(claim, 4)
        assert Counter(mine) == Counter(keys)

    def test_threads_share_a_ledger(self, ledger: LedgerArchive) -> None:
        numbers = iter(range(400))

        def record() -> None:
            for number in numbers:
                ledger.record(entries(number))
                assert ledger.find([key_of(number)]) == entries(number)

        run_together(record, 4)
        assert dict(ledger.entries()) == entries(*range(400))

    def test_what_is_forgotten_is_counted_once(self, ledger: LedgerArchive) -> None:
        ledger.record(entries(1, 2, 3))
        assert ledger.forget([key_of(1), key_of(2), key_of(2), key_of(9)]) == 2
        assert dict(ledger.entries()) == entries(3)

    def test_it_is_pruned_by_age_by_model_and_by_prompt_version(
        self, ledger: LedgerArchive
    ) -> None:
        old, new = entry_of(0), entry_of(2_000)
        keys = [key_of(1), key_of(2), key_of(1, model="n"), key_of(1, prompt_version=2)]
        ledger.record(dict(zip(keys, [old, new, old, new], strict=True)))
        assert prune(ledger, Selection(before=new.labelled_at, model="n")) == 1
        assert prune(ledger, Selection(before=new.labelled_at)) == 1
        assert prune(ledger, Selection(prompt_version=2)) == 1
        assert dict(ledger.entries()) == {key_of(2): new}
        assert prune(ledger, Selection()) == 1

    def test_an_export_fills_another_ledger(self, ledger: LedgerArchive) -> None:
        ledger.record(entries(*range(1_200)))
        lines = list(export(ledger))
        other = MemoryLedger()
        assert restore(other, lines, "copy.jsonl") == 1_200
        assert other.labels == entries(*range(1_200))
        ledger.forget(other.labels.keys())
        assert restore(ledger, lines, "copy.jsonl") == 1_200
        assert dict(ledger.entries()) == other.labels

    def test_it_adds_up(self, ledger: LedgerArchive) -> None:
        ledger.record({**entries(1, 2), key_of(3, model="a"): entry_of(3)})
        first, second = holdings(ledger)
        assert (first.model, first.labels, first.cost_micro_usd) == ("a", 1, 3 << 33)
        assert (second.model, second.labels, second.cost_micro_usd) == ("m", 2, 3 << 33)
        assert (second.prompt_tokens, second.completion_tokens) == (203, 3)
        assert (second.oldest, second.newest) == (entry_of(1).labelled_at, entry_of(2).labelled_at)


class SharedLedgerContract(LabelLedgerContract):
    """For a ledger that other processes use too: one more fixture, `shared`, its settings."""

    def test_processes_that_write_at_once_lose_nothing(
        self, ledger: LedgerArchive, shared: LedgerSettings
    ) -> None:
        starts = [0, 0, 1, 100_000]  # the first three write the same, each in its own grouping
        with several(shared, "record", starts) as processes:
            kept = {number for each in processes for number in lines_of(each, 700)}
        assert ledger.find([key_of(number) for number in kept]) == entries(*kept)
        assert all(found == entry_of(number_of(found)) for _, found in ledger.entries())

    @pytest.mark.parametrize("seed", range(3))
    def test_a_writer_killed_at_any_moment_loses_nothing_that_was_kept_and_breaks_nothing(
        self, ledger: LedgerArchive, shared: LedgerSettings, seed: int
    ) -> None:
        kept: set[int] = set()
        for round_ in range(2):
            start = round_ * 1_000_000
            with several(shared, "record", [start, start + 500_000]) as processes:
                rounds = random.Random(seed).randrange(1, 400)  # noqa: S311 - no secret
                for process in processes:
                    kept.update(lines_of(process, rounds))
                for process in processes:
                    process.kill()
                    kept.update(map(int, whole_lines(process)))
        assert ledger.find([key_of(number) for number in kept]) == entries(*kept)
        assert all(found == entry_of(number_of(found)) for _, found in ledger.entries())
        ledger.record(entries(7_000_000))  # and it takes more
        assert ledger.find([key_of(7_000_000)])

    def test_of_many_processes_one_alone_buys_a_label(
        self, ledger: LedgerArchive, shared: LedgerSettings
    ) -> None:
        with several(shared, "buy", [100] * 3) as processes:
            outputs = [process.communicate(timeout=120)[0] for process in processes]
        assert [process.returncode for process in processes] == [0] * 3
        bought = Counter(int(line) for output in outputs for line in output.split())
        assert bought == Counter(range(100))
        assert dict(ledger.entries()) == entries(*range(100))

    def test_what_a_killed_process_was_buying_can_soon_be_bought(
        self, ledger: LedgerArchive, shared: LedgerSettings
    ) -> None:
        with several(shared, "hold", [5]) as (process,):
            lines_of(process, 1)
            assert ledger.claim([key_of(5)]) == set()
            process.kill()
            process.wait()
        deadline = datetime.now(UTC) + timedelta(seconds=shared.lease + 30)
        while not ledger.claim([key_of(5)]):
            assert datetime.now(UTC) < deadline, "still claimed by a process that is gone"


def run_together(task: Callable[[], None], times: int) -> None:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            task()
        except BaseException as err:  # noqa: BLE001 - it is told by the thread that waits
            failures.append(err)

    threads = [threading.Thread(target=run) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@contextmanager
def several(
    shared: LedgerSettings, role: str, numbers: list[int]
) -> Iterator[list["subprocess.Popen[str]"]]:
    """Run processes of `ledger_process` beside the test; they are killed at the end."""
    told = shared.model_dump(mode="json")
    if shared.url is not None:
        told["url"] = shared.url.get_secret_value()
    command = [sys.executable, "-m", f"{__package__}.ledger_process", role, json.dumps(told)]
    processes = [
        subprocess.Popen(
            [*command, str(number)],
            cwd=ROOT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for number in numbers
    ]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def lines_of(process: "subprocess.Popen[str]", count: int) -> list[int]:
    """Wait for the next lines."""
    assert process.stdout is not None
    found = [process.stdout.readline() for _ in range(count)]
    assert found[-1].endswith("\n"), f"it ended with {process.wait()}"
    return [int(line) for line in found]


def whole_lines(process: "subprocess.Popen[str]") -> list[str]:
    """Return what a killed process had still said; its last line may be cut."""
    assert process.stdout is not None
    rest = process.stdout.read()
    return rest[: rest.rfind("\n") + 1].split()
