"""Builds a minimal Debian from its packages; needs root and `debootstrap`, but no registry."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from reviewstream_testbed.processes.children import CommandError, output_lines
from reviewstream_testbed.testbed_error import TestbedError
from tools.engine_images.packages import require

_RELEASE = "bookworm"
_PACKAGES = "ca-certificates,curl,python3,python3-pip,python3-venv"


@contextmanager
def root_filesystem(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield a tar file of a new root file system.

    Raises:
        TestbedError: Not run as root, or debootstrap is missing or fails.
    """
    if os.geteuid() != 0:
        raise TestbedError("the stand-ins' base system needs root: run it with sudo")
    require("debootstrap", "debootstrap", environ)
    with tempfile.TemporaryDirectory(prefix="reviewstream-testbed-") as folder:
        root, tar = Path(folder, "root"), Path(folder, "root.tar")
        # In its own mount namespace, so that its mounts disappear even if it is killed.
        unshared = ["unshare", "--mount", "--propagation=private"]
        packages = f"--include={_PACKAGES}"
        _run([*unshared, "debootstrap", "--variant=minbase", packages, _RELEASE, str(root)])
        shutil.rmtree(root / "var/cache/apt/archives")
        shutil.rmtree(root / "var/lib/apt/lists")
        _run(["tar", "--numeric-owner", "--one-file-system", "-C", str(root), "-cf", str(tar), "."])
        yield tar


def _run(command: list[str]) -> None:
    try:
        "".join(output_lines(command))
    except CommandError as error:
        raise TestbedError(f"{command[0]} failed: {str(error)[-1000:]}") from error
