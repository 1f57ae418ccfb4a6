"""Debian's own packages: installed only where the user has said so."""

import shutil
from collections.abc import Mapping

from reviewstream_testbed.errors import TestbedError
from reviewstream_testbed.processes import CommandError, output_lines

ALLOWED = "REVIEWSTREAM_TEST_APT"


def require(program: str, package: str, environ: Mapping[str, str]) -> None:
    """See that a program is there; install its package where `environ` allows it.

    Raises:
        TestbedError: It is not there, and must not or cannot be installed.
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
