"""`python -m reviewstream_testbed up|status|logs|down`: one shared testbed per user."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from rich.console import Console
from rich.live import Live
from rich.table import Table

from reviewstream_testbed.catalog import DEFAULT, SERVICES
from reviewstream_testbed.names import new_prefix
from reviewstream_testbed.providers import EMBEDDED
from reviewstream_testbed.services.service import Service
from reviewstream_testbed.sharing.borrowed_testbed import BorrowedTestbed
from reviewstream_testbed.sharing.shared_testbed import SharedTestbed
from reviewstream_testbed.sharing.state import Record, State
from reviewstream_testbed.sharing.variables import exports, variables
from reviewstream_testbed.testbed import Testbed
from reviewstream_testbed.testbed_error import TestbedError

NOTHING = 1  # exit code of `status` where nothing is up
_POLL = 0.1  # seconds
_FOLLOW = 0.5
_PATIENCE = 60.0  # seconds for a testbed to end
_DOWN = "`python -m reviewstream_testbed down` stops them."

Times = dict[str, float]


def add_to(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands."""
    up = verbs.add_parser("up", help="run servers until Ctrl-C, or in the background")
    up.add_argument(
        "parts", nargs="*", choices=[*SERVICES, []], help=f"default: {' '.join(DEFAULT)}"
    )
    up.add_argument("--detach", action="store_true", help="return when they are ready")
    up.add_argument("--provider", default=EMBEDDED, help="embedded (default), containers, external")
    up.add_argument("--secure", action="store_true", help="servers ask for passwords, over TLS")
    up.add_argument("--json", action="store_true", help="print one JSON object when all are ready")
    up.set_defaults(run=_up)
    status = verbs.add_parser("status", help="what is up, and where")
    status.add_argument("--json", action="store_true", help="print one JSON object")
    status.set_defaults(run=_status)
    logs = verbs.add_parser("logs", help="what a server has printed")
    logs.add_argument("part", choices=[*SERVICES])
    logs.add_argument("--follow", action="store_true", help="print on, until Ctrl-C")
    logs.set_defaults(run=_logs)
    down = verbs.add_parser("down", help="stop what `up` started")
    down.set_defaults(run=_down)


def _up(given: argparse.Namespace) -> int:
    parts = tuple(given.parts) or DEFAULT
    return _in_background(given, parts) if given.detach else _in_foreground(given, parts)


def _in_foreground(given: argparse.Namespace, parts: Sequence[str]) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    prefix = new_prefix()
    state = State()

    def make() -> Testbed:
        return Testbed((), provider=given.provider, prefix=prefix, secure=given.secure)

    try:
        with state.held(), SharedTestbed(make, prefix=prefix) as own:
            state.write(_record(own, given.provider, parts))
            with _progress(parts, own.bed.start_times):
                own.bed.start(*parts)
            state.write_variables(exports(variables(own.bed, parts)))
            _tell(given, own.bed.addresses(), state, "Ctrl-C stops them.")
            signal.pause()
    except KeyboardInterrupt:
        return 0
    return 0


def _in_background(given: argparse.Namespace, parts: Sequence[str]) -> int:
    state = State()
    with state.held():  # raises at once if another testbed is up
        pass
    command = [sys.executable, "-m", "reviewstream_testbed", "up", *parts]
    state.log.unlink(missing_ok=True)
    state.log.touch(mode=0o600)
    command += [f"--provider={given.provider}", *(["--secure"] if given.secure else [])]
    with state.log.open("ab") as log:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        addresses = _await(child, state, parts)
    except BaseException:
        child.terminate()
        child.wait()
        raise
    _tell(given, addresses, state, _DOWN)
    child.returncode = 0  # it outlives this process on purpose: avoid the ResourceWarning
    return 0


def _await(child: subprocess.Popen[bytes], state: State, parts: Sequence[str]) -> dict[str, str]:
    """Return the addresses when all parts are ready."""
    with _progress(parts, lambda: _started(state)):
        while not state.variables.exists():  # the file appears when all parts are ready
            if child.poll() is not None:
                said = state.log.read_text(errors="replace").strip()
                raise TestbedError(said.removeprefix("reviewstream_testbed: ") or "it was killed")
            time.sleep(_POLL)
    return _borrow(state).addresses()


def _started(state: State) -> Times:
    try:
        return _borrow(state).start_times()
    except TestbedError:  # not listening yet
        return {}


def _status(given: argparse.Namespace) -> int:
    state = State()
    record = state.read()
    if not state.is_held():
        word = "killed" if state.forget() else "down"
        said = {"killed": "The testbed was killed; its servers are gone too.", "down": _NONE}
        print(json.dumps({"state": word}) if given.json else said[word])  # noqa: T201
        return NOTHING
    addresses = _borrow(state).addresses()
    wanted = {*record.parts} if record else set()
    found: dict[str, object] = {
        "state": "up" if wanted <= addresses.keys() else "starting",
        "pid": record.pid if record else None,
        "provider": record.provider if record else None,
        "parts": {part: addresses.get(part) for part in [*wanted, *addresses]},
        "variables": str(state.variables) if state.variables.exists() else None,
    }
    if given.json:
        print(json.dumps(found))  # noqa: T201 - a command's output
    else:
        _show({part: addresses.get(part, "starting") for part in sorted({*wanted, *addresses})})
    return 0


def _logs(given: argparse.Namespace) -> int:
    bed = _borrow(State())
    if given.part not in bed.addresses():
        raise TestbedError(f"{given.part} is not up: see `status`")
    sys.stdout.write(seen := bed.part(given.part).logs())
    sys.stdout.flush()
    if given.follow:
        with suppress(TestbedError):  # the testbed has ended and removed its log
            _follow(bed.part(given.part), len(seen))
    return 0


def _follow(part: Service, seen: int) -> None:
    while True:
        time.sleep(_FOLLOW)
        text = part.logs()
        sys.stdout.write(text[seen if seen <= len(text) else 0 :])
        sys.stdout.flush()
        seen = len(text)


def _down(_: argparse.Namespace) -> int:
    state = State()
    record = state.read()
    if not state.is_held() or record is None:
        print("It had been killed already." if state.forget() else _NONE)  # noqa: T201
        return 0
    os.kill(record.pid, signal.SIGTERM)  # it is alive, because it holds the lock
    deadline = time.monotonic() + _PATIENCE
    while state.is_held():
        if time.monotonic() > deadline:
            raise TestbedError(f"process {record.pid} does not end: see {state.log}, or kill it")
        time.sleep(_POLL)
    return 0


_NONE = "No testbed is up."


def _record(owner: SharedTestbed, provider: str, parts: Sequence[str]) -> Record:
    address = owner.address
    return Record(
        pid=os.getpid(),
        path=address.path,
        key=address.key.hex(),
        provider=provider,
        parts=tuple(parts),
    )


def _borrow(state: State) -> BorrowedTestbed:
    record = state.read()
    if record is None or not state.is_held():
        raise TestbedError(f"{_NONE.lower().rstrip('.')}: see `up`")
    return BorrowedTestbed(record.address, prefix=new_prefix())


@contextmanager
def _progress(parts: Sequence[str], times: Callable[[], Times]) -> Iterator[None]:
    """Show on a terminal which parts are ready."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    began = time.monotonic()

    def table() -> Table:
        found = times()
        rows = Table.grid(padding=(0, 2))
        for part in parts:
            rows.add_row(part, f"ready after {found[part]:.1f} s" if part in found else "starting")
        rows.add_row("", f"{time.monotonic() - began:.0f} s")
        return rows

    with Live(get_renderable=table, console=console, transient=True):
        yield


def _tell(given: argparse.Namespace, addresses: dict[str, str], state: State, hint: str) -> None:
    if given.json:
        print(json.dumps(addresses), flush=True)  # noqa: T201 - a command's output
        return
    _show(addresses)
    what = "Addresses, passwords and the authority's file" if given.secure else "The addresses"
    print(f"{what} are in {state.variables}, to be sourced by a shell.")  # noqa: T201
    Console().print(hint)


def _show(addresses: dict[str, str]) -> None:
    table = Table("part", "address")
    for part, address in addresses.items():
        table.add_row(part, address)
    Console().print(table)
