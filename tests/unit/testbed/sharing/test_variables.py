"""What `up` writes for clients: the pipeline's own settings, read as a user has them read."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from reviewstream.cli.context import load_settings
from reviewstream.settings import Settings
from reviewstream_testbed import Testbed
from reviewstream_testbed.catalog import DEFAULT
from reviewstream_testbed.installation.homes import Installation
from reviewstream_testbed.services.service import Service
from reviewstream_testbed.sharing.variables import exports, variables

SERVERS = tuple(name for name in DEFAULT if name != "openai_endpoint")


class Unstarted(Testbed):
    """Makes servers, and starts none."""

    @property
    def installation(self) -> Installation:
        there = self.folder
        return Installation(java=there, jars=there, homes=there, archives=there)

    def start(self, *names: str) -> None:
        for name in names:
            self.part(name)

    def _start(self, part: Service) -> None:
        """Leave it."""


@pytest.fixture
def secure() -> Iterator[Testbed]:
    with Unstarted(SERVERS, secure=True) as bed:
        yield bed


def read(text: str, folder: Path) -> Settings:
    (file := folder / "testbed.env").write_text(text)
    return load_settings(None, file)


def test_a_secure_testbed_tells_credentials_and_authority_of_every_server(
    secure: Testbed, tmp_path: Path
) -> None:
    who = (secure.security.username, secure.security.password, str(secure.security.certificates))
    found = read(exports(variables(secure, SERVERS)), tmp_path)
    for section in (found.registry, found.connect, found.elasticsearch):
        assert section.password
        password = section.password.get_secret_value()
        assert (section.username, password, section.ca_location) == who
        assert section.url.startswith("https://127.0.0.1:")
    assert found.kafka.sasl_password
    password = found.kafka.sasl_password.get_secret_value()
    assert (found.kafka.sasl_username, password, found.kafka.ssl_ca_location) == who
    assert found.kafka.security_protocol == "SASL_SSL"
    assert found.kafka.bootstrap_servers == secure.kafka.bootstrap_servers
    assert found.registry.auto_register
    assert found.connect.value_converter_config == secure.kafka_connect.value_converter_config


def test_an_open_testbed_tells_addresses_alone(tmp_path: Path) -> None:
    with Unstarted(SERVERS) as bed:
        found = read(exports(variables(bed, SERVERS)), tmp_path)
        assert found.elasticsearch.url == bed.elasticsearch.url
    assert (found.kafka.security_protocol, found.kafka.sasl_password) == ("PLAINTEXT", None)
    assert (found.registry.username, found.registry.ca_location) == (None, None)


def test_a_shell_reads_what_an_env_file_says(secure: Testbed, tmp_path: Path) -> None:
    told = variables(secure, SERVERS)
    (file := tmp_path / "testbed.env").write_text(exports(told))
    shell = ["sh", "-c", f". {file}; env -0"]
    lines = subprocess.run(shell, capture_output=True, text=True, check=True).stdout.split("\0")
    found = dict(line.partition("=")[::2] for line in lines)
    assert {name: found[name] for name in told} == told
