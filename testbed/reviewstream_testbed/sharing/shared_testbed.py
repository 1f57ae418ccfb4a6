"""Shares one testbed among processes: its owner serves the others over a Unix socket."""

import os
import pickle
import secrets
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, answer_challenge, deliver_challenge
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingUnixStreamServer
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from reviewstream_testbed.processes.children import Reaper
from reviewstream_testbed.testbed_error import TestbedError

if TYPE_CHECKING:  # a run that uses no server does not import the servers
    from reviewstream_testbed.testbed import Testbed

BED = ""  # stands for the testbed itself in place of a part's name
_LONGEST = 100  # characters of a Unix socket's path that every system supports
_POLL = 0.05  # seconds until a closed owner stops listening, at most


class RpcRequest(NamedTuple):
    """A request to the owner.

    Attributes:
        part: Name of a part, or `BED`.
        member: Name of an attribute, or of a method if there are `arguments`.
    """

    part: str
    member: str
    arguments: Sequence[Any] | None = None
    options: Mapping[str, Any] = {}


class RpcReply(NamedTuple):
    """The owner's response: a value, or the exception that the request raised."""

    value: Any = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedAddress:
    """The address and secret key of an owner."""

    path: str
    key: bytes

    def ask(self, request: RpcRequest) -> Any:  # noqa: ANN401 - of any member
        """Return the value that the owner answers.

        Raises:
            TestbedError: The owner has ended, or the member raised it.
            Exception: The member raised it.
        """
        try:
            with Client(self.path, "AF_UNIX", authkey=self.key) as connection:
                connection.send(request)
                reply: RpcReply = connection.recv()
        except (OSError, EOFError, AuthenticationError) as error:
            raise TestbedError(
                "the process that owns the servers is gone, and they with it"
            ) from error
        if reply.error is not None:
            raise reply.error
        return reply.value


class SharedTestbed:
    """The owner of a shared testbed, which it creates on the first request.

    Args:
        make: Creates the testbed; called once.
        prefix: Prefix of all names created on its servers.
    """

    def __init__(self, make: "Callable[[], Testbed]", *, prefix: str) -> None:
        self.prefix = prefix
        self._make = make
        self._making = Lock()
        self._bed: Testbed | None = None
        self._closed = False
        self._folder = _private_folder()
        self._reaper = Reaper(self._folder)
        self.address = SharedAddress(path=str(self._folder / "owner"), key=secrets.token_bytes(32))
        self._server = _Listener(self)
        Thread(target=self._server.serve_forever, args=[_POLL], daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def bed(self) -> "Testbed":
        """The testbed.

        Raises:
            TestbedError: The testbed is closed or unavailable.
        """
        with self._making:
            if self._closed:
                raise TestbedError("the testbed is closed")
            if self._bed is None:
                self._bed = self._make().__enter__()
            return self._bed

    def answer(self, request: RpcRequest) -> RpcReply:
        """Look up a member, and call it if the request has arguments."""
        try:
            bed = self.bed
            holder = bed.part(request.part) if request.part else bed
            value = getattr(holder, request.member)
            if request.arguments is not None:
                value = value(*request.arguments, **request.options)
            return _sendable(RpcReply(value=value))
        except Exception as error:  # noqa: BLE001 - raised again in the process that asked
            return _sendable(RpcReply(error=error))

    def close(self) -> None:
        """Stop all servers; a second call does nothing.

        Raises:
            TestbedError: Objects created on an external server could not be removed.
        """
        with self._making:
            was_closed, self._closed = self._closed, True
        if was_closed:
            return
        self._server.shutdown()
        self._server.server_close()
        self._reaper.close()
        if self._bed is not None:
            self._bed.close()


class _Listener(ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False  # a start in progress ends with the testbed

    def __init__(self, owner: SharedTestbed) -> None:
        self.owner = owner
        super().__init__(owner.address.path, _Handler)


class _Handler(BaseRequestHandler):
    server: _Listener

    def handle(self) -> None:
        """Answer one request if the peer has the key; ignore other peers and disconnects."""
        owner = self.server.owner
        with (
            suppress(OSError, EOFError, AuthenticationError),
            Connection(os.dup(self.request.fileno())) as connection,
        ):
            deliver_challenge(connection, owner.address.key)
            answer_challenge(connection, owner.address.key)
            connection.send(owner.answer(connection.recv()))


def _sendable(reply: RpcReply) -> RpcReply:
    """Return the reply, or an error with its repr if it cannot be pickled."""
    try:
        pickle.loads(pickle.dumps(reply))  # noqa: S301 - pickled by this process
    except Exception:  # noqa: BLE001 - pickling raises errors of many types
        said = repr(reply.error or reply.value)
        return RpcReply(
            error=TestbedError(f"it stays in the process that owns the servers: {said}")
        )
    return reply


def _private_folder() -> Path:
    """Create a private folder with a path that is short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="reviewstream-testbed-"))
    if len(str(folder)) + len("/owner") <= _LONGEST:
        return folder
    shutil.rmtree(folder)
    return Path(tempfile.mkdtemp(prefix="reviewstream-testbed-", dir="/tmp"))
