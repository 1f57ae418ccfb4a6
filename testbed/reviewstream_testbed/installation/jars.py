"""Downloads the servers' jars once, with pyspark's copy of Ivy, and verifies each one."""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from xml.etree import ElementTree as ET
from xml.sax.saxutils import quoteattr

from reviewstream_testbed.installation.cache import make_once
from reviewstream_testbed.installation.java_trust import network_options
from reviewstream_testbed.processes.children import CommandError, output_lines
from reviewstream_testbed.testbed_error import TestbedError
from reviewstream_testbed.testbed_extras import install_command

IVY_FILE = Path(__file__).with_name("ivy.xml")
LOCK_FILE = Path(__file__).with_name("jars.sha256")
SIZE = 265  # MB, shown to the user

# The ibiblio resolver with Maven's layout means Maven Central, unless a root is given.
_SETTINGS = """\
<ivysettings>
  <settings defaultResolver="maven"/>
  <timeout-constraints>
    <timeout-constraint name="patient" connectionTimeout="20000" readTimeout="120000"/>
  </timeout-constraints>
  <resolvers>
    <ibiblio name="maven" m2compatible="true" timeoutConstraint="patient"{root}/>
  </resolvers>
</ivysettings>
"""

Track = Callable[[Iterable[str]], None]


def read_lock(text: str) -> dict[str, str]:
    """Return a map from path to SHA-256, read from lines in the format of `sha256sum`."""
    pairs = (line.split(maxsplit=1) for line in text.splitlines())
    return {path: digest for digest, path in pairs}


def write_lock(folder: Path) -> str:
    """Return the lock text for the files in `folder`; `sha256sum -c` reads it too."""
    return "".join(f"{digest}  {path}\n" for path, digest in sorted(_digests(folder).items()))


def _digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _digest(path) for path in files}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(folder: Path, lock: Mapping[str, str]) -> None:
    """Check that `folder` contains the locked files and no others.

    Raises:
        TestbedError: A file is missing, changed or not in the lock; the message names it.
    """
    found = _digests(folder)
    for path in sorted({*lock, *found}):
        if found.get(path) != lock.get(path):
            raise TestbedError(
                f"{path}: SHA-256 is {found.get(path, 'of no file')},"
                f" the lock says {lock.get(path, 'there is no such file')}"
            )


def key() -> str:
    """Return a name derived from the list of downloads."""
    return hashlib.sha256(IVY_FILE.read_bytes() + LOCK_FILE.read_bytes()).hexdigest()[:12]


def fetch(
    cache: Path,
    java: Path,
    track: Track,
    *,
    on_wait: Callable[[], None] = lambda: None,
    environ: Mapping[str, str] = os.environ,
) -> Path:
    """Return the folder of the jars; download and verify them if it is missing.

    After an interrupted download, the next call keeps the files that have arrived.

    Args:
        cache: The testbed's folder in the cache folder.
        java: Home of a Java.
        track: Consumes each file's name twice: when it is found and when it has arrived.
        on_wait: Called if another process is already downloading.
        environ: Variables that name the repository, proxies and certificates.

    Raises:
        TestbedError: The download failed, or a file does not match the lock.
    """

    def make(partial: Path) -> None:
        work = cache / "ivy"
        track(download(partial, work, java, environ))
        try:
            verify(partial, read_lock(LOCK_FILE.read_text()))
        finally:  # if complete, no longer needed; if wrong, not trusted
            shutil.rmtree(work)

    return make_once(jars_folder(cache), make, on_wait=on_wait)


def jars_folder(cache: Path) -> Path:
    """Return the folder in which `fetch` stores the jars."""
    return cache / f"jars-{key()}"


def download(folder: Path, work: Path, java: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """Download the files of `ivy.xml` with Ivy; yield each name when found and when fetched.

    Ivy fetches one file at a time, so one Ivy runs for each configuration.
    """
    work.mkdir(parents=True, exist_ok=True)
    settings = work / "settings.xml"
    repository = maven_repository(environ)
    root = f" root={quoteattr(repository)}" if repository else ""
    settings.write_text(_SETTINGS.format(root=root))
    command: list[str | Path] = [
        java / "bin" / "java",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",  # they exit before full compilation pays off
        *network_options(environ, work),
        "-jar",
        ivy_jar(),
    ]
    command += ["-settings", settings, "-ivy", IVY_FILE]
    command += ["-retrieve", folder / "[conf]" / "[artifact]-[revision](-[classifier]).[ext]"]
    confs = sorted({path.partition("/")[0] for path in read_lock(LOCK_FILE.read_text())})
    commands = [[*command, "-confs", conf, "-cache", work / f"cache-{conf}"] for conf in confs]
    try:
        for line in lines_of_all(commands):
            if news := re.search(r"\tfound \S+#(\S+) in|\[SUCCESSFUL \] \S+!(\S+)", line):
                yield news[1] or news[2]
    except CommandError as error:
        raise TestbedError(_failure(str(error))) from error


def lines_of_all(commands: Sequence[Sequence[str | Path]]) -> Iterator[str]:
    """Run commands in parallel until all exit; yield their output as it arrives.

    Raises:
        CommandError: A command failed; the others run on, at most as long as this process.
    """
    news: SimpleQueue[str | Exception | None] = SimpleQueue()

    def run(command: Sequence[str | Path]) -> None:
        try:
            for line in output_lines(command):
                news.put(line)
        except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
            news.put(error)
        news.put(None)

    for command in commands:
        Thread(target=run, args=[command], daemon=True).start()  # Ctrl-C must not wait for it
    running = len(commands)
    while running:
        match news.get():
            case None:
                running -= 1
            case Exception() as error:
                raise error
            case line:
                yield line


def _failure(output: str) -> str:
    reasons = re.findall(
        r"^\s*(Server access error.*|.*: not found|.*unresolved.*)$", output, re.MULTILINE
    )
    hint = (
        "set HTTPS_PROXY, SSL_CERT_FILE or REVIEWSTREAM_MAVEN_REPOSITORY if this network needs it"
    )
    return f"download failed: {(reasons or [output[-300:]])[0].strip()}; {hint}"


def ivy_jar() -> Path:
    """Return pyspark's copy of Ivy.

    Raises:
        TestbedError: pyspark is not installed.
    """
    spec = find_spec("pyspark")
    places = (spec.submodule_search_locations or []) if spec else []
    found = [jar for place in places for jar in Path(place).glob("jars/ivy-*.jar")]
    if not found:
        raise TestbedError(f"pyspark is not installed: run `{install_command('servers')}`")
    return found[0]


def maven_repository(environ: Mapping[str, str]) -> str | None:
    """Return the configured Maven repository, or None for Maven Central.

    It is `$REVIEWSTREAM_MAVEN_REPOSITORY`, or the mirror of Central in `~/.m2/settings.xml`.
    """
    if given := environ.get("REVIEWSTREAM_MAVEN_REPOSITORY"):
        return given
    settings = Path(environ.get("HOME", "/"), ".m2", "settings.xml")
    if not settings.is_file():
        return None
    for mirror in ET.parse(settings).iterfind(".//{*}mirror"):  # noqa: S314 - the user's own
        names = (mirror.findtext("{*}mirrorOf") or "").split(",")
        if {"central", "*", "external:*"} & {*names}:
            return mirror.findtext("{*}url")
    return None
