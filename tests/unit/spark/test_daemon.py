import subprocess
import sys

SCRIPT = """
import sys, threading
from reviewstream.spark.daemon import TASKS, preload
preload(TASKS)
needed = {"pandas", "openai", "reviewstream.spark.sink"}
print(needed <= sys.modules.keys(), threading.active_count())
"""


def test_a_worker_is_forked_with_what_its_tasks_import_and_without_threads() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True)
    assert done.stdout.split() == [b"True", b"1"]
