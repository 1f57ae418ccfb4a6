"""One testbed for many processes; the mock endpoint, which starts in a second, stands for all."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import AF_UNIX, socket
from threading import Lock

import psutil
import pytest

from reviewstream_testbed import Testbed, TestbedError
from reviewstream_testbed.mock_openai import OpenAIEndpoint
from reviewstream_testbed.sharing.borrowed_testbed import BorrowedTestbed
from reviewstream_testbed.sharing.shared_testbed import SharedAddress, SharedTestbed

PATIENCE = 30.0  # seconds
PLUGINS = ("-p", "xdist", "-p", "reviewstream_testbed.pytest_plugin")
# Both workers run every test; each notes what it was given.
NOTED = """
    import os
    from pathlib import Path
    from reviewstream_testbed.mock_openai import OpenAIEndpoint

    def test_one(openai_endpoint, testbed, topic, testbed_prefix, worker_id):
        assert isinstance(openai_endpoint, OpenAIEndpoint)
        assert testbed.openai_endpoint is openai_endpoint
        assert topic.name.startswith(testbed_prefix) and worker_id in testbed_prefix
        openai_endpoint.fault("500")
        asked = openai_endpoint.requests()["requests"]
        line = f"{openai_endpoint.pid} {testbed.folder} {testbed_prefix} {asked}"
        Path("notes", worker_id).write_text(line)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where every temporary file of a run goes."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def owner() -> Iterator[SharedTestbed]:
    with SharedTestbed(lambda: Testbed(()), prefix="mine-") as owner:
        yield owner


@pytest.fixture
def both(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Run a test in two workers; return what they noted, and see that nothing is left."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(test: str) -> list[str]:
        pytester.mkdir("notes")
        pytester.makepyfile(test)
        done = pytester.runpytest_subprocess(*PLUGINS, "--dist=each", "--tx=2*popen", timeout=120)
        done.assert_outcomes(passed=2)
        return [note.read_text() for note in sorted(pytester.path.glob("notes/*"))]

    return run


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def await_truth(what: str, ask: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not ask():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_two_workers_use_the_same_server_under_names_of_their_own(
    both: Callable[[str], list[str]], folder: Path
) -> None:
    first, second = (note.split() for note in both(NOTED))
    assert first[:2] == second[:2]
    assert first[2] != second[2]
    assert not is_running(int(first[0]))
    assert not [*folder.glob("reviewstream*"), *folder.glob("openai*")]


def test_a_worker_that_is_killed_is_replaced_by_one_that_uses_the_same_server(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(
        """
        import os, signal
        from pathlib import Path

        def test_one(openai_endpoint):
            Path("pid").write_text(str(openai_endpoint.pid))
            os.kill(os.getpid(), signal.SIGKILL)

        def test_two(openai_endpoint):
            assert openai_endpoint.requests()["requests"] == 0
            assert openai_endpoint.pid == int(Path("pid").read_text())
        """
    )
    done = pytester.runpytest_subprocess(*PLUGINS, "-n1", timeout=120)
    done.assert_outcomes(passed=1, failed=1)
    assert not is_running(int((pytester.path / "pid").read_text()))
    assert not [*folder.glob("reviewstream*"), *folder.glob("openai*")]


def test_a_borrowed_part_does_what_the_owners_does(owner: SharedTestbed) -> None:
    with BorrowedTestbed(owner.address, prefix="", tenant="one") as borrowed:
        endpoint = borrowed.openai_endpoint
        real = owner.bed.openai_endpoint
        assert isinstance(endpoint, OpenAIEndpoint)
        assert endpoint is not real
        assert (endpoint.pid, endpoint.port, endpoint.api_key) == (
            real.pid,
            real.port,
            real.api_key,
        )
        assert endpoint.logs() == real.logs()
        assert borrowed.addresses() == {"openai_endpoint": real.address}
        before = real.pid
        endpoint.restart()
        assert endpoint.pid == real.pid != before
        endpoint.kill()
        assert real.pid is None
        endpoint.restart()


def test_one_tenant_s_requests_are_neither_counted_nor_refused_in_another(
    owner: SharedTestbed,
) -> None:
    endpoints = [
        BorrowedTestbed(owner.address, prefix="", tenant=name).openai_endpoint
        for name in ("one", "two")
    ]
    endpoints[0].fault("500")
    for endpoint in endpoints:
        openai = pytest.importorskip("openai")
        with openai.OpenAI(
            base_url=endpoint.base_url, api_key=endpoint.api_key, max_retries=0
        ) as client:
            ask = {"model": "gpt-4o", "messages": [{"role": "user", "content": "good"}]}
            if endpoint is endpoints[0]:
                with pytest.raises(openai.InternalServerError):
                    client.chat.completions.create(**ask)
            else:
                client.chat.completions.create(**ask)
    assert [each.requests()["statuses"] for each in endpoints] == [{"500": 1}, {"200": 1}]


def test_an_error_comes_over_as_it_was_raised(owner: SharedTestbed) -> None:
    borrowed = BorrowedTestbed(owner.address, prefix="")
    with pytest.raises(TestbedError, match="no such part: redis"):
        borrowed.start_soon("redis")
    with pytest.raises(AttributeError, match="colour"):
        _ = borrowed.openai_endpoint.colour  # type: ignore[attr-defined]  # that is the point


def test_what_makes_no_sense_elsewhere_is_refused_in_words(owner: SharedTestbed) -> None:
    borrowed = BorrowedTestbed(owner.address, prefix="")
    vars(owner.bed.openai_endpoint)["lock"] = Lock()
    with pytest.raises(TestbedError, match="stays in the process that owns the servers: <unlocked"):
        _ = borrowed.openai_endpoint.lock  # type: ignore[attr-defined]  # nor has the type
    with pytest.raises(AttributeError, match="stays in the process that owns the servers"):
        _ = borrowed.openai_endpoint._process


def test_the_owners_folder_is_ours_alone_and_a_wrong_key_gets_no_answer(
    owner: SharedTestbed,
) -> None:
    path = Path(owner.address.path)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    with pytest.raises(TestbedError, match="is gone"):
        BorrowedTestbed(SharedAddress(path=str(path), key=b"guessed"), prefix="").start_soon()
    assert BorrowedTestbed(owner.address, prefix="").addresses() == {}


def test_a_visitor_who_says_nothing_or_leaves_disturbs_nobody(owner: SharedTestbed) -> None:
    with socket(AF_UNIX) as silent, socket(AF_UNIX) as hasty:
        silent.connect(owner.address.path)
        hasty.connect(owner.address.path)
        hasty.close()
        assert BorrowedTestbed(owner.address, prefix="").addresses() == {}


def test_a_closed_owner_is_said_to_be_gone(owner: SharedTestbed) -> None:
    borrowed = BorrowedTestbed(owner.address, prefix="")
    pid = borrowed.openai_endpoint.pid
    owner.close()
    assert pid is not None
    assert not is_running(pid)
    assert not Path(owner.address.path).parent.exists()
    with pytest.raises(TestbedError, match="is gone, and they with it"):
        _ = borrowed.openai_endpoint.pid


def test_whoever_asks_for_the_security_gets_the_owners(owner: SharedTestbed) -> None:
    borrowed = BorrowedTestbed(owner.address, prefix="theirs-")
    with borrowed:
        assert borrowed.security == owner.bed.security
    trusted = owner.bed.security.certificates.read_text()
    assert borrowed.security.certificates.read_text() == trusted
