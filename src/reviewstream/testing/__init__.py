"""In-memory fakes of the ports, for tests: no network, no waiting, no randomness.

Each fake passes the same contract tests as the real adapter.
"""

from reviewstream.core.labelling.null_objects import NoLedger, NoLimit
from reviewstream.testing.chat import FakeChatModel, judging
from reviewstream.testing.clock import FakeClock
from reviewstream.testing.connect import MemoryConnect
from reviewstream.testing.index import MemoryIndex
from reviewstream.testing.ledger import MemoryLedger
from reviewstream.testing.limits import MemoryLimits
from reviewstream.testing.log import MemoryLog, MemorySink, MemoryTransactionalSink
from reviewstream.testing.registry import MemoryRegistry
from reviewstream.testing.sorter import MemorySorter
from reviewstream.testing.versions import MemoryVersions

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
