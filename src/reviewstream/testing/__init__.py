"""In-memory fakes of the ports, for tests: no network, no waiting, no randomness.

Each fake passes the same contract tests as the real adapter.
"""

from reviewstream.core.labelling.null_objects import NoLedger, NoLimit
from reviewstream.testing.fake_clock import FakeClock
from reviewstream.testing.fake_connect import MemoryConnect
from reviewstream.testing.fake_model import FakeChatModel, judging
from reviewstream.testing.memory_index import MemoryIndex
from reviewstream.testing.memory_ledger import MemoryLedger
from reviewstream.testing.memory_limits import MemoryLimits
from reviewstream.testing.memory_log import MemoryLog, MemorySink, MemoryTransactionalSink
from reviewstream.testing.memory_registry import MemoryRegistry
from reviewstream.testing.memory_sorter import MemorySorter
from reviewstream.testing.memory_versions import MemoryVersions

__all__ = [
    "FakeChatModel",
    "FakeClock",
    "MemoryConnect",
    "MemoryIndex",
    "MemoryLedger",
    "MemoryLimits",
    "MemoryLog",
    "MemoryRegistry",
    "MemorySink",
    "MemorySorter",
    "MemoryTransactionalSink",
    "MemoryVersions",
    "NoLedger",
    "NoLimit",
    "judging",
]
