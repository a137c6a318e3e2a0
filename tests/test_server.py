"""The server over real sockets: what it says, whom it lets in, and that no client harms another."""

import asyncio
import logging
import socket
import time

import httpx
import pytest
import websockets
from brokers import Server, until
from processes import energydash, free_port, interrupt, running
from servers import Live, reader_of, serving
from stream_tables import at, settings, write_all

from energydash import schema
from energydash.config import ServeSettings, parse_tokens
from energydash.errors import PortInUseError
from energydash.progress import silent
from energydash.server import app
from energydash.stream import publisher

TOKEN = "let-me-in"
STATIONS = (
    ("COAL", "VIC1", "coal_black"),
    ("FARM", "NSW1", "wind"),
    ("SUN", "NSW1", "solar_utility"),
)
CATALOGUE = schema.Catalogue(
    source="test",
    simulated=True,
    facilities=tuple(
        schema.FacilityInfo(
            code=code, name=f"{code} <b>station</b>", network="NEM", region=region, fueltech=fuel, status="operating"
        )
        for code, region, fuel in STATIONS
    ),
)  # fmt: skip
DEEP = '{"type":"ping","x":' + "[" * 16_000


def power(code, index, mw):
    return schema.FacilityRecord(
        event_time=at(index), facility_id=code, power=mw, emissions=1.0
    )


def price(index, value, region=None):
    return schema.MarketRecord(
        network_code="NEM",
        metric="price",
        event_time=at(index),
        value=value,
        network_region=region,
    )


def feed(live: Live) -> None:
    live.hub.broker_state(connected=True)
    live.hub.catalogue(CATALOGUE)
    live.hub.facilities([power(code, i, 100.0 + i) for i in range(3) for code, *_ in STATIONS])
    live.hub.market([price(i, 50.0 + i, region) for i in range(3) for region in (None, "NSW1")])
    live.fanout.tick(with_status=False)


async def refused(live: Live, **more) -> int:
    """Give the status with which the handshake was refused."""
    with pytest.raises(websockets.InvalidStatus) as caught:
        async with live.reader(**more):
            pass
    return caught.value.response.status_code


async def test_a_newcomer_gets_hello_then_all_then_each_change():
    async with serving() as live:
        feed(live)
        async with live.reader() as reader:
            frames = [await reader.frame() for _ in range(5)]
            live.hub.facilities([power("FARM", 3, 7.5)])
            live.hub.market([price(3, -20.0)])
            facility, market = await reader.until("facility_update"), await reader.frame()
            charts = await reader.frame()

    kinds = [frame["type"] for frame in frames]
    assert kinds == ["hello", "initial_data", "initial_market_data", "initial_charts", "status"]
    assert frames[0]["protocol"] == schema.PROTOCOL
    assert [f["code"] for f in frames[1]["facilities"]] == ["COAL", "FARM", "SUN"]
    assert frames[1]["values"]["power"] == [102.0, 102.0, 102.0]
    assert frames[3]["times"] == [at(i).isoformat() for i in range(3)]
    assert facility["values"]["facility_id"] == ["FARM"]
    assert facility["values"]["power"] == [7.5]
    assert market["values"][0]["value"] == -20.0
    assert charts["type"] == "charts_update"
    assert facility["seq"] == market["seq"] == charts["seq"] > frames[1]["seq"]


async def test_all_of_a_tick_comes_in_one_frame():
    async with serving() as live:
        feed(live)
        async with live.reader() as reader:
            await reader.greeting()
            live.hub.facilities([power("FARM", 3, 1.0)])
            live.hub.facilities([power("SUN", 3, 2.0)])
            live.hub.facilities([power("COAL", 3, 3.0), power("FARM", 3, 4.0)])
            update = await reader.until("facility_update")

    assert update["values"]["facility_id"] == ["COAL", "FARM", "SUN"]
    assert update["values"]["power"] == [3.0, 4.0, 2.0]


async def test_subscribe_narrows_what_comes():
    async with serving() as live:
        feed(live)
        async with live.reader() as reader:
            await reader.greeting()
            await reader.send(
                {"type": "subscribe", "filter": {"regions": ["NSW1"], "fuels": ["wind"]}}
            )
            frames = await reader.greeting(anew=True)
            live.hub.facilities([power("COAL", 3, 1.0)])
            live.fanout.tick(with_status=False)
            live.hub.facilities([power("FARM", 3, 2.0), power("SUN", 3, 3.0)])
            update = await reader.until("facility_update")

    assert [f["code"] for f in frames["initial_data"]["facilities"]] == ["FARM"]
    assert {v.get("network_region") for v in frames["initial_market_data"]["values"]} == {
        "NSW1"
    }
    assert [scope["scope"] for scope in frames["initial_charts"]["scopes"]] == ["NSW1"]
    assert update["values"]["facility_id"] == ["FARM"]


async def test_subscribe_chooses_channels():
    async with serving() as live:
        feed(live)
        async with live.reader() as reader:
            await reader.greeting()
            await reader.send({"type": "subscribe", "channels": ["market"]})
            assert "initial_market_data" in await reader.greeting(anew=True)
            live.hub.facilities([power("COAL", 3, 1.0)])
            live.hub.market([price(3, 1.0)])
            assert (await reader.until("facility_update", "market_update"))["values"]


async def test_ping_is_answered_with_the_status():
    async with serving(ticking=False) as live:
        feed(live)
        async with live.reader() as reader:
            await reader.greeting()
            await reader.send({"type": "ping"})
            status = await reader.frame()

    assert status["type"] == "status"
    assert (status["broker"], status["publisher"]) == ("connected", "live")
    assert (status["reporting"], status["facilities"]) == (3, 3)
    assert status["event_time"] == at(2).isoformat()


async def test_who_resumes_gets_what_was_missed():
    async with serving(ticking=False) as live:
        feed(live)
        async with live.reader() as reader:
            greeting = await reader.greeting()
            seq, stream = greeting["status"]["seq"], greeting["hello"]["stream"]
        for mw in (1.0, 2.0):
            live.hub.facilities([power("FARM", 3, mw)])
            live.fanout.tick(with_status=False)
        async with live.reader() as reader:
            await reader.greeting()
            await reader.send({"type": "resume", "seq": seq, "stream": stream})
            missed = [await reader.until("facility_update") for _ in range(2)]

    assert [frame["values"]["power"] for frame in missed] == [[1.0], [2.0]]


NONSENSE = [
    "hello",
    "",
    "[]",
    '"ping"',
    "{}",
    '{"type":"order"}',
    '{"type":"resume"}',
    '{"type":"resume","seq":"3"}',
    '{"type":"resume","seq":1e400}',
    '{"type":"subscribe","filter":{"regions":"NSW1"}}',
    '{"type":"subscribe","channels":[null]}',
    b'{"type":"ping"}',
    b"\xff\xfe\x00",
    "[" * 16_000,
    DEEP,
]


async def test_a_frame_that_makes_no_sense_ends_its_sender_alone(caplog):
    async with serving() as live:
        feed(live)
        async with live.reader() as other:
            await other.greeting()
            for number, message in enumerate(NONSENSE):
                async with live.reader() as reader:
                    await reader.greeting()
                    await reader.send(message)
                    error = await reader.until("error")
                    assert error["code"] == "malformed", message
                    assert error["detail"], message
                    assert await reader.end() == 1007, message
                live.hub.facilities([power("FARM", 4, float(number))])
                update = await other.until("facility_update")
                assert update["values"]["power"] == [float(number)], message
            await until(lambda: len(live.fanout.clients) == 1, "the senders are forgotten")
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_frame_that_is_too_large_ends_that_client_alone(caplog):
    async with serving() as live:
        feed(live)
        async with live.reader() as other, live.reader() as reader:
            await reader.greeting()
            await reader.send("[" * 100_000)
            assert await reader.end() == 1009
            live.hub.facilities([power("FARM", 4, 8.0)])
            assert (await other.until("facility_update"))["values"]["power"]
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_client_that_vanishes_without_a_word_is_forgotten(caplog):
    async with serving() as live:
        feed(live)
        async with live.reader() as reader:
            await reader.greeting()
            reader.connection.transport.abort()
            await until(lambda: not live.fanout.clients, "the client is forgotten")
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize(
    "more",
    [
        {"additional_headers": {"Authorization": f"Bearer {TOKEN}"}},
        {"additional_headers": {"Authorization": f"bearer {TOKEN}"}},
        {"additional_headers": {"Authorization": f"BEARER  {TOKEN}"}},
        {"subprotocols": [f"bearer.{TOKEN}"]},
        {"subprotocols": ["something", f"bearer.{TOKEN}"]},
    ],
    ids=["header", "small letters", "capitals", "subprotocol", "one of two subprotocols"],
)
async def test_the_token_opens_the_websocket(more):
    async with serving(tokens=parse_tokens([TOKEN])) as live, live.reader(**more) as reader:
        assert (await reader.frame())["type"] == "hello"
        wanted = f"bearer.{TOKEN}" if "subprotocols" in more else None
        assert reader.connection.subprotocol == wanted


NO_TOKENS = [
    {},
    {"additional_headers": {"Authorization": "Bearer wrong"}},
    {"additional_headers": {"Authorization": ""}},
    {"additional_headers": {"Authorization": f"Bearer {TOKEN[:-1]}"}},
    {"additional_headers": {"Authorization": TOKEN}},
    {"additional_headers": {"Authorization": f"Bearer{TOKEN}"}},
    {"additional_headers": {"Authorization": f"Basic {TOKEN}"}},
    {"subprotocols": [TOKEN]},
    {"subprotocols": ["bearer."]},
    {"subprotocols": [f"bearer.{TOKEN}x"]},
]


async def test_without_the_token_the_websocket_stays_shut():
    async with serving(tokens=parse_tokens([TOKEN])) as live:
        for more in NO_TOKENS:
            assert await refused(live, **more) == 403, more
        assert not live.fanout.clients


async def test_without_the_token_only_health_and_the_index_answer():
    async with serving(tokens=parse_tokens([TOKEN])) as live:
        feed(live)
        answers = [
            await live.get(path) for path in ("/api/facilities", "/api/metadata", "/metrics")
        ]
        named = await live.get(f"/api/facilities?token={TOKEN}")
        shown = await live.get("/api/facilities", headers={"Authorization": f"Bearer {TOKEN}"})
        public = [await live.get(path) for path in ("/", "/health")]

    for answer in (*answers, named):
        assert answer.status_code == 401
        assert "Bearer" in answer.json()["detail"]
        assert TOKEN not in answer.text
    assert [each.status_code for each in (shown, *public)] == [200, 200, 200]


@pytest.mark.parametrize("token", [TOKEN, "gehéim-世界"])
@pytest.mark.parametrize("shown", [b"\xff", "gehéim".encode(), "世界".encode()])
async def test_a_token_that_is_no_ascii_breaks_nothing(caplog, token, shown):
    async with serving(tokens=parse_tokens([token])) as live:
        refused = await live.get(
            "/api/facilities", headers={b"authorization": b"Bearer " + shown}
        )
        right = {b"authorization": b"Bearer " + token.encode()}
        answer = await live.get("/api/facilities", headers=right)
    assert (refused.status_code, answer.status_code) == (401, 200)
    assert caplog.records == []


async def test_a_page_from_elsewhere_is_refused(caplog):
    origins = "http://evil.example", "null", "http://127.0.0.1.evil.example", "http://[broken"
    async with serving() as live:
        for origin in origins:
            assert await refused(live, origin=origin) == 403, origin
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_page_of_this_machine_or_an_allowed_one_may_connect():
    async with serving(allow_origin=("https://grid.example",)) as live:
        for origin in ("http://127.0.0.1:8050", "https://grid.example", None):
            async with live.reader(origin=origin) as reader:
                assert (await reader.frame())["type"] == "hello"


async def test_health_says_why_it_is_not_ready_and_then_that_it_is():
    async with serving() as live:
        without_broker = await live.get("/health")
        live.hub.broker_state(connected=True)
        without_data = await live.get("/health")
        feed(live)
        ready = await live.get("/health")

    assert [a.status_code for a in (without_broker, without_data, ready)] == [503, 503, 200]
    assert "broker" in without_broker.json()["reason"]
    assert "no record" in without_data.json()["reason"]
    assert ready.json()["ready"] is True


async def test_rest_gives_what_the_hub_holds():
    async with serving() as live:
        feed(live)
        live.hub.facilities([power("FARM", 1, None)])
        answers = {
            path: (await live.get(path)).raise_for_status().json()
            for path in (
                "/",
                "/api/facilities",
                "/api/facilities?region=NSW1&fuel=wind",
                "/api/facilities/FARM",
                "/api/facilities/FARM/history",
                "/api/metadata",
                "/api/market/latest",
                "/api/market/NEM/price",
                "/api/charts/snapshot",
            )
        }
        metrics = (await live.get("/metrics")).raise_for_status()

    assert answers["/"]["websocket"] == "/ws/realtime"
    assert answers["/"]["health"]["ready"] is True
    assert answers["/api/facilities"]["total"] == 3
    narrowed = answers["/api/facilities?region=NSW1&fuel=wind"]["facilities"]
    assert [each["code"] for each in narrowed] == ["FARM"]
    assert answers["/api/facilities/FARM"]["power"] == 102.0
    history = answers["/api/facilities/FARM/history"]
    assert history["power"] == [100.0, None, 102.0]
    assert history["times"] == [at(i).isoformat() for i in range(3)]
    assert answers["/api/metadata"]["source"] == "test"
    assert {r["code"] for r in answers["/api/metadata"]["regions"]} >= {"NSW1", "TAS1"}
    assert [v["value"] for v in answers["/api/market/latest"]["values"]] == [52.0, 52.0]
    prices = answers["/api/market/NEM/price"]["values"]
    assert [v["value"] for v in prices] == [50.0, 50.0, 51.0, 51.0, 52.0, 52.0]
    charts = {s["scope"]: s for s in answers["/api/charts/snapshot"]["scopes"]}
    assert charts["NEM"]["generation"] == [300.0, 202.0, 306.0]
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'energydash_records_total{kind="facility",result="taken"} 10' in metrics.text


async def test_an_answer_is_not_held_back():
    """Nagle's algorithm against delayed acknowledgements costs 40 ms an answer."""
    async with serving() as live, httpx.AsyncClient(base_url=live.http) as client:
        feed(live)
        took = []
        for _ in range(60):
            started = time.monotonic()
            await client.get("/api/facilities")
            took.append(time.monotonic() - started)
    # A new connection is acknowledged at once for a while; from then on each answer would be late, on any machine.
    assert min(took[-20:]) < 0.035


ERRORS = [
    ("/api/facilities/NOBODY", 404, "NOBODY"),
    ("/api/facilities/NOBODY/history", 404, "NOBODY"),
    ("/api/facilities/" + "x" * 5000, 404, "xxx"),
    ("/api/market/NEM/weather", 404, "weather"),
    ("/api/market/MARS/price", 404, "MARS"),
    ("/api/nothing", 404, "Not Found"),
    ("/api/facilities?region=MARS", 400, "NSW1"),
    ("/api/facilities?fuel=dilithium", 400, "wind"),
]


async def test_what_is_not_there_is_one_clear_json_error():
    async with serving() as live:
        feed(live)
        for path, status, words in ERRORS:
            answer = await live.get(path)
            assert answer.status_code == answer.json()["status"] == status, path
            assert answer.headers["content-type"] == "application/problem+json"
            assert words in answer.json()["detail"]
            assert len(answer.text) < 1200


async def test_a_method_that_makes_no_sense_is_refused():
    async with serving() as live, httpx.AsyncClient() as client:
        answer = await client.post(f"{live.http}/api/facilities", json={})
    assert answer.status_code == 405
    assert answer.json()["detail"]


async def test_the_routes_are_described():
    async with serving() as live:
        document = (await live.get("/schema/openapi.json")).raise_for_status().json()
        page = await live.get("/schema")

    assert page.status_code == 200
    assert {
        "/health",
        "/api/facilities",
        "/api/facilities/{code}",
        "/api/facilities/{code}/history",
        "/api/metadata",
        "/api/market/latest",
        "/api/market/{network}/{metric}",
        "/api/charts/snapshot",
    } <= document["paths"].keys()
    assert document["info"]["title"] == "energydash"


async def test_a_reader_that_stalls_delays_nobody_and_catches_up():
    many = tuple(
        schema.FacilityInfo(
            code=f"S{n:03}", name="x", network="NEM", region="NSW1", fueltech="wind", status="operating"
        )
        for n in range(400)
    )  # fmt: skip
    async with serving(ticking=False) as live:
        live.hub.catalogue(schema.Catalogue(source="t", simulated=True, facilities=many))
        live.fanout.tick(with_status=False)
        async with live.reader() as quick, live.reader_that_stalls() as stalled:
            await quick.greeting()
            for step in range(150):
                values = [power(each.code, step // 60, float(step)) for each in many]
                live.hub.facilities(values)
                live.fanout.tick(with_status=False)
                update = await asyncio.wait_for(quick.until("facility_update"), 30)
                assert update["values"]["power"][0] == step
            # It reads on, and holds what the other holds without having seen all of it.
            seen = 0
            while True:
                frame = await stalled.until("facility_update", "initial_data")
                seen += 1
                if frame["values"].get("power", [None])[0] == 149.0:
                    break
            assert seen < 150


async def test_it_stops_with_clients_connected():
    async with serving() as live:
        feed(live)
        async with live.reader() as reader, live.reader_that_stalls():
            await reader.greeting()
            started = time.monotonic()
            live.task.cancel()
            ended = asyncio.create_task(reader.end())
            await asyncio.wait([live.task], timeout=30)
            assert live.task.cancelled()
            assert time.monotonic() - started < 30
            assert await ended in {1001, 1012}


async def test_a_port_in_use_is_said_in_one_line(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"port {port} is in use"):
            await app.serve(
                ServeSettings(broker=Server("embedded", tmp_path).address, port=port)
            )
        done = energydash("serve", "--quiet", "--port", str(port), cwd=tmp_path)

    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert f"port {port} is in use on 127.0.0.1" in line
    assert "--port" in line


async def test_a_lost_broker_is_told_at_once_and_its_return_too(tmp_path):
    write_all(tmp_path, 3)
    port = free_port()
    with Server("embedded", tmp_path) as broker:
        serve = ServeSettings(broker=broker.address, port=port)
        serving_task = asyncio.create_task(app.serve(serve))
        try:
            await publisher.run(settings(tmp_path, broker.address), silent)
            await until(lambda: answers(port), "the server answers")
            async with reader_of(f"ws://127.0.0.1:{port}/ws/realtime") as reader:
                await status_with(reader, "connected")
                # The next broker has no record to give.
                await ready(port)
                broker.kill()
                await status_with(reader, "disconnected")
                assert (await health(port)).status_code == 503
                broker.start()
                await status_with(reader, "connected")
                assert (await health(port)).status_code == 200
        finally:
            serving_task.cancel()
            await asyncio.wait([serving_task], timeout=30)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def health(port: int) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(f"http://127.0.0.1:{port}/health")


async def ready(port: int) -> None:
    async with asyncio.timeout(60):
        while (await health(port)).status_code != 200:
            pass


async def status_with(reader, broker: str) -> None:
    async with asyncio.timeout(60):
        while (await reader.until("status"))["broker"] != broker:
            pass


async def test_the_command_ends_with_130_on_ctrl_c_with_clients_connected(tmp_path):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (
        Server("embedded", tmp_path) as broker,
        running("serve", "--port", str(port), "--broker", broker.address.url, cwd=tmp_path) as process,
    ):  # fmt: skip
        await until(lambda: answers(port), "the server answers", 60)
        async with reader_of(f"ws://127.0.0.1:{port}/ws/realtime") as reader:
            await status_with(reader, "connected")
            code = await asyncio.to_thread(interrupt, process, 60)
            assert await reader.end() in {1001, 1012}
    assert code == 130
    said = (tmp_path / "stderr.txt").read_text()
    assert url in said
    assert "Traceback" not in said + (tmp_path / "logs/serve.log").read_text()
