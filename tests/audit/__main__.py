"""`tox -e audit`: whether anything that is installed here has a known vulnerability.

OSV is asked; or, with `$REVIEWSTREAM_ADVISORIES`, a checkout of pypa/advisory-database is.
"""

import os
import subprocess
import sys
import threading
from pathlib import Path

from tests.audit.osv import newest, server


def audit(*more: str) -> int:
    """Run pip-audit in this environment, and return its exit code: 1 if it found anything."""
    ours = ["--vulnerability-service", "osv", "--skip-editable", *more]
    return subprocess.run([sys.executable, "-m", "pip_audit", *ours], check=False).returncode


def audit_offline(folder: Path, *more: str) -> int:
    """Run pip-audit against a folder."""
    print(f"The newest advisory in {folder} is of {newest(folder)}.")  # noqa: T201 - the result
    with server(folder) as osv:
        threading.Thread(target=osv.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{osv.server_address[1]}/v1/query"
        code = audit("--osv-url", url, *more)
        osv.shutdown()
    return code


if __name__ == "__main__":
    folder = os.environ.get("REVIEWSTREAM_ADVISORIES")
    more = sys.argv[1:]
    sys.exit(audit_offline(Path(folder), *more) if folder else audit(*more))
