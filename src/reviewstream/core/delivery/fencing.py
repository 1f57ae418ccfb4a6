"""Fenced writing: only the newest writer of a name can write."""

from contextlib import suppress

from reviewstream.core.delivery.markers import Marker
from reviewstream.core.delivery.ports import OutgoingRecord, TransactionalSink
from reviewstream.errors import PermanentError, ReviewStreamError


class FencedSink:
    """`RecordSink` whose records become visible together, by `flush`.

    Creating it fences all earlier sinks of the same name. Records that are not on the topics by
    then have to be written, and no other sink writes them.

    Args:
        sink: A new sink; the caller closes it.
        name: Name of the writer, for the marker.
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
        """See `RecordSink.flush`; if a record is refused, none of the others becomes visible."""
        if not self._count:
            return 0
        # This marker is never read: written records are found on the topic itself.
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
        """Abort the transaction, because readers of the topics wait for its end."""
        self._count = 0
        with suppress(ReviewStreamError):
            self._sink.abort()
