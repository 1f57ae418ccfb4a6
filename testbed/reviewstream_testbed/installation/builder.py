"""Builds the servers' home folders from the downloaded jars, once."""

import hashlib
import os
import shutil
import tarfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from reviewstream_testbed.installation.cache import make_once
from reviewstream_testbed.processes.children import CommandError, output_lines
from reviewstream_testbed.testbed_error import TestbedError

JAVA_RELEASE = 21
SINK = "reviewstream.connect.ElasticsearchSinkConnector"
CONVERTER = "io.apicurio.registry.utils.converter.AvroConverter"
_CLUSTER = "MkU3OEVBNTcwNTJENDM2Qk"  # any 16 bytes in base64
_MODULE_JARS = ("netty-", "transport-netty4", "elasticsearch-ssl-config")
_PLUGIN = """\
name=testbed
description=what the published jars lack
version=1
elasticsearch.version={version}
java.version={release}
classname=reviewstream.elasticsearch.TestbedPlugin
"""
_FORMAT = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:1
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:2,CONTROLLER://127.0.0.1:1
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={folder}
"""


def java_sources() -> Path:
    """Return the folder of the testbed's Java sources, installed or in a checkout."""
    here = Path(__file__).parents[1]
    installed = here / "java"
    return installed if installed.is_dir() else here.parent / "java"


def key() -> str:
    """Return a name derived from everything that is built here."""
    sources = sorted(java_sources().rglob("*.java"))
    texts = [path.read_bytes() for path in [Path(__file__), *sources]]
    return hashlib.sha256(b"\0".join(texts)).hexdigest()[:12]


def build(jars: Path, java: Path) -> Path:
    """Return the folder of the homes built from `jars`; build it if it is missing."""
    return make_once(
        jars.with_name(f"{jars.name}-build-{key()}"),
        lambda partial: _Builder(jars, java, partial).build(),
    )


def class_path(*jars: Path) -> str:
    """Join jars in a fixed order: Java rejects a class data archive under any other order."""
    return os.pathsep.join(str(jar) for jar in jars)


class _Builder:
    def __init__(self, jars: Path, java: Path, home: Path) -> None:
        self._jars = jars
        self._java = java / "bin" / "java"
        self._home = home

    def build(self) -> None:
        self._build_elasticsearch()
        self._build_plugins()
        self._build_registry()
        self._format_storage()
        shutil.rmtree(self._home / "work")

    def _build_elasticsearch(self) -> None:
        home = self._home / "elasticsearch"
        netty = home / "modules" / "transport-netty4"
        jars = self._of("elasticsearch")
        modules = [jar for jar in jars if jar.name.startswith(_MODULE_JARS)]
        _link(modules, netty)
        _link([jar for jar in jars if jar not in modules], home / "lib")
        transport = next(jar for jar in modules if jar.name.startswith("transport-netty4"))
        (netty / "plugin-descriptor.properties").write_text(_descriptor(transport))
        classes = self._compile("elasticsearch", jars)
        _archive(home / "lib" / "testbed-main.jar", classes, "Main*.class")
        _archive(home / "modules" / "testbed" / "testbed.jar", classes, "Testbed*.class")
        version = transport.stem.rpartition("-")[2]
        (home / "modules" / "testbed" / "plugin-descriptor.properties").write_text(
            _PLUGIN.format(version=version, release=JAVA_RELEASE)
        )
        (home / "plugins").mkdir()

    def _build_registry(self) -> None:
        home = self._home / "registry"
        with tarfile.open(next((self._jars / "registry").glob("*.tar.gz"))) as archive:
            archive.extractall(home, filter="data")
        boot = sorted((home / "lib" / "boot").glob("*.jar"))
        _archive(home / "front.jar", self._compile("registry", boot))

    def _build_plugins(self) -> None:
        plugins = self._home / "plugins"
        classes = self._compile("connect", self._of("kafka"))
        _manifest(classes, "org.apache.kafka.connect.sink.SinkConnector", SINK)
        _archive(plugins / "elasticsearch-sink" / "sink.jar", classes)
        _link(self._of("converter"), plugins / "converter")
        # Without a manifest Connect would have to read every class of every plugin at each start.
        services = self._home / "work" / "services"
        _manifest(services, "org.apache.kafka.connect.storage.Converter", CONVERTER)
        _archive(plugins / "converter" / "manifest.jar", services)

    def _format_storage(self) -> None:
        """Format Kafka's storage once; each run copies it."""
        settings = self._home / "work" / "server.properties"
        settings.write_text(_FORMAT.format(folder=self._home / "kafka"))
        command = ["-cp", class_path(*self._of("kafka")), "kafka.tools.StorageTool", "format"]
        self._run([*command, "-t", _CLUSTER, "-c", str(settings)])

    def _compile(self, package: str, jars: Sequence[Path]) -> Path:
        classes = self._home / "work" / package
        sources = java_sources() / "reviewstream" / package
        (compiler,) = self._of("compiler")
        command = ["-jar", str(compiler), f"-{JAVA_RELEASE}", "-nowarn", "-proc:none"]
        self._run([*command, "-cp", class_path(*jars), "-d", str(classes), str(sources)])
        return classes

    def _of(self, part: str) -> list[Path]:
        return sorted((self._jars / part).glob("*.jar"))

    def _run(self, arguments: Sequence[str]) -> None:
        _run_java(self._java, arguments)


def _run_java(java: Path, arguments: Sequence[str]) -> None:
    try:
        "".join(output_lines([java, *arguments]))
    except CommandError as error:
        raise TestbedError(f"cannot build the testbed: {str(error)[-2000:]}") from error


def _link(files: Iterable[Path], folder: Path) -> None:
    folder.mkdir(parents=True)
    for file in files:
        (folder / file.name).hardlink_to(file)


def _archive(jar: Path, folder: Path, pattern: str = "*") -> None:
    """Create a jar, because class data archives do not support folders in the class path."""
    jar.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(jar, "w") as archive:
        for path in sorted(folder.rglob(pattern)):
            archive.write(path, path.relative_to(folder))


def _manifest(folder: Path, service: str, name: str) -> None:
    path = folder / "META-INF" / "services" / service
    path.parent.mkdir(parents=True)
    path.write_text(f"{name}\n")


def _descriptor(jar: Path) -> str:
    """Return a module's descriptor without the module name, because we use the class path."""
    inside = "META-INF/es-plugins/transport-netty4/plugin-descriptor.properties"
    with zipfile.ZipFile(jar) as archive:
        lines = archive.read(inside).decode().splitlines()
    return "".join(f"{line}\n" for line in lines if not line.startswith(("#", "modulename")))
