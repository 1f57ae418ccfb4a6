"""Plain lines: a file from its beginning, for tools that do not know the protocol."""

import asyncio
import logging
import socket
from typing import Final

from reviewstream.adapters.files.review_log import ReviewLog
from reviewstream.adapters.tcp.served_log import ServedLog
from reviewstream.errors import SourceReplacedError

PIECE: Final = 16 << 20  # bytes that a client must receive within the idle time

logger = logging.getLogger(__name__)


async def send_plain_lines(served: ServedLog, client: socket.socket) -> None:
    """Send the file from its beginning, in the format of `nc` and Spark's `socket` source."""
    try:
        async for start, stop in served.ranges(0):
            for begin in range(start, stop, PIECE):
                await served.in_thread(served.log.check)
                async with asyncio.timeout(served.idle):
                    await _send_file(served.log, client, begin, min(PIECE, stop - begin))
    except SourceReplacedError as err:
        logger.warning("hung up on a reader of plain lines: %s", err)  # sends no reason


async def _send_file(log: ReviewLog, client: socket.socket, start: int, size: int) -> None:
    file, position = log.locate(start)
    loop = asyncio.get_running_loop()
    if await loop.sock_sendfile(client, file, position, size) < size:
        raise SourceReplacedError(f"{log.source} was cut short")
