"""The file of the limits: what may be wrong with it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec import structs

from reviewstream.adapters.sqlite.sqlite_limits import SqliteLimits
from reviewstream.core.labelling.limits.operations import Abort, LimitKey, Reserve
from reviewstream.errors import ConfigError, TransientError

TAKE, TERMS = Reserve(tokens=1, micro_usd=5), LimitKey(model="m", account="a")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3-limits"


@pytest.fixture
def store(file: Path) -> Iterator[SqliteLimits]:
    with closing(SqliteLimits(file, timeout=0.2)) as opened:
        yield opened


@pytest.mark.parametrize("column", ["pace", "account", "reserved", "ended"])
@pytest.mark.parametrize("state", ["{", "'x'", '{"at": "soon", "run": 1}', "1.5", -5])
def test_what_is_no_state_of_ours_is_an_error_that_names_the_file(
    store: SqliteLimits, file: Path, column: str, state: str | int
) -> None:
    store.apply(TAKE, TERMS)
    store.apply(Abort(why="no money"), structs.replace(TERMS, run="r"))
    with closing(sqlite3.connect(file)) as other:
        other.execute("UPDATE limits SET state = ? WHERE kind = ?", (state, column))
        other.commit()
    with pytest.raises(ConfigError, match=r"ledger\.sqlite3-limits: .*: move it away"):
        store.apply(TAKE, TERMS)


def test_a_file_of_an_earlier_version_is_gone_on_with(store: SqliteLimits, file: Path) -> None:
    terms = structs.replace(TERMS, budget_micro_usd=8)
    store.apply(TAKE, terms)
    with closing(sqlite3.connect(file)) as other:
        assert other.execute("SELECT state FROM limits WHERE kind = 'account'").fetchone() == (5,)
        other.execute("DELETE FROM limits WHERE kind = 'reserved'")
        other.commit()
    reply = store.apply(TAKE, terms)
    assert (reply.is_spent, reply.spent, reply.reserved) == (True, 5, 0)
    cheap = store.apply(Reserve(tokens=1, micro_usd=3), terms)
    assert (cheap.spent, cheap.reserved) == (8, 3)


def test_whoever_keeps_the_file_locked_is_waited_for_and_then_named(
    store: SqliteLimits, file: Path
) -> None:
    store.apply(TAKE, TERMS)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(TransientError, match="other processes kept it locked"):
            store.apply(TAKE, TERMS)
    assert store.apply(TAKE, TERMS).spent == 10
