"""An API key that a command prints: for tokens that live for an hour, such as Entra ID's."""

import asyncio
import shlex
import time
from typing import Final

from reviewstream.errors import ConfigError, StopError

LIFETIME: Final = 300.0  # seconds for which what was printed is used again
TIMEOUT: Final = 60.0  # seconds for the command


class TokenCommand:
    """Runs a command, without a shell, and returns the last word that it prints.

    Args:
        command: With its arguments, as a shell would split them.

    Raises:
        ConfigError: It cannot be split.
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
            StopError: The command fails or prints nothing. Its output is not shown.
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
            )
        except OSError as err:
            raise StopError(f"openai.api_key_command: {self._words[0]}: {err.strerror}") from err
        try:
            async with asyncio.timeout(TIMEOUT):
                output, _ = await process.communicate()
        except asyncio.CancelledError:  # the request that asks for it took too long
            process.kill()
            raise
        except TimeoutError as err:
            process.kill()
            await process.wait()
            raise StopError(f"openai.api_key_command did not end in {TIMEOUT:g} s") from err
        lines = output.decode(errors="replace").split()
        if process.returncode or not lines:
            raise StopError(
                f"openai.api_key_command ended with {process.returncode} and printed"
                f" {len(lines)} words: run it by hand"
            )
        return lines[-1]
