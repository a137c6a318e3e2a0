"""What goes wrong on the way to an API, on request: a queue of faults, each for some of the requests."""

import asyncio
import itertools
from dataclasses import dataclass
from email.utils import format_datetime

import msgspec
from standin_rules import error_body

_JSON = (("content-type", "application/json"),)
_HTML = (("content-type", "text/html; charset=UTF-8"),)


@dataclass(frozen=True)
class Reply:
    status: int
    content: bytes = b""
    headers: tuple = _JSON


@dataclass(frozen=True)
class Fault:
    """Another reply than the true one, or the true one late or cut short.

    `cut` is "connection": hang up before a byte is sent; "stream": hang up in the middle of a body of unsaid length;
    "length": hang up before the body is as long as its Content-Length; "json": a whole message that holds half the JSON.
    """

    reply: Reply | None = None
    delay_s: float = 0.0
    cut: str = ""


def _refusing(status, text, *headers, **more):
    return Fault(Reply(status, msgspec.json.encode(error_body(text) | more), (*_JSON, *headers)))  # fmt: skip


def quota():
    """What a key is told that is unknown, revoked or over its quota: one cannot tell which."""
    return _refusing(401, "Authentication failed")


def rate_limited(retry_after_s=None, *, until=None):
    """429, to retry after so many seconds, or at a moment in UTC by an HTTP date, or nobody says when."""
    headers, more = [], {}
    if retry_after_s is not None:
        headers, more = [("retry-after", str(retry_after_s))], {"retry_after_seconds": retry_after_s}  # fmt: skip
    if until is not None:
        headers = [("retry-after", format_datetime(until, usegmt=True))]
    return _refusing(429, "Rate limit exceeded", *headers, **more)


def failing():
    return _refusing(500, "An internal server error occurred. Please try again later.")


def maintenance():
    return _refusing(503, "Maintenance Mode")


def gateway(status=502):
    """The HTML of the proxy in front: 502 or 504, say."""
    title = {502: "Bad gateway", 504: "Gateway time-out"}.get(status, "Error")
    page = f"<!DOCTYPE html><html><head><title>{status}: {title}</title></head><body><h1>{title}</h1></body></html>"
    return Fault(Reply(status, page.encode(), _HTML))


def slow(delay_s):
    """The true reply, so much later; who hangs up before is not waited for."""
    return Fault(delay_s=delay_s)


def dropped():
    return Fault(cut="connection")


def torn():
    return Fault(cut="stream")


def short():
    return Fault(cut="length")


def half_json():
    return Fault(cut="json")


class Faults:
    """Faults in the order in which they were added; of those that a request meets, the first happens."""

    def __init__(self):
        self._waiting = []

    def add(self, fault, *, route="", after=0, times=1):
        """Let a fault happen to requests whose path (without /v4) starts with `route`.

        The first `after` of them, counted from now, go well; then `times` fail: None for all from there on.
        """
        self._waiting.append(_Waiting(fault, route, after, times))

    def clear(self):
        self._waiting.clear()

    def take(self, path):
        """Give the fault that a request for a path meets, or None; every fault counts it."""
        due = [each for each in list(self._waiting) if path.startswith(each.route) and each.counts()]  # fmt: skip
        return due[0].happen() if due else None


@dataclass
class _Waiting:
    fault: Fault
    route: str
    after: int
    times: int | None

    def counts(self):
        """Count a request; tell whether it is past those that go well."""
        if self.after > 0:
            self.after -= 1
            return False
        return self.times is None or self.times > 0

    def happen(self):
        if self.times is not None:
            self.times -= 1
        return self.fault


async def send_reply(reply, fault, receive, send):
    """Send a reply as the fault, if any, has it."""
    cut = fault.cut if fault else ""
    if fault and fault.delay_s:
        await _gone_within(fault.delay_s, receive)
    if cut == "connection":
        await _hang_up(receive, send)
        return
    content = reply.content[: len(reply.content) // 2] if cut == "json" else reply.content
    headers = [(name.encode(), value.encode()) for name, value in reply.headers]
    if cut != "stream":
        headers.append((b"content-length", str(len(content)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    if cut in {"stream", "length"}:
        half = content[: len(content) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        await _hang_up(receive, send)
        return
    await send({"type": "http.response.body", "body": content})


async def _gone_within(seconds, receive):
    """Wait, but no longer than the client does, so that a stand-in need not outlive its test."""
    try:
        async with asyncio.timeout(seconds):
            await _disconnected(receive)
    except TimeoutError:
        pass


async def _hang_up(receive, send):
    # ASGI knows no way to drop a connection; uvicorn's `send` is a method of what owns it.
    send.__self__.transport.close()
    await _disconnected(receive)


async def _disconnected(receive):
    for _ in itertools.count():
        if (await receive())["type"] == "http.disconnect":
            return
