"""An endpoint that answers by rules, as recorded cases describe real ones, and a labeller for it.

A case is an object of `endpoint_cases/*.json`:

    {"name": "...", "source": "where it was seen", "reviews": 40 or ["text", ...],
     "settings": {fields of `OpenAISettings`}, "budget_usd": 0.05,
     "rules": [{"if": {...}, "then": {...}}, ...], "expect": {...}}

The first rule whose `if` holds answers; without one a sound completion does. `if` holds all of
`first` (requests of the case so far, at most), `text` (a word in one of the texts), `more_than`
(texts), `longer_than` (characters of all texts), `sends` (a field of the request), `value` (of that
field) and `type` (in that field). `then` has `status`, `headers`, and a body: `json`, `raw`, or a
completion whose `message`, `choice` and `usage` are changed, all of them after `before`. "$labels"
stands for the right answer.

`expect` has `rejected` ({text: reason}; every other review is labelled rightly), or `error` (the
class), `says` (words of the error, or of each rejection), `requests` (at most), `log` (words),
`waits` (at most), `path`, `never_again` and `always_sent` (a field that the last request does not
have, or that every request has).
"""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from reviewstream.adapters.openai.chat_completions import OpenAIChat
from reviewstream.app import label_policy, limit_key, priced
from reviewstream.core.labelling.labeller import Labeller
from reviewstream.core.labelling.limits.operations import Amount, LimitKey
from reviewstream.core.labelling.limits.shared_limiter import SharedLimiter
from reviewstream.core.records.reviews import LabelledReview, Origin, RejectedReview, Review
from reviewstream.settings import LimitsSettings, OpenAISettings
from reviewstream.testing import FakeClock, MemoryLimits, NoLedger

FOLDER: Final = Path(__file__).parent / "endpoint_cases"
USAGE: Final = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
RUN: Final = "case"
_LABELS: Final = "$labels"
_WRITTEN: Final = datetime(2020, 1, 1, tzinfo=UTC)

Request = dict[str, Any]
Reply = tuple[int, Mapping[str, str], bytes]


def cases() -> Iterator[dict[str, Any]]:
    """Return every case of the folder; each has the name of its file before its own."""
    for file in sorted(FOLDER.glob("*.json")):
        for case in json.loads(file.read_text(encoding="utf-8")):
            yield {**case, "name": f"{file.stem}: {case['name']}"}


def texts_of(case: Mapping[str, Any]) -> list[str]:
    """Return the texts of a case; a number stands for so many good ones."""
    reviews = case.get("reviews", 4)
    if isinstance(reviews, list):
        return reviews
    return [f"{'good' if number % 3 else 'bad'} number {number}" for number in range(reviews)]


def asked(request: Request) -> list[dict[str, str]]:
    """Return the reviews that a request is about."""
    found: list[dict[str, str]] = json.loads(request["messages"][-1]["content"])["reviews"]
    return found


def sentiment(text: str) -> str:
    """Return the right label."""
    return "POSITIVE" if "good" in text.lower() else "NEGATIVE"


def right_answer(request: Request) -> str:
    """Return what a sound model says."""
    labels = [
        {"id": one["id"], "sentiment": sentiment(one["text"]), "confidence": 0.9}
        for one in asked(request)
    ]
    return json.dumps({"labels": labels})


def completion(then: Mapping[str, Any], request: Request) -> Any:
    """Return the body of a completion, changed as a rule says."""
    message = {"role": "assistant", "content": _LABELS, **then.get("message", {})}
    choice = {"index": 0, "finish_reason": "stop", "message": message, **then.get("choice", {})}
    body = {"id": "c", "object": "chat.completion", "model": request["model"], "choices": [choice]}
    if (usage := then.get("usage", USAGE)) is not None:
        body["usage"] = usage
    return _filled(body, right_answer(request))


def reply(then: Mapping[str, Any], request: Request) -> Reply:
    """Return status, headers and body of an answer."""
    headers = {"content-type": "application/json", **then.get("headers", {})}
    if "raw" in then:
        body = str(_filled(then["raw"], right_answer(request)))
    else:
        body = json.dumps(then["json"] if "json" in then else completion(then, request))
    return then.get("status", 200), headers, (then.get("before", "") + body).encode()


def ruled(rules: Sequence[Mapping[str, Any]]) -> Callable[[int, Request], Reply]:
    """Return what answers by rules, given the number of a request and the request."""

    def answer(number: int, request: Request) -> Reply:
        found = (one["then"] for one in rules if _holds(one.get("if", {}), number, request))
        return reply(next(found, {}), request)

    return answer


def _holds(condition: Mapping[str, Any], number: int, request: Request) -> bool:
    texts = [one["text"] for one in asked(request)]
    name = condition.get("sends", "model")
    return (
        number <= condition.get("first", number)
        and len(texts) > condition.get("more_than", 0)
        and sum(map(len, texts)) > condition.get("longer_than", 0)
        and any(condition.get("text", "") in one for one in texts)
        and name in request
        and request[name] == condition.get("value", request[name])
        and ("type" not in condition or request[name]["type"] == condition["type"])
    )


def _filled(value: Any, labels: str) -> Any:
    match value:
        case str():
            return value.replace(_LABELS, labels)
        case list():
            return [_filled(one, labels) for one in value]
        case dict():
            return {name: _filled(one, labels) for name, one in value.items()}
        case _:
            return value


@dataclass
class CaseEndpoint:
    """A server on a loopback port.

    Attributes:
        answer: Returns the answer to a request, given its number, from 1 on.
        requests: Every request that came, its path and its headers apart.
        paths: Of each request, its query included.
    """

    answer: Callable[[int, Request], Reply] = field(default=ruled(()))
    requests: list[Request] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    url: str = ""

    def asked_about(self, word: str) -> int:
        """Return how many requests had a word in one of their texts."""
        return sum(any(word in one["text"] for one in asked(sent)) for sent in self.requests)


@contextmanager
def case_endpoint(answer: Callable[[int, Request], Reply] | None = None) -> Iterator[CaseEndpoint]:
    """Serve until the block ends."""
    told, lock = CaseEndpoint(answer or ruled(())), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # headers and body leave in one packet

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                told.requests.append(request)
                told.paths.append(self.path)
                told.headers.append(dict(self.headers))
                number = len(told.requests)
            status, headers, body = told.answer(number, request)
            self.send_response_only(status)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        told.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield told
        finally:
            server.shutdown()
            thread.join()


def rows(texts: Sequence[str]) -> list[tuple[Review, Origin]]:
    """Return reviews with these texts."""
    return [
        (
            Review(
                review_id=f"r{number}",
                user_id="u",
                business_id="b",
                stars=3.0,
                text=text,
                written_at=_WRITTEN,
            ),
            Origin(source="case", offset=number),
        )
        for number, text in enumerate(texts)
    ]


class ServedClock(FakeClock):
    """A clock that leaves a real server a moment in every wait, so as not to run away from it."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        await asyncio.sleep(0.001)


class OwnClock:
    """A labeller's part of a clock: what its limiter waits for is apart, as that has its own log.

    Attributes:
        sleeps: Waits of the labeller, in seconds.
    """

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.now, self.jitter = clock.now, clock.jitter
        self.sleeps: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        await self._clock.sleep(seconds)


class NotedLimiter(SharedLimiter):
    """A limiter that keeps what was reserved for each request, and what it used.

    Attributes:
        settled: Both, of each request that was sent.
    """

    def __init__(self, store: MemoryLimits, terms: LimitKey, clock: FakeClock) -> None:
        # Requests take real time and the clock is not: none of them is ever given up as dead.
        super().__init__(store, terms, clock, patience=10**6)
        self.settled: list[tuple[Amount, Amount]] = []

    def settle(self, reserved: Amount, used: Amount) -> None:
        self.settled.append((reserved, used))
        super().settle(reserved, used)


@dataclass
class Wired:
    """A labeller as `app.open_labeller` wires it, in a time that passes when it waits.

    Attributes:
        labeller: Over HTTP.
        clock: Of the labeller; only the time-out of a request is in real time.
        store: Limits and account.
        limiter: Of the labeller.
        spent: Micro-dollars of the account.
    """

    labeller: Labeller
    clock: OwnClock
    store: MemoryLimits
    limiter: NotedLimiter

    @property
    def spent(self) -> int:
        return self.store.spent.get("", 0)

    async def label(self, texts: Sequence[str]) -> list[LabelledReview | RejectedReview]:
        return await self.labeller.label(rows(texts))


@asynccontextmanager
async def wired(url: str, *, budget_usd: float | None = None, **given: Any) -> AsyncIterator[Wired]:
    """Return a labeller for an endpoint.

    Args:
        url: Its base URL; `$url` in a setting stands for it.
        budget_usd: Of the account.
        given: Of `OpenAISettings`.
    """
    base = str(given.pop("base_url", "$url")).replace("$url", url)
    given = {"api_key": SecretStr("sk-case"), "model": "some/model", **given}
    settings = priced(OpenAISettings(base_url=base, **given))
    clock = ServedClock()
    store, limits = MemoryLimits(clock), LimitsSettings(budget_usd=budget_usd)
    terms = limit_key(settings, limits)
    model = OpenAIChat.connect(settings)
    limiter, own = NotedLimiter(store, terms, clock), OwnClock(clock)
    labeller = Labeller(model, NoLedger(), limiter, own, label_policy(settings))
    try:
        yield Wired(labeller, own, store, limiter)
    finally:
        await model.aclose()
        await asyncio.sleep(0)
