"""Installs Debian packages, only if the user has permitted it."""

import shutil
from collections.abc import Mapping

from reviewstream_testbed.processes.children import CommandError, output_lines
from reviewstream_testbed.testbed_error import TestbedError

ALLOWED = "REVIEWSTREAM_TEST_APT"


def require(program: str, package: str, environ: Mapping[str, str]) -> None:
    """Check that a program exists; install its package if `environ` permits it.

    Raises:
        TestbedError: The program is missing, and may not or cannot be installed.
    """
    if shutil.which(program):
        return
    if environ.get(ALLOWED) != "1":
        raise TestbedError(
            f"{program} is not installed: run `apt-get install {package}`,"
            f" or set {ALLOWED}=1 to have it installed"
        )
    try:
        for command in (["update"], ["install", "-y", "--no-install-recommends", package]):
            "".join(output_lines(["apt-get", "-q", *command]))
    except CommandError as error:
        raise TestbedError(f"{package} cannot be installed: {str(error)[-500:]}") from error
