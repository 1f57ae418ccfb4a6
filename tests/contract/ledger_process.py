"""What a process of its own does with a ledger: `python -m tests.contract.ledger_process`.

Its arguments: what to do, the settings of the ledger as JSON, a number.
"""

import random
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count

from reviewstream.app import open_archive
from reviewstream.core.labelling.ports import LedgerArchive
from reviewstream.settings import LedgerSettings
from tests.contract.ledger_entries import entry_of, key_of

AT_ONCE = 7  # entries in one call of `record`


def record(ledger: LedgerArchive, number: int) -> Iterator[int]:
    """Record for ever, beginning with `number`; say which are kept."""
    for first in count(number, AT_ONCE):
        numbers = range(first, first + AT_ONCE)
        ledger.record({key_of(each): entry_of(each) for each in numbers})
        yield from numbers


def buy(ledger: LedgerArchive, number: int) -> Iterator[int]:
    """Buy the labels 0 to `number`, as the labeller does; say which were for us to buy."""
    waiting = random.sample(range(number), number)
    while waiting:
        key = key_of(each := waiting.pop(0))
        if not ledger.claim([key]):
            waiting.append(each)
            continue
        if not ledger.find([key]):
            time.sleep(0.001)  # a model that takes its time
            ledger.record({key: entry_of(each)})
            yield each
        ledger.release([key])


def hold(ledger: LedgerArchive, number: int) -> Iterator[int]:
    """Claim one label and keep it."""
    assert ledger.claim([key_of(number)])
    yield number
    sys.stdin.read()


if __name__ == "__main__":
    role, settings, number = sys.argv[1:]
    read = LedgerSettings.model_validate_json(settings)
    with closing(open_archive(read)) as opened:
        for done in {"record": record, "buy": buy, "hold": hold}[role](opened, int(number)):
            sys.stdout.write(f"{done}\n")
            sys.stdout.flush()
