"""The WebSocket's protocol beyond the greeting: encodings, views in the address, and what the server does not put up with."""

import asyncio
import json
import zlib

import msgspec
import pytest
from brokers import until
from servers import Reader, reader_of, serving
from test_server import feed, power, price
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode

from energydash.server.framing import JSON_PROTOCOL, MSGPACK_PROTOCOL


async def raw(reader: Reader) -> str | bytes:
    async with asyncio.timeout(30):
        return await reader.connection.recv()


async def test_a_client_may_choose_messagepack_and_talk_it():
    async with serving(ticking=False) as live:
        feed(live)
        async with (
            live.reader() as text,
            live.reader(subprotocols=[MSGPACK_PROTOCOL, JSON_PROTOCOL]) as packed,
        ):
            assert packed.connection.subprotocol == MSGPACK_PROTOCOL
            frames = [(json.loads(await raw(text)), msgspec.msgpack.decode(await raw(packed))) for _ in range(5)]  # fmt: skip
            await packed.send(msgspec.msgpack.encode({"type": "subscribe", "channels": ["market"]}))  # fmt: skip
            kinds = [msgspec.msgpack.decode(await raw(packed))["type"] for _ in range(2)]

    for one, other in frames[1:4]:
        assert one == other
    assert [other["type"] for _, other in frames] == [one["type"] for one, _ in frames]
    assert kinds == ["initial_market_data", "status"]


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ([JSON_PROTOCOL], JSON_PROTOCOL),
        (["something", JSON_PROTOCOL, MSGPACK_PROTOCOL], JSON_PROTOCOL),
        (["something"], None),
        (None, None),
    ],
)
async def test_without_a_word_it_is_json(offered, chosen):
    async with serving() as live:
        feed(live)
        async with live.reader(subprotocols=offered) as reader:
            assert reader.connection.subprotocol == chosen
            assert (await reader.frame())["type"] == "hello"


@pytest.mark.parametrize("bits", [None, 10, 15])
async def test_frames_come_deflated_to_who_offers_it(bits):
    deflate = ClientPerMessageDeflateFactory(server_max_window_bits=bits)
    async with serving() as live:
        feed(live)
        async with (
            live.reader(compression=None) as plain,
            live.reader(compression=None, extensions=[deflate]) as reader,
        ):
            (extension,) = reader.connection.protocol.extensions
            assert extension.remote_no_context_takeover
            assert not plain.connection.protocol.extensions
            first, second = await plain.greeting(), await reader.greeting()
            await reader.send({"type": "subscribe", "channels": ["charts"]})
            assert "initial_charts" in await reader.greeting(anew=True)
            live.hub.facilities([power("FARM", 4, 1.0)])
            assert (await reader.until("charts_update"))["times"]

    for kind in ("initial_data", "initial_market_data", "initial_charts"):
        assert first[kind] == second[kind]


async def test_the_address_holds_the_first_wish():
    async with serving() as live:
        feed(live)
        url = f"{live.ws}?regions=NSW1,VIC1&fuels=wind,coal_black&facilities=COAL&facilities=SUN&channels=facilities,charts"  # fmt: skip
        async with reader_of(url) as reader:
            frames = await reader.greeting()
            live.hub.facilities([power("FARM", 3, 1.0), power("COAL", 3, 2.0)])
            update = await reader.until("facility_update")

    assert list(frames) == ["hello", "initial_data", "initial_charts", "status"]
    assert [f["code"] for f in frames["initial_data"]["facilities"]] == ["COAL"]
    assert {s["scope"] for s in frames["initial_charts"]["scopes"]} == {"NSW1", "VIC1"}
    assert update["values"]["facility_id"] == ["COAL"]


async def test_who_comes_back_by_the_address_gets_what_was_missed_and_no_snapshot():
    async with serving(ticking=False) as live:
        feed(live)
        async with reader_of(f"{live.ws}?regions=NSW1") as reader:
            greeting = await reader.greeting()
        live.hub.facilities([power("FARM", 3, 7.0), power("COAL", 3, 8.0)])
        live.fanout.tick(with_status=False)
        last = f"stream={greeting['hello']['stream']}&seq={greeting['status']['seq']}"
        async with reader_of(f"{live.ws}?regions=NSW1&{last}") as reader:
            frames = await reader.greeting()

    assert list(frames) == ["hello", "facility_update", "charts_update", "status"]
    assert frames["facility_update"]["values"]["facility_id"] == ["FARM"]


@pytest.mark.parametrize(
    ("address", "message", "code", "words"),
    [
        ("?regions=MARS", None, "unknown_filter", "NSW1"),
        ("?channels=weather", None, "malformed", "weather"),
        ("?seq=often", None, "malformed", "int"),
        (f"?facilities={'X' * 65}", None, "malformed", "64"),
        ("", {"type": "subscribe", "filter": {"fuels": ["dilithium"]}}, "unknown_filter", "wind"),
        ("", {"type": "subscribe", "filter": {"regions": ["NSW1", "<b>"]}}, "unknown_filter", "<b>"),
        ("", {"type": "subscribe", "channels": ["weather"]}, "malformed", "weather"),
        ("", {"type": "subscribe", "filter": {"facilities": [f"F{n}" for n in range(1001)]}}, "malformed", "1000"),
    ],
)  # fmt: skip
async def test_a_wish_that_cannot_be_met_is_an_error_and_a_close(address, message, code, words):
    async with serving() as live:
        feed(live)
        async with reader_of(live.ws + address) as reader:
            if message:
                await reader.greeting()
                await reader.send(message)
            error = await reader.until("error")
            assert await reader.end() == 1007

    assert error["code"] == code
    assert words in error["detail"]


async def test_wishes_that_come_too_often_are_an_error_and_a_close():
    async with serving() as live:
        feed(live)
        async with live.reader() as reader:
            for number in range(30):
                await reader.send({"type": "resume", "seq": number})
            error = await reader.until("error")
            assert await reader.end() == 1008
        assert error["code"] == "too_frequent"
        assert live.fanout.figures.closed == {"too_frequent": 1}


async def test_frames_that_come_too_often_are_an_error_and_a_close():
    async with serving() as live:
        feed(live)
        async with live.reader() as reader:
            await reader.greeting()
            for _ in range(300):
                reader.connection.protocol.send_ping(b"x")
            reader.connection.send_data()
            error = await reader.until("error")
            assert await reader.end() == 1008
    assert error["code"] == "too_frequent"


async def test_pings_in_measure_are_answered():
    async with serving() as live, live.reader() as reader:
        await reader.frame()
        for _ in range(20):
            async with asyncio.timeout(30):
                await (await reader.connection.ping())


def deflated(text: str) -> Frame:
    packer = zlib.compressobj(wbits=-15)
    data = packer.compress(text.encode()) + packer.flush(zlib.Z_SYNC_FLUSH)
    return Frame(Opcode.TEXT, data[:-4], rsv1=True)


async def push(reader: Reader, data: bytes) -> None:
    """Send bytes past the client library, which would not send the like."""
    reader.connection.transport.write(data)


def masked(frame: Frame) -> bytes:
    head = bytearray(frame.serialize(mask=False)) if not frame.rsv1 else None
    if head is None:
        plain = Frame(frame.opcode, frame.data, frame.fin)
        head = bytearray(plain.serialize(mask=False))
        head[0] |= 0x40
    size = {126: 4, 127: 10}.get(head[1], 2)
    head[1] |= 0x80
    return bytes(head[:size]) + bytes(4) + bytes(head[size:])


def bomb() -> bytes:
    """Fifty megabytes in fifty kilobytes."""
    return masked(deflated('{"type":"ping","x":"' + "a" * 50_000_000 + '"}'))


@pytest.mark.parametrize(
    ("data", "code", "close"),
    [
        (bomb, "too_large", 1009),
        (bytes([0x81, 0xFF]) + (1 << 40).to_bytes(8) + bytes(4), "too_large", 1009),
        (masked(Frame(Opcode.TEXT, b"{", fin=False)) + masked(Frame(Opcode.CONT, b"", fin=False)) * 90, "too_large", 1009),
        (b"\x81\x01x", "malformed", 1002),
        (masked(Frame(Opcode.TEXT, b"\xff\xfe")), "malformed", 1007),
        (b"\xf3\x80" + bytes(4), "malformed", 1002),
    ],
    ids=["compression bomb", "giant frame", "endless fragments", "not masked", "no UTF-8", "reserved bits"],
)  # fmt: skip
async def test_what_breaks_the_protocol_is_an_error_and_a_close(data, code, close):
    deflate = ClientPerMessageDeflateFactory()
    async with serving() as live:
        feed(live)
        async with live.reader() as other, live.reader(compression=None, extensions=[deflate]) as reader:  # fmt: skip
            await reader.greeting()
            await push(reader, data() if callable(data) else data)
            error = await reader.until("error")
            assert error["code"] == code
            assert await reader.end() == close
            await until(lambda: len(live.fanout.clients) == 1, "it is forgotten")
            live.hub.market([price(4, 1.0)])
            assert await other.until("market_update")


async def test_different_filters_are_limited(monkeypatch):
    monkeypatch.setattr("energydash.server.fanout.MAX_VIEWS", 3)
    async with serving() as live:
        feed(live)
        async with (
            reader_of(f"{live.ws}?facilities=A"),
            reader_of(f"{live.ws}?facilities=B") as second,
            reader_of(f"{live.ws}?facilities=C"),
            reader_of(f"{live.ws}?facilities=C"),
        ):
            await second.greeting()
            await until(lambda: len(live.fanout.clients) == 4, "all have come")
            async with reader_of(f"{live.ws}?facilities=D") as reader:
                assert (await reader.until("error"))["code"] == "too_many_views"
                assert await reader.end() == 1013
