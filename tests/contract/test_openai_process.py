"""The mock endpoint as a process: its options, its signals, and what is left of it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from reviewstream_testbed.mock_openai import EndpointFailed, OpenAIEndpoint
from tests.contract.openai_http import (
    body_of,
    send,
)
from tests.contract.waiting import eventually


def test_an_endpoint_of_ones_own_takes_its_key_only_and_keeps_its_latency() -> None:
    with OpenAIEndpoint(latency=200, api_key="sk-one") as endpoint:
        assert send(endpoint, body_of(), key="sk-other").status == 401
        started = time.monotonic()
        assert send(endpoint, body_of(), key=endpoint.api_key).status == 200
        assert time.monotonic() - started >= 0.2


def test_a_killed_endpoint_comes_back_at_the_same_address() -> None:
    with OpenAIEndpoint() as endpoint:
        address = endpoint.base_url
        endpoint.kill()
        with pytest.raises(OSError, match="refused"):
            send(endpoint, body_of())
        endpoint.restart()
        assert endpoint.base_url == address
        assert send(endpoint, body_of()).status == 200
        assert endpoint.logs().startswith(f"Ready. {address}")


def test_a_paused_endpoint_does_not_answer_until_it_goes_on() -> None:
    with OpenAIEndpoint() as endpoint:
        endpoint.pause()
        with pytest.raises(TimeoutError):
            send(endpoint, path="/_mock/health", timeout=0.3)
        endpoint.resume()
        assert send(endpoint, path="/_mock/health").json() == {"status": "ok"}


def test_a_port_in_use_is_told_in_one_sentence() -> None:
    with OpenAIEndpoint() as endpoint:
        port = endpoint.url.rpartition(":")[2]
        command = [sys.executable, "-m", "reviewstream_testbed.mock_openai", "--port", port]
        second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert second.returncode == 1
        assert second.stderr.startswith(f"cannot listen on 127.0.0.1:{port}: ")
        assert "Traceback" not in second.stderr


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--port=65536"], "--port is 65536 (0 to 65535)"),
        (["--latency=-1"], "--latency is -1 ms"),
        (["--requests-per-minute=0"], "requests_per_minute is 0"),
        (["--window-seconds=nan"], "window_seconds is nan"),
        (["--judge=coin"], "invalid choice: 'coin'"),
        (["--dialect=klingon"], "invalid choice: 'klingon'"),
        (["--hidden-tokens=-1"], "hidden_tokens is -1"),
        (["--cached-share=2"], "cached_share is 2 (0 to 1)"),
        (["--prices=1,2"], "prices are '1,2' (PROMPT,CACHED,COMPLETION"),
        (["--replay"], "--record and --replay need a --cassette DIR"),
        (["--cassette=/nowhere/x"], "--cassette needs one of --record URL and --replay"),
        (["--cassette=/proc/x", "--replay"], "there is no cassette /proc/x"),
        (["--cassette=/proc/x", "--record=http://x/v1"], "/proc/x"),
        (["--cassette=x", "--record=openai"], "--record is openai (an address"),
        (["--host=nowhere.invalid"], "cannot listen on nowhere.invalid:0"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_sentence(flags: list[str], words: str) -> None:
    command = [sys.executable, "-m", "reviewstream_testbed.mock_openai", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in {1, 2}
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_an_endpoint_that_cannot_start_says_why() -> None:
    with pytest.raises(EndpointFailed, match="--latency is -1 ms"), OpenAIEndpoint(latency=-1):
        pass


def test_nothing_is_left_after_the_parent_is_killed() -> None:
    program = (
        "import time; from reviewstream_testbed.mock_openai import OpenAIEndpoint\n"
        "with OpenAIEndpoint() as it: print(it.url, it._log, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        log = parent.stdout.readline().split()[1]
        family = psutil.Process(parent.pid).children(recursive=True)
        assert family
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    eventually(lambda: [one for one in family if one.is_running()], lambda it: not it)
    eventually(Path(log).parent.exists, lambda it: not it)
