"""An API key from a command's output: for tokens that live for an hour, such as Entra ID's."""

import asyncio
import os
import shlex
import signal
import time
from contextlib import suppress
from typing import Final

from reviewstream.errors import ConfigError, FatalError

LIFETIME: Final = 300.0  # seconds for which the output is reused
TIMEOUT: Final = 20.0  # seconds for the command; less than a request's timeout
MAX_OUTPUT: Final = 64 << 10  # bytes; a token has a few thousand


class TokenCommand:
    """Runs a command, without a shell, and returns the last word of its output.

    Args:
        command: Command with its arguments, in shell syntax.

    Raises:
        ConfigError: The command's syntax is invalid.
    """

    def __init__(self, command: str) -> None:
        try:
            self._words = shlex.split(command)
        except ValueError as err:
            raise ConfigError(f"openai.api_key_command: {err}") from err
        if not self._words:
            raise ConfigError("openai.api_key_command is empty")
        self._token = ""
        self._until = 0.0
        self._running = asyncio.Lock()

    async def __call__(self) -> str:
        """Return the token.

        Raises:
            FatalError: The command fails or prints nothing. Its output is not shown.
        """
        async with self._running:
            if time.monotonic() >= self._until:
                self._token = await self._printed()
                self._until = time.monotonic() + LIFETIME
            return self._token

    async def _printed(self) -> str:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as err:
            raise FatalError(f"openai.api_key_command: {self._words[0]}: {err.strerror}") from err
        try:
            async with asyncio.timeout(TIMEOUT):
                output = await _read(process)
                status = await process.wait()
        except TimeoutError as err:
            raise FatalError(f"openai.api_key_command did not end in {TIMEOUT:g} s") from err
        finally:
            _end(process)
            await process.communicate()
        words = output.decode(errors="replace").split()
        if status or not words:
            raise FatalError(
                f"openai.api_key_command ended with {status} and printed {len(words)} words:"
                " run it by hand"
            )
        if not (words[-1].isascii() and words[-1].isprintable()):
            raise FatalError("openai.api_key_command printed characters that no key has")
        return words[-1]


async def _read(process: asyncio.subprocess.Process) -> bytes:
    """Return the output of a command.

    Raises:
        FatalError: The output is longer than a key.
    """
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    output = b""
    while part := await process.stdout.read(MAX_OUTPUT):
        output += part
        if len(output) > MAX_OUTPUT:
            raise FatalError(f"openai.api_key_command printed more than {MAX_OUTPUT:,} bytes")
    return output


def _end(process: asyncio.subprocess.Process) -> None:
    """Kill a command and its children."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
