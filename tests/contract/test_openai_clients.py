"""OpenAI's own clients, of Python and of Node, on the mock endpoint."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from reviewstream_testbed.mock_openai import OpenAIEndpoint
from tests.contract.openai_client import OpenAIClientContract

pytestmark = pytest.mark.model

NODE = Path(__file__).parent / "node"
PATIENCE = 120  # seconds: an installation of one package


@pytest.fixture(autouse=True)
def _anew(openai_endpoint: OpenAIEndpoint) -> Iterator[None]:
    openai_endpoint.reset()
    yield
    openai_endpoint.reset()


class PythonClient:
    """The client of Python that is installed: 2.x or 3.x."""

    def __init__(self, endpoint: OpenAIEndpoint) -> None:
        self._config = endpoint.client_config

    def __call__(self, method: str, *, retries: int = 0, timeout: float = 30, **body: Any) -> Any:
        with openai.OpenAI(**self._config, max_retries=retries, timeout=timeout) as client:
            try:
                return {"answer": _answered(client, method, body)}
            except openai.APIError as err:
                return {"error": _told(err)}
            except Exception as err:  # noqa: BLE001 - whatever else there is, is what we look for
                return {"error": {"class": "other", "words": repr(err)}}


def _answered(client: openai.OpenAI, method: str, body: dict[str, Any]) -> Any:
    match method:
        case "models":
            return [one.model_dump() for one in client.models.list()]
        case "stream":
            return [one.model_dump() for one in client.chat.completions.create(**body, stream=True)]
        case "parse":
            answer = client.chat.completions.parse(**body).model_dump(warnings=False)
            for choice in answer["choices"]:  # only a class of Pydantic's is parsed by itself
                choice["message"]["parsed"] = json.loads(choice["message"]["content"])
            return answer
        case _:
            return client.chat.completions.create(**body).model_dump(warnings=False)


def _told(err: openai.APIError) -> dict[str, Any]:
    fields = {"code": err.code, "type": err.type, "param": err.param}
    status = getattr(err, "status_code", None)  # of those that are an answer
    return {"class": type(err).__name__, "status": status, **fields}


class TestPython(OpenAIClientContract):
    @pytest.fixture
    def openai_client(self, openai_endpoint: OpenAIEndpoint) -> PythonClient:
        return PythonClient(openai_endpoint)


class NodeClient:
    """The client of Node that `node/package-lock.json` names."""

    def __init__(self, process: subprocess.Popen[str], endpoint: OpenAIEndpoint) -> None:
        self._process = process
        self._config = {"baseURL": endpoint.base_url, "apiKey": endpoint.api_key}

    def __call__(self, method: str, *, retries: int = 0, timeout: float = 30, **body: Any) -> Any:
        options = {**self._config, "maxRetries": retries, "timeout": timeout * 1000}
        question = {"method": method, "options": options, "request": body}
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"there is no {' and no '.join(missing)} (Node 20 or newer)")
    folder = tmp_path_factory.mktemp("node") / "client"
    shutil.copytree(NODE, folder)
    _install(folder)
    pipe = subprocess.PIPE
    with subprocess.Popen(
        ["node", "ask.mjs"],  # noqa: S607 - it is on the path, as we have seen
        cwd=folder,
        stdin=pipe,
        stdout=pipe,
        text=True,
    ) as process:
        yield process
        process.communicate(timeout=PATIENCE)  # it ends with its input


def _install(folder: Path) -> None:
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    if done.returncode:
        pytest.fail(f"npm ci ended with {done.returncode}:\n{done.stderr}{done.stdout}")


class TestNode(OpenAIClientContract):
    @pytest.fixture
    def openai_client(
        self, node: subprocess.Popen[str], openai_endpoint: OpenAIEndpoint
    ) -> NodeClient:
        return NodeClient(node, openai_endpoint)
