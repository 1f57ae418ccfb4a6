"""`python -m tools.engine_images run COMMAND...`."""

import argparse
import os
import signal
import subprocess
from collections.abc import Mapping
from typing import NoReturn

from reviewstream_testbed.installation.downloads import stderr
from tools.engine_images.engine import EngineError, engine
from tools.engine_images.images_command import provide_all

REQUIRED = "REVIEWSTREAM_TEST_REQUIRE_ENGINE"
_TRUE = {"1", "true"}


def add_to(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb `run`."""
    run = verbs.add_parser("run", help="run a command; start an engine for it if none answers")
    run.add_argument("--images", action="store_true", help="pull or build the images before")
    run.add_argument("command", nargs=argparse.REMAINDER)
    run.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, _terminated)
    try:
        with engine(os.environ) as environ:
            if given.images:
                provide_all(environ)
            return _call(given.command, environ)
    except _Terminated:
        return 128 + signal.SIGTERM
    except EngineError as error:
        if os.environ.get(REQUIRED) in _TRUE:
            raise
        stderr().print(f"Skipped: {error}")
        return 0


class _Terminated(BaseException):
    """Raised on SIGTERM, which reaches only this process, unlike Ctrl-C."""


def _terminated(*_: object) -> NoReturn:
    raise _Terminated


def _call(command: list[str], environ: Mapping[str, str]) -> int:
    """Run a command until it exits. The terminal sends it Ctrl-C; SIGTERM is forwarded as SIGINT.

    In a script's background, this process and the command ignore SIGINT; then it is SIGTERM.
    """
    is_deaf = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    with subprocess.Popen(command, env=environ) as called:
        while True:
            try:
                return called.wait()
            except KeyboardInterrupt:
                pass
            except _Terminated:
                called.send_signal(signal.SIGTERM if is_deaf else signal.SIGINT)
