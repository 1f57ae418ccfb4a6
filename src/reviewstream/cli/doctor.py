"""`reviewstream doctor`: lists what is missing on this machine, and the commands that fix it.

It also lists secrets that the settings would send unencrypted. That is only a warning: in a private
network, or with a placeholder key, it may be intended.
"""

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import click
from rich.text import Text

from reviewstream.cli.connections import failures
from reviewstream.cli.context import DONE, FINDINGS, Context, verb
from reviewstream.cli.endpoint_check import check_endpoint
from reviewstream.core.transport.hosts import is_loopback
from reviewstream.errors import ConfigError, ReviewStreamError
from reviewstream.extras import EXTRAS, install_command
from reviewstream.settings import secret_value

if TYPE_CHECKING:
    from reviewstream.settings import KafkaSettings, Settings

NEEDS: Final = "reviewstream_testbed"  # it has the checks
SENT: Final = (  # secrets, and the address that each is sent to
    ("openai", "api_key", "base_url"),
    ("openai", "api_key_command", "base_url"),
    ("openai", "extra_headers", "base_url"),
    ("registry", "password", "url"),
    ("registry", "token", "url"),
    ("connect", "password", "url"),
    ("elasticsearch", "password", "url"),
    ("elasticsearch", "api_key", "url"),
    ("kafka", "oauth_client_secret", "oauth_token_url"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The result of one check; `fix` is empty if there is nothing to do.

    Attributes:
        warns: It passed, but may not be intended.
    """

    name: str
    good: bool
    detail: str
    fix: str = ""
    warns: bool = False

    @property
    def state(self) -> str:
        """One word: `ok`, `missing`, `beware` or, for a default address, `away`."""
        if self.warns:
            return "beware"
        if self.good and self.fix:
            return "away"
        return "ok" if self.good else "missing"


@click.command("doctor")
@click.option(
    "--model", "asks", is_flag=True, help="Ask the model's endpoint what it can, instead."
)
@verb
def command(context: Context, *, asks: bool) -> None:
    """Say what is missing on this machine, and the command that fixes it.

    With --model: make a few small requests to the endpoint that the settings name, after saying
    what they cost at most. It ends with the settings that suit the endpoint, on standard output.
    Exit code 0: reviews can be labelled with the settings as they are; 1: not; 2: the settings
    cannot be used.
    """
    if asks:
        check_endpoint(context)
    checks = [*_extras(), *_machine(), *_settings(context)]
    for check in checks:
        mark = _mark(check)
        fix = f"\n          fix: {check.fix}" if check.fix else ""
        line = f" {check.name}: {check.detail}{fix}"
        context.console.print(mark, line, sep="", markup=False, soft_wrap=True)
    good = all(check.good for check in checks)
    if context.json:
        context.emit(
            {"good": good, "checks": [{"state": check.state, **asdict(check)} for check in checks]}
        )
    sys.exit(DONE if good else FINDINGS)


STYLES: Final = {"beware": "yellow", "away": "dim", "ok": "green", "missing": "red"}


def _mark(check: Check) -> Text:
    return Text(f"{check.state:<7}", STYLES[check.state])


def _extras() -> Iterator[Check]:
    """Check for the packages of each extra, without importing them."""
    for extra in sorted(set(EXTRAS.values())):
        packages = [name for name, needed_by in EXTRAS.items() if needed_by == extra]
        absent = [name for name in packages if find_spec(name) is None]
        yield Check(
            name=f"extra [{extra}]",
            good=not absent,
            detail=f"{', '.join(absent)} not installed" if absent else "installed",
            fix=install_command(extra) if absent else "",
        )


def _machine() -> Iterator[Check]:
    """Check Java, memory, disk and downloads."""
    if find_spec(NEEDS) is None:
        return
    from reviewstream_testbed.installation.checks import check_all
    from reviewstream_testbed.testbed_error import TestbedError

    try:
        for found in check_all():
            yield Check(name=found.name, good=found.good, detail=found.detail, fix=found.fix)
    except TestbedError as err:  # a folder cannot be determined
        yield Check(name="folders", good=False, detail=str(err), fix="set the variable")


def _settings(context: Context) -> Iterator[Check]:
    """Check the settings, the secrets that they expose, and the servers."""
    try:
        settings = context.settings
    except ConfigError as err:
        yield Check(name="settings", good=False, detail=str(err), fix="correct the setting")
        return
    for secret, url, cure in _overheard(settings):
        detail = f"sent to {url}, everyone on the way can read it: {cure} keeps it secret"
        yield Check(name=secret, good=True, warns=True, detail=detail)
    yield from _ledger(settings)
    yield from _servers(settings)


def _servers(settings: "Settings") -> Iterator[Check]:
    """Connect to each server. A default address may be unavailable: the demo starts its servers."""
    for (setting, host, port), failure in failures(settings):
        section, _, name = setting.partition(".")
        named = {name, "host"} if section == "source" else {name}
        is_set = not named.isdisjoint(getattr(settings, section).model_fields_set)
        yield Check(
            name=setting,
            good=not (failure and is_set),
            detail=f"no connection to {host}:{port}: {failure}"
            if failure
            else f"{host}:{port} takes connections",
            fix=f"start the server, or correct {setting}" if failure else "",
        )


def _ledger(settings: "Settings") -> Iterator[Check]:
    """Check whether the Redis of ledger and limits, if set, evicts keys."""
    if settings.ledger.url is None or find_spec("redis") is None:
        return
    from reviewstream.app import eviction

    try:
        complaint = eviction(settings.ledger)
    except ReviewStreamError as err:
        complaint = str(err)
    said, _, fix = complaint.partition(": `")
    yield Check(
        name="ledger.url",
        good=not complaint,
        detail=said or "keeps what it is told",
        fix=fix.rstrip("`"),
    )


def _overheard(settings: "Settings") -> Iterator[tuple[str, str, str]]:
    """Yield each secret that is sent unencrypted to another machine, its address, and the fix."""
    for section, secret, address in SENT:
        given = getattr(settings, section)
        for url in (getattr(given, address) or "").split(","):
            if getattr(given, secret) and _is_open(url):
                yield f"{section}.{secret}", _shown(url), "https://"
    yield from _overheard_by_kafka(settings.kafka)
    ledger = urlsplit(secret_value(settings.ledger.url) or "")
    if ledger.password and ledger.scheme == "redis" and not is_loopback(ledger.hostname or ""):
        yield "ledger.url", ledger.netloc.rpartition("@")[2], "rediss://"


def _overheard_by_kafka(kafka: "KafkaSettings") -> Iterator[tuple[str, str, str]]:
    """Yield the SASL password if it is sent unencrypted; SCRAM does not send it."""
    is_open = kafka.security_protocol.upper() == "SASL_PLAINTEXT"
    if kafka.sasl_password is None or not is_open or "SCRAM" in (kafka.sasl_mechanism or ""):
        return
    for server in kafka.bootstrap_servers.split(","):
        if not is_loopback(urlsplit(f"//{server.strip()}").hostname or ""):
            cure = "kafka.security_protocol=SASL_SSL"
            yield "kafka.sasl_password", server.strip(), cure


def _shown(url: str) -> str:
    """Return a URL without its query, which may contain a key."""
    return urlsplit(url)._replace(query="", fragment="").geturl()


def _is_open(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")
