"""One writer at a time: what an earlier one has not written by now, it never will."""

from contextlib import suppress

from reviewstream.core.delivery.markers import Marker
from reviewstream.core.delivery.ports import OutgoingRecord, TransactionalSink
from reviewstream.errors import PermanentError, ReviewStreamError


class FencedSink:
    """`RecordSink` whose records become visible by `flush`, all at once.

    From the moment that it is made on, no earlier one of the same name can write: so what is not
    on the topics then has to be written, and is written by nobody else.

    Args:
        sink: A new one; closed by whoever opened it.
        name: Of whoever writes, for the marker.
    """

    def __init__(self, sink: TransactionalSink, name: str) -> None:
        self._sink = sink
        self._name = name
        self._batch = 0
        self._count = 0
        sink.fence()

    def write(self, record: OutgoingRecord) -> None:
        """See `RecordSink.write`."""
        if not self._count:
            self._sink.begin()
        self._count += 1
        try:
            self._sink.write(record)
        except PermanentError:
            self._undo()
            raise

    def flush(self) -> int:
        """See `RecordSink.flush`; a refused record leaves nothing of the others either."""
        if not self._count:
            return 0
        # Nobody looks for it: what is written is found on the topic itself.
        marker = Marker(query=self._name, batch=self._batch, count=self._count, checksum=0)
        try:
            self._sink.commit(marker)
        except PermanentError:
            self._undo()
            raise
        self._batch += 1
        written, self._count = self._count, 0
        return written

    def _undo(self) -> None:
        """End the transaction, as whoever reads the topics waits for its end."""
        self._count = 0
        with suppress(ReviewStreamError):
            self._sink.abort()
