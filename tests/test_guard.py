"""Whom the server lets in and how long it puts up with whom, over real sockets."""

import asyncio
import logging
import socket
import struct
import time
from contextlib import asynccontextmanager

import httpx
import pytest
import websockets
from brokers import until
from hypothesis import given
from hypothesis import strategies as st
from servers import serving, small_buffers
from test_server import feed, power, price, refused

from energydash.config import ConfigError, parse_tokens
from energydash.server import app, door, fanout, limits
from energydash.server.limits import Bucket, Doorkeeper, Limits, household

HANDSHAKE = (
    b"GET /ws/realtime HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@asynccontextmanager
async def line(live):
    """A bare connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def cut(reader: asyncio.StreamReader, within_s: float = 30) -> bytes:
    """Read until the server hangs up."""
    async with asyncio.timeout(within_s):
        try:
            return await reader.read(-1)
        except ConnectionError:
            return b""


# --- how many, how often ---


async def test_one_address_has_only_so_many_connections():
    async with serving(limits=Limits(connections_per_address=3)) as live:
        feed(live)
        async with live.reader() as one, live.reader(), line(live) as (_, third):
            await one.greeting()
            third.write(b"GET / ")
            async with line(live) as (fourth, _):
                answer = await cut(fourth)
            with pytest.raises(websockets.InvalidStatus) as caught:
                async with live.reader():
                    pass
        await until(lambda: live.doorkeeper.connections == 0, "all are counted out")
        async with live.reader() as again:
            assert (await again.frame())["type"] == "hello"

    assert answer.startswith(b"HTTP/1.1 429 ")
    assert b"application/problem+json" in answer
    assert caught.value.response.status_code == 429
    assert live.doorkeeper.turned_away["connections_per_address"] == 2


async def test_all_addresses_have_only_so_many_connections_together():
    async with serving(limits=Limits(connections=1, connections_per_address=0)) as live:
        async with live.reader(), line(live) as (second, _):
            assert (await cut(second)).startswith(b"HTTP/1.1 429 ")
        await until(lambda: live.doorkeeper.connections == 0, "it is counted out")
        assert (await live.get("/")).status_code == 200


async def test_who_asks_too_often_is_told_when_to_come_back(monkeypatch):
    # Two at once, and one more in a quarter of an hour.
    monkeypatch.setattr(limits, "_BURST_S", 2000.0)
    async with (
        serving(limits=Limits(requests_per_address=0.001)) as live,
        httpx.AsyncClient(base_url=live.http) as client,
    ):
        answers = [await client.get("/") for _ in range(5)]
        opened = await refused(live)

    codes = [answer.status_code for answer in answers]
    assert codes.index(429) >= 2
    assert codes[-1] == opened == 429
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert answers[-1].headers["content-type"] == "application/problem+json"
    assert answers[-1].json()["status"] == 429


def test_an_address_that_waits_may_ask_again():
    doorkeeper = Doorkeeper(Limits(requests_per_address=10))
    asked = [doorkeeper.ask("192.0.2.1", 0.0) for _ in range(50)]
    assert asked[:40] == [0.0] * 40
    assert all(wait > 0 for wait in asked[40:])
    assert doorkeeper.ask("192.0.2.2", 0.0) == 0.0
    assert doorkeeper.ask("192.0.2.1", asked[-1] + 0.001) == 0.0


def test_what_is_remembered_of_addresses_is_bounded(monkeypatch):
    monkeypatch.setattr("energydash.server.limits._ADDRESSES", 50)
    doorkeeper = Doorkeeper(Limits(requests_per_address=1))
    for number in range(500):
        doorkeeper.ask(f"192.0.{number // 250}.{number % 250}", number * 0.001)
    assert len(doorkeeper._asking) <= 50


def test_one_household_is_one_however_many_addresses_it_has():
    assert household("2001:db8::1") == household("2001:db8::ffff:2")
    assert household("2001:db8::1") != household("2001:db8:0:1::1")
    assert household("::ffff:192.0.2.7") == household("192.0.2.7") != household("192.0.2.8")


@given(
    st.lists(st.floats(0, 2), min_size=1, max_size=200), st.floats(0.5, 50), st.floats(1, 50)
)
def test_a_bucket_gives_no_more_than_its_rate_and_its_burst(pauses, rate, burst):
    now, bucket, given_out = 0.0, Bucket(rate, burst, 0.0), 0
    for pause in pauses:
        now += pause
        given_out += bucket.take(now)
        assert given_out <= burst + rate * now + 1e-6


# --- how long ---


async def test_who_hangs_up_within_the_handshake_is_counted_out():
    async with serving() as live:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", live.port)) as rude:
                await until(lambda: live.doorkeeper.connections == 1, "it has come")
                # Closed like this, it has no address any more by the time that its request is read.
                rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                rude.sendall(HANDSHAKE)
            await until(lambda: live.doorkeeper.connections == 0, "it is counted out")


@pytest.mark.parametrize(
    "said", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /"],
    ids=["nothing", "half a request", "a request and a half"],
)  # fmt: skip
async def test_a_request_that_does_not_end_is_hung_up_on(said, monkeypatch):
    monkeypatch.setattr(door, "REQUEST_WITHIN_S", 1.0)
    async with serving() as live, line(live) as (reader, writer):
        for byte in said:
            writer.write(bytes([byte]))
            await writer.drain()
        answer = await cut(reader)
        await until(lambda: live.doorkeeper.connections == 0, "it is counted out")
    assert answer.count(b"HTTP/1.1 200") == said.count(b"\r\n\r\n")


async def test_a_drip_does_not_keep_the_line_open(monkeypatch):
    monkeypatch.setattr(door, "REQUEST_WITHIN_S", 0.5)
    async with serving() as live, line(live) as (reader, writer):
        ended = asyncio.create_task(cut(reader, 60))
        while not ended.done():
            writer.write(b"GET / HTTP/1.1\r\n" if not reader.at_eof() else b"")
            await asyncio.wait([ended], timeout=0.05)
        await ended


async def test_an_answer_that_nobody_takes_is_hung_up_on(monkeypatch):
    monkeypatch.setattr(door, "REQUEST_WITHIN_S", 0.3)
    async with serving(ticking=False) as live:
        feed(live)
        for index in range(200):
            live.hub.facilities([power("FARM", index, float(index))])
        with socket.socket() as deaf:
            small_buffers(deaf)
            deaf.connect(("127.0.0.1", live.port))
            deaf.sendall(b"GET /api/charts/snapshot HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 20)
            await until(lambda: live.doorkeeper.connections == 1, "it has come")
            await until(lambda: live.doorkeeper.connections == 0, "it was hung up on")


@asynccontextmanager
async def taking_a_large_answer(live):
    """A client with a small window that has asked for some 200 kB; gives its streams and the answer's length."""
    feed(live)
    live.hub.market([price(index, float(n), f"R{n}") for n in range(400) for index in range(4)])
    with socket.socket() as raw:
        small_buffers(raw)
        raw.connect(("127.0.0.1", live.port))
        reader, writer = await asyncio.open_connection(sock=raw, limit=4096)
        writer.write(b"GET /api/market/NEM/price HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        yield reader, writer, int(head.partition(b"content-length: ")[2].split()[0])
        writer.close()


async def test_who_reads_slowly_gets_the_whole_answer(monkeypatch):
    monkeypatch.setattr(door, "REQUEST_WITHIN_S", 2.0)
    async with (
        serving(ticking=False) as live,
        taking_a_large_answer(live) as (reader, _, length),
    ):
        got, started = 0, time.monotonic()
        while got < length and (some := await asyncio.wait_for(reader.read(4096), 30)):
            got += len(some)
            await asyncio.sleep(0.1)  # its line is slow
    assert got == length > 150_000
    assert time.monotonic() - started > 1.5 * door.REQUEST_WITHIN_S


async def test_nobody_is_hung_up_on_because_the_server_stood_still(monkeypatch):
    monkeypatch.setattr(door, "REQUEST_WITHIN_S", 0.5)
    async with (
        serving(ticking=False) as live,
        taking_a_large_answer(live) as (reader, _, length),
    ):
        # A first look has found it reading, and all that lies between the two is full.
        await asyncio.sleep(0.53)
        time.sleep(1.0)  # noqa: ASYNC251 (the loop is to stand still)
        await asyncio.wait_for(reader.readexactly(length), 60)


async def test_half_a_request_after_a_large_answer_is_hung_up_on(monkeypatch):
    monkeypatch.setattr(door, "REQUEST_WITHIN_S", 0.5)
    async with (
        serving(ticking=False) as live,
        taking_a_large_answer(live) as (reader, writer, length),
    ):
        await asyncio.wait_for(reader.readexactly(length), 30)
        writer.write(b"GET / HT")
        assert await cut(reader) == b""


async def test_a_client_that_has_died_without_a_word_is_hung_up_on(monkeypatch):
    monkeypatch.setattr(app, "PING_EVERY_S", 0.2)
    monkeypatch.setattr(app, "PONG_WITHIN_S", 4.0)
    monkeypatch.setattr(door, "_LINGER_S", 0.2)
    async with serving() as live, line(live) as (_, writer):
        feed(live)
        # It opens the WebSocket, and never answers a ping.
        writer.write(HANDSHAKE)
        await until(lambda: len(live.fanout.clients) == 1, "it has come")
        async with live.reader() as alive, asyncio.timeout(30):
            await alive.greeting()
            while (await alive.until("status"))["clients"] != 1:
                pass


async def test_a_reader_that_takes_nothing_is_hung_up_on(monkeypatch):
    monkeypatch.setattr(fanout, "STALLED_S", 0.5)
    async with serving() as live:
        feed(live)
        with socket.socket() as deaf:
            small_buffers(deaf)
            deaf.connect(("127.0.0.1", live.port))
            deaf.sendall(HANDSHAKE)
            await until(lambda: len(live.fanout.clients) == 1, "it has come")
            async with live.reader() as fine:
                number = 0
                while len(live.fanout.clients) > 1:
                    number += 1
                    assert number < 3000
                    live.hub.facilities([power(f"X{n}", 3, float(number)) for n in range(900)])  # fmt: skip
                    await asyncio.wait_for(fine.until("facility_update"), 30)
    assert live.fanout.figures.closed == {"stalled": 1}


async def test_who_says_goodbye_and_does_not_read_is_gone_all_the_same(monkeypatch):
    monkeypatch.setattr(door, "_LINGER_S", 0.3)
    async with serving(ticking=False) as live:
        feed(live)
        live.hub.facilities([power(f"X{n}", 1, float(n)) for n in range(1500)])
        with socket.socket() as deaf:
            small_buffers(deaf)
            deaf.connect(("127.0.0.1", live.port))
            deaf.sendall(HANDSHAKE)
            await until(lambda: len(live.fanout.clients) == 1, "it has come")
            assert any(client.outlet.buffered for client in live.fanout.clients)
            deaf.sendall(b"\x88\x80\0\0\0\0")
            await until(lambda: live.doorkeeper.connections == 0, "it is gone")


# --- who ---

TOKENS = ["alice:wonderland", "bob:builder", "plain-one"]


async def test_each_of_several_tokens_opens_and_its_name_is_in_the_log(caplog):
    caplog.set_level(logging.DEBUG, "energydash.server.ws")
    async with serving(tokens=parse_tokens(TOKENS)) as live:
        feed(live)
        for secret in ("wonderland", "builder", "plain-one"):
            headers = {"Authorization": f"Bearer {secret}"}
            assert (await live.get("/api/metadata", headers=headers)).status_code == 200
            async with live.reader(additional_headers=headers) as reader:
                await reader.greeting()
        for secret in ("alice:wonderland", "alice", "bob", "wonderland2"):
            headers = {"Authorization": f"Bearer {secret}"}
            assert (await live.get("/api/metadata", headers=headers)).status_code == 401
            assert await refused(live, additional_headers=headers) == 403
        await until(lambda: not live.fanout.clients, "all are gone")
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert "alice has come" in said
    assert "token-3 has come" in said
    for secret in ("wonderland", "builder", "plain-one"):
        assert secret not in said


@pytest.mark.parametrize("texts", [["", "a"], ["name:"], [":secret"], ["a:1", "a:2"]])
def test_tokens_that_cannot_be_told_apart_are_refused(texts):
    with pytest.raises(ConfigError, match="--token"):
        parse_tokens(texts)


async def test_a_strangers_name_for_this_machine_is_refused():
    """A page whose name was made to point here (DNS rebinding) may not read."""
    async with serving(allow_origin=("https://grid.example",)) as live:
        feed(live)
        for host, code in (
            ("evil.example", 403),
            ("evil.example:8000", 403),
            ("localhost:8000", 200),
            ("[::1]", 200),
            ("grid.example", 200),
        ):
            assert (await live.get("/api/metadata", headers={"Host": host})).status_code == code
        with socket.create_connection(("127.0.0.1", live.port)) as bare:
            bare.sendall(HANDSHAKE.replace(b"127.0.0.1", b"evil.example"))
            await asyncio.to_thread(bare.settimeout, 60)
            answer = await asyncio.to_thread(bare.recv, 100)
    assert answer.startswith(b"HTTP/1.1 403")


async def test_with_a_token_the_name_does_not_matter():
    async with serving(tokens=parse_tokens(["s3cret"])) as live:
        headers = {"Host": "grid.example", "Authorization": "Bearer s3cret"}
        assert (await live.get("/api/metadata", headers=headers)).status_code == 200
