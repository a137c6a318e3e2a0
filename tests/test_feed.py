"""The dashboard's way to its server: whatever answers there, it goes on and comes back; what failed to come is asked for again."""

import asyncio
import base64
import hashlib
import json
import re
import socket
import time
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace

import pytest
from proxies import Proxy, standing
from servers import serving
from test_store import at, begin, charts, values

from energydash import schema
from energydash.config import UiSettings
from energydash.ui import backfill, feed
from energydash.ui.store import Stage, Store

LIMIT_S = 60
KEY = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def page(status="200 OK", *headers, body=b"<h1>Back soon</h1>"):
    lines = (f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}")
    return lambda _: "\r\n".join((*lines, "", "")).encode() + body


def upgraded(*frames, extension=""):
    """Say yes to a WebSocket, and then frames of bytes."""

    def answer(request):
        key = re.search(rb"Sec-WebSocket-Key: (\S+)", request, re.IGNORECASE)[1].decode()
        accept = base64.b64encode(hashlib.sha1((key + KEY).encode()).digest()).decode()
        lines = ("HTTP/1.1 101 Switching", "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accept}")  # fmt: skip
        head = "\r\n".join((*lines, *filter(None, [extension]), "", "")).encode()
        return head + b"".join(_frame(each) for each in frames)

    return answer


def _frame(payload):
    size = len(payload)
    return b"\x82" + (bytes([size]) if size < 126 else b"\x7f" + size.to_bytes(8)) + payload


ANSWERS = {
    "a page": page(),
    "nothing to say": lambda _: b"HTTP/1.1 204 No Content\r\n\r\n",
    "a refusal": page("503 Service Unavailable"),
    "another place": page("302 Found", "Location: ftp://elsewhere/"),
    "no gzip": page("200 OK", "Content-Encoding: gzip"),
    "headers without end": lambda _: b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000,
    "another protocol": lambda _: b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "an unknown extension": upgraded(extension="Sec-WebSocket-Extensions: permessage-deflate"),
    "no text": upgraded(b'{"type":"\xff"}'),
    "depth without end": upgraded(b'{"type":"hello","x":' + b"[" * 200_000),
    "a contradiction": upgraded(
        json.dumps(
            {"type": "facility_update", "seq": 1, "values": {"times": [], "at": [4], "facility_id": ["A"], "power": [1.0], "emissions": [None]}}
        ).encode()
    ),
}  # fmt: skip


class Door(Proxy):
    """A way to a server, where something else may answer in its stead."""

    answer = None
    answered = 0

    async def _serve(self, reader, writer):
        if self.answer is None:
            await super()._serve(reader, writer)
            return
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                request = await reader.readuntil(b"\r\n\r\n")
                writer.write(self.answer(request))
                await writer.drain()
        finally:
            writer.close()
        self.answered += 1


def door_to(port):
    return standing(Door(port))


async def until(condition, what):
    try:
        async with asyncio.timeout(LIMIT_S):
            while not condition():  # noqa: ASYNC110 (no event tells it)
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"not within {LIMIT_S} s: {what}")


@asynccontextmanager
async def at_work(coroutine):
    """Do it in the background; it must not end by itself."""
    task = asyncio.create_task(coroutine)
    try:
        yield task
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_whatever_answers_instead_of_the_server_the_page_says_so_and_comes_back(
    answer, monkeypatch
):
    monkeypatch.setattr(feed, "_PAUSES_S", (0.05,))
    store = Store()
    async with serving() as live, door_to(live.port) as door:
        settings = UiSettings(backend=f"ws://127.0.0.1:{door.port}/ws/realtime")
        async with at_work(feed.run(settings, store, lambda: None)) as task:
            await until(lambda: store.status is not None, "the server's status")
            door.answer = answer
            door.tear()
            await until(lambda: door.answered > 2 or task.done(), "three answers")
            assert not task.done()
            await until(lambda: store.stage() is Stage.SERVER, "the server is named")

            door.answer = None
            await until(lambda: store.connected, "the stream again")


def outdated(codes):
    """A store with values that the server has corrected since: 5 MW of each station, where it says 8."""
    store = Store()
    begin(store, *codes)
    store.link(connected=True)
    store.apply(charts([at(i) for i in range(6)], reporting=0))
    store.apply(
        schema.FacilityUpdate(seq=1, values=values(*[(code, 1, 5.0) for code in codes]))
    )
    return store


def history(code):
    told = json.loads(schema.encode(values((code, 1, 8.0))))
    return page("200 OK", "Content-Type: application/json", body=json.dumps(told).encode())


FAILURES = {
    **{name: ANSWERS[name] for name in ("a page", "a refusal", "another place", "no gzip", "headers without end", "another protocol")},
    "no text": page(body=b'{"times":[],"at":[],"facility_id":["\xff"],"power":[],"emissions":[]}'),
    "depth without end": page(body=b'{"x":' + b"[" * 200_000),
    "a contradiction": page(body=b'{"times":[],"at":[4],"facility_id":["A"],"power":[1.0],"emissions":[null]}'),
}  # fmt: skip


@pytest.mark.parametrize("answer", FAILURES.values(), ids=FAILURES)
async def test_a_past_that_could_not_be_had_is_asked_for_until_it_comes(answer, monkeypatch):
    monkeypatch.setattr(backfill, "_REST_S", 0.01)
    monkeypatch.setattr(backfill, "_LOOK_EVERY_S", 0.02)
    store = outdated(["A"])
    async with door_to(0) as door:
        door.answer = answer
        settings = UiSettings(backend=f"ws://127.0.0.1:{door.port}/ws/realtime")
        async with at_work(backfill.run(settings, store, lambda: None)) as task:
            await until(lambda: door.answered > 3 or task.done(), "four questions")
            assert not task.done()
            assert store.instant(at(1)).of("A").power == 5.0

            door.answer = history("A")
            await until(lambda: store.instant(at(1)).of("A").power == 8.0, "the correction")


async def test_what_a_lost_line_has_kept_from_being_asked_is_asked_once_it_is_back(
    monkeypatch, caplog
):
    monkeypatch.setattr(backfill, "_REST_S", 0.05)
    monkeypatch.setattr(backfill, "_LOOK_EVERY_S", 0.02)
    caplog.set_level("INFO")
    codes = [f"S{n}" for n in range(40)]
    store = outdated(codes)

    def answer(request):
        # It drops at the first question, and is resumed: no snapshot comes then.
        if not door.answered:
            store.link(connected=False)
        return history(re.search(rb"facilities/(\w+)/", request)[1].decode())(request)

    def known():
        return {store.instant(at(1)).of(code).power for code in codes}

    async with door_to(0) as door:
        door.answer = answer
        settings = UiSettings(backend=f"ws://127.0.0.1:{door.port}/ws/realtime")
        async with at_work(backfill.run(settings, store, lambda: None)):
            await until(lambda: "stations has come" in caplog.text, "the asking is given up")
            assert 5.0 in known()
            store.link(connected=True)
            await until(lambda: known() == {8.0}, "every correction")


async def test_a_loop_that_stood_still_takes_what_has_come_meanwhile_for_a_sign_of_life(
    monkeypatch,
):
    monkeypatch.setattr(feed, "_SILENCE_S", 0.2)
    here, there = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=here)
    line = SimpleNamespace(read_message=lambda: reader.readexactly(5))
    waiting = asyncio.create_task(feed._message(line))
    for _ in range(5):
        await asyncio.sleep(0)
    there.send(b"frame")
    time.sleep(0.4)  # noqa: ASYNC251 (the loop is to stand still)
    assert await waiting == b"frame"

    with pytest.raises(TimeoutError):
        await feed._message(line)
    there.close()
    writer.close()


def test_what_did_not_come_is_due_again_after_a_rest_that_grows_to_its_limit():
    now = 1000.0
    store = outdated(["A", "B"])
    gaps = backfill.Gaps(lambda: now)
    rests = []
    assert gaps.due(store) == ["A", "B"]
    for _ in range(200):
        gaps.asked(["A", "B"], ["B"])
        assert gaps.due(store) == []
        began = now
        while not (due := gaps.due(store)):
            now += 1.0
        assert due == ["B"]
        rests.append(now - began)
    gaps.asked(["B"], [])

    assert rests[:4] == [10.0, 20.0, 40.0, 60.0]
    assert max(rests) == 60.0
    now += 1000.0
    assert gaps.due(store) == []

    # What is to be asked for another reason does not wait.
    gaps.asked(["B"], ["B"])
    store.apply(charts([at(1)], reporting=0, fuel=11.0))
    assert gaps.due(store) == ["A", "B"]
