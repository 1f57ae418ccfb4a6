"""Proxies for a testbed that another process owns; they have the types of the real objects."""

from collections.abc import Callable
from functools import wraps
from inspect import getattr_static, isfunction
from typing import TYPE_CHECKING, Any, Self

from reviewstream_testbed.sharing.shared_testbed import BED, RpcRequest, SharedAddress
from reviewstream_testbed.testbed import P, Testbed

if TYPE_CHECKING:
    from reviewstream_testbed.security.credentials import Security

Ask = Callable[[RpcRequest], Any]


class BorrowedTestbed(Testbed):
    """A proxy for a testbed in another process, which starts and stops the parts.

    Args:
        address: Connection to the owner.
        prefix: Prefix of the names that this process creates.
        tenant: Tenant of the mock endpoint: requests in one tenant share their counts and faults.
    """

    def __init__(self, address: SharedAddress, *, prefix: str, tenant: str = "") -> None:
        super().__init__((), prefix=prefix)
        self._ask = address.ask
        self._tenant = tenant

    def __enter__(self) -> Self:
        self.folder = self._ask(RpcRequest(BED, "folder"))
        return self

    @property
    def security(self) -> "Security":
        """Credentials of the servers, read from the owner; a new object would have other keys."""
        found: Security = self._ask(RpcRequest(BED, "security"))
        return found

    def addresses(self) -> dict[str, str]:
        """Return the address of each ready part, including parts that other processes started."""
        found: dict[str, str] = self._ask(RpcRequest(BED, "addresses", ()))
        return found

    def start_times(self) -> dict[str, float]:
        """Return the seconds that each part took to get ready."""
        found: dict[str, float] = self._ask(RpcRequest(BED, "start_times", ()))
        return found

    def start(self, *names: str) -> None:
        """Ask the owner to start parts together, and wait until all are ready."""
        self.start_soon(*names)
        for name in names:
            self.part(name)

    def start_soon(self, *names: str) -> None:
        """Ask the owner to start parts together, without waiting."""
        self._ask(RpcRequest(BED, "start_soon", names))

    def close(self) -> None:
        """Do nothing: other processes may still use the testbed, and its owner closes it."""

    def _made(self, kind: type[P]) -> P:
        real: type[P] = self._ask(RpcRequest(kind.name, "__class__"))
        made = borrowed(real, kind.name, self._ask)
        if self._tenant:
            vars(made)["tenant"] = self._tenant
        return made

    def _part(self, kind: type[P]) -> P:
        made = self._running.get(kind.name)
        if not isinstance(made, kind):
            made = self._running[kind.name] = self._made(kind)
        return made


def borrowed(kind: type[P], name: str, ask: Ask) -> P:
    """Return a proxy of this class that forwards its public members to the part `name`."""
    members = {
        member: _forwarded(getattr_static(kind, member), name, member, ask)
        for member in dir(kind)
        if not member.startswith("_") and member not in kind.here
    }

    def missing(_: object, member: str) -> Any:  # noqa: ANN401 - of any instance attribute
        if member.startswith("_"):
            raise AttributeError(f"{name}: {member} stays in the process that owns the servers")
        return ask(RpcRequest(name, member))

    shape: type[P] = type(kind.__name__, (kind,), {**members, "__getattr__": missing})
    return object.__new__(shape)


def _forwarded(member: object, part: str, name: str, ask: Ask) -> object:
    """Return the member, or a function or property that forwards it to the owner."""
    if isfunction(member):

        @wraps(member)
        def call(_: object, *arguments: object, **options: object) -> Any:  # noqa: ANN401
            return ask(RpcRequest(part, name, arguments, options))

        return call
    if isinstance(member, property):
        return property(lambda _: ask(RpcRequest(part, name)))
    return member  # a class attribute is the same in every process
