"""Three servers that send a grid's intervals to WebSocket clients: ours, FastAPI's and the bare `websockets` library's.

Each runs in a process of its own, pinned to one core, and is told what to do through a pipe. A grid's interval changes every
facility. When each interval's tick began is kept in memory that all processes see, on the machine's one monotonic clock.
"""

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from multiprocessing.connection import Connection

import websockets.asyncio.server

from energydash import nem, schema
from energydash.config import FACILITY_TOPIC, MARKET_TOPIC, Broker, ServeSettings
from energydash.server import app
from energydash.server.fanout import Fanout
from energydash.server.hub import Hub
from energydash.server.limits import Doorkeeper, Limits
from energydash.stream import subscriber

FACILITIES = 500
KNOWN_INTERVALS = 288
"""What a hub here knows before anything is measured: a day, which is its snapshot."""

START = datetime(2026, 1, 5, tzinfo=nem.NEM_ZONE)
CORE = 0

# --- a grid as large as the NEM's ----------------------------------------------------------------------


def catalogue() -> schema.Catalogue:
    regions, fuels = nem.NEM_REGIONS, sorted(nem.FUELTECHS)
    return schema.Catalogue(
        source="benchmark",
        simulated=True,
        facilities=tuple(
            schema.FacilityInfo(
                code=f"STATION{n}", name=f"Station number {n}", network="NEM", region=regions[n % len(regions)],
                fueltech=fuels[n % len(fuels)], status="operating", capacity=100.0 + n, longitude=150.0, latitude=-33.0,
            )
            for n in range(FACILITIES)
        ),
    )  # fmt: skip


def stations(interval: int) -> list[schema.FacilityRecord]:
    moment = START + interval * nem.INTERVAL
    return [
        schema.FacilityRecord(
            event_time=moment, facility_id=f"STATION{n}", power=(n * 7919 + interval * 10_007) % 40_000 / 100, emissions=(n * 6133 + interval * 7717) % 30_000 / 1000
        )
        for n in range(FACILITIES)
    ]  # fmt: skip


def market(interval: int) -> list[schema.MarketRecord]:
    moment = START + interval * nem.INTERVAL
    return [
        schema.MarketRecord(
            network_code="NEM", metric=metric, event_time=moment, value=50.0 + interval % 90, network_region=region
        )
        for metric in ("price", "demand")
        for region in (None, *nem.NEM_REGIONS)
    ]  # fmt: skip


def give(hub: Hub, interval: int) -> None:
    hub.facilities(stations(interval))
    hub.market(market(interval))


def filled() -> Hub:
    """A hub that knows a day."""
    hub = Hub()
    hub.broker_state(connected=True)
    hub.catalogue(catalogue())
    for interval in range(KNOWN_INTERVALS):
        give(hub, interval)
    while hub.tick():
        pass
    return hub


# --- the servers ---------------------------------------------------------------------------------------


def mark(hub: Hub, began: Sequence[float]) -> None:
    """Note when each tick began, by its number, in memory that all processes see."""
    tick = hub.tick

    def marked() -> list[schema.ServerFrame]:
        now = time.monotonic()
        frames = tick()
        if frames:
            began[hub.seq] = now
        return frames

    hub.tick = marked


type Feed = Callable[[int], None]


@contextlib.asynccontextmanager
async def hub_server(
    door: socket.socket, began: Sequence[float], mqtt: int | None
) -> AsyncIterator[tuple[Feed, Hub]]:
    """Ours, as `energydash serve` runs it, but for its limits on one address; with a broker's port, also fed as there."""
    fanout = Fanout(filled())
    mark(fanout.hub, began)
    keeper = Doorkeeper(Limits(connections=0, connections_per_address=0, requests_per_address=0))  # fmt: skip
    asgi = app.create_app(ServeSettings(broker=Broker()), fanout)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(fanout.run()),
            group.create_task(app.run(asgi, door, keeper)),
        ]
        if mqtt:
            road = subscriber.run(
                Broker(port=mqtt),
                facility_topic=FACILITY_TOPIC,
                market_topic=MARKET_TOPIC,
                sink=fanout.hub,
            )
            tasks.append(group.create_task(road))
        yield lambda interval: give(fanout.hub, interval), fanout.hub
        for task in tasks:
            task.cancel()


@contextlib.asynccontextmanager
async def websockets_server(
    door: socket.socket, began: Sequence[float], _: int | None
) -> AsyncIterator[tuple[Feed, Hub]]:
    """The same frames by the library's own `broadcast`: no filter, no snapshot, nothing for who falls behind."""
    hub = filled()
    mark(hub, began)
    clients: set[websockets.asyncio.server.ServerConnection] = set()

    async def welcome(connection: websockets.asyncio.server.ServerConnection) -> None:
        clients.add(connection)
        try:
            await connection.send(schema.encode(hub.status()).decode())
            await connection.wait_closed()
        finally:
            clients.discard(connection)

    def feed(interval: int) -> None:
        give(hub, interval)
        for frame in hub.tick():
            websockets.asyncio.server.broadcast(clients, schema.encode(frame).decode())

    async with websockets.asyncio.server.serve(
        welcome, sock=door, compression=None, ping_interval=None
    ):
        yield feed, hub


@contextlib.asynccontextmanager
async def fastapi_server(
    door: socket.socket, began: Sequence[float], _: int | None
) -> AsyncIterator[tuple[Feed, Hub]]:
    """The usual broadcaster: a list of connections, and for each record a send to each of them."""
    import fastapi  # noqa: PLC0415 (no dependency of ours)
    import uvicorn  # noqa: PLC0415

    hub = filled()
    clients: list[fastapi.WebSocket] = []
    site = fastapi.FastAPI()

    @site.websocket("/ws/realtime")
    async def realtime(client: fastapi.WebSocket) -> None:
        await client.accept()
        clients.append(client)
        await client.send_text(schema.encode(hub.status()).decode())
        with contextlib.suppress(fastapi.WebSocketDisconnect):
            while True:
                await client.receive_text()
        clients.remove(client)

    waiting: asyncio.Queue[int] = asyncio.Queue()

    async def broadcast() -> None:
        while True:
            interval = await waiting.get()
            began[interval] = time.monotonic()
            records = stations(interval)
            for number, record in enumerate(records, 1):
                # What the clients know an interval's end by, in whatever form it comes.
                head = f'{{"type":"{"charts_update" if number == len(records) else "facility"}","seq":{interval},'
                text = head + schema.encode(record).decode()[1:]
                for client in tuple(clients):
                    with contextlib.suppress(RuntimeError, fastapi.WebSocketDisconnect):
                        await client.send_text(text)

    server = uvicorn.Server(
        uvicorn.Config(site, log_config=None, lifespan="off", ws_ping_interval=None)
    )
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(server._serve([door])),
            group.create_task(broadcast()),
        ]
        yield waiting.put_nowait, hub
        for task in tasks:
            task.cancel()


SERVERS = {"hub": hub_server, "websockets": websockets_server, "FastAPI": fastapi_server}


def serve(
    kind: str, door: socket.socket, began: Sequence[float], parent: Connection, mqtt: int | None
) -> None:
    os.sched_setaffinity(0, {CORE})
    app._allow_many_sockets()
    # Asyncio counts the writes to clients that have gone.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_serve(kind, door, began, parent, mqtt))


async def _serve(
    kind: str, door: socket.socket, began: Sequence[float], parent: Connection, mqtt: int | None
) -> None:
    interval = KNOWN_INTERVALS
    door.settimeout(0)
    async with SERVERS[kind](door, began, mqtt) as (feed, hub):
        parent.send("ready")
        while True:
            match await asyncio.to_thread(parent.recv):
                case ("feed", every_s, count):
                    due = time.monotonic()
                    for _ in range(count):
                        feed(interval)
                        interval += 1
                        due += every_s
                        await asyncio.sleep(due - time.monotonic())
                case "taken":
                    parent.send(hub.counts["facility", "taken"])
                case "stop":
                    return
