"""An endpoint of one's own, whose certificate a private authority has signed."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from reviewstream.adapters.openai.chat_completions import OpenAIChat
from reviewstream.core.labelling.chat import ChatAnswer
from reviewstream.core.labelling.prompts import build_prompt
from reviewstream.errors import ConfigError, FatalError
from reviewstream.settings import OpenAISettings
from reviewstream_testbed.security.certificates import Authority

pytestmark = pytest.mark.anyio

BODY = json.dumps({"model": "m", "choices": [{"message": {"content": "hello"}}]}).encode()
HEAD = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    await reader.readexactly(int(head.partition(b"content-length:")[2].split()[0]))
    writer.write(HEAD.encode() + BODY)
    writer.close()


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    writer.close()


@asynccontextmanager
async def endpoint(authority: Authority | None) -> AsyncIterator[str]:
    """Serve one answer, with a certificate or in plain HTTP; yield the address."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if authority else None
    if tls and authority:
        shown = authority.issue("server")
        tls.load_cert_chain(shown.chain, shown.key)
    respond = answer if tls else refuse
    async with await asyncio.start_server(respond, "127.0.0.1", 0, ssl=tls) as server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


async def ask(base_url: str, ca_location: Path | None) -> ChatAnswer:
    settings = OpenAISettings(
        base_url=base_url,
        api_key=SecretStr("sk-do-not-tell"),
        ca_location=str(ca_location) if ca_location else None,
    )
    chat = OpenAIChat.connect(settings)
    try:
        return await chat.answer(build_prompt(["cold soup"]).request)
    finally:
        await chat.aclose()


async def test_who_trusts_its_authority_gets_an_answer(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    async with endpoint(authority) as url:
        assert (await ask(url, authority.certificates)).text == "hello"


async def test_a_certificate_of_somebody_else_ends_all_and_names_the_setting(
    tmp_path: Path,
) -> None:
    other = Authority(tmp_path / "other").certificates
    async with endpoint(Authority(tmp_path / "ca")) as url:
        for trusted in (None, other):
            with pytest.raises(FatalError) as caught:
                await ask(url, trusted)
            said = str(caught.value)
            assert said.startswith(f"the certificate of {url} is not trusted (")
            assert "openai.ca_location names the file of the authority" in said
            assert "\n" not in said


async def test_an_endpoint_without_tls_ends_all_and_names_the_setting(tmp_path: Path) -> None:
    async with endpoint(None) as url:
        with pytest.raises(FatalError, match=r"does not speak TLS as we do .*see openai\.base_url"):
            await ask(url, Authority(tmp_path / "ca").certificates)


async def test_a_file_that_is_not_there_is_named_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"openai\.ca_location: .*none\.pem: No such file"):
        await ask("https://127.0.0.1:1/v1", tmp_path / "none.pem")


async def test_what_is_no_certificate_is_named_with_its_setting(tmp_path: Path) -> None:
    (file := tmp_path / "ca.pem").write_text("none")
    with pytest.raises(ConfigError, match=r"openai\.ca_location: .*holds no certificate in PEM"):
        await ask("https://127.0.0.1:1/v1", file)
