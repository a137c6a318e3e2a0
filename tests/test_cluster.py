"""Beyond one machine: a three-node NATS cluster, whose node is killed while publisher and servers use it."""

import httpx
import pytest
from clusters import nats, needs_nats
from processes import free_port, interrupt, running, wait_until
from stream_tables import CODES, at, write_all

pytestmark = needs_nats

INTERVALS = 240
RECORDS = INTERVALS * (len(CODES) + 1)
LIMIT_S = 100


def get(port: int, path: str) -> dict | None:
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=10).json()
    except httpx.TransportError:
        return None


def health(port: int) -> dict:
    return get(port, "/health") or {}


def state(port: int) -> list[dict | None]:
    """All that a server knows: every station's history, and the market's."""
    paths = [f"/api/facilities/{code}/history" for code in CODES]
    return [get(port, path) for path in [*paths, "/api/market/NEM/price"]]


def reached(port: int) -> list[int]:
    """How many intervals a server has of each station and of the market."""
    station, *_, market = everything = state(port)
    if station is None or market is None:
        return [0]
    return [len(each.get("times") or each.get("values") or ()) for each in everything]


@pytest.fixture
def tables(tmp_path):
    folder = tmp_path / "data" / "csv_output"
    folder.mkdir(parents=True)
    write_all(folder, INTERVALS)
    return tmp_path


def test_a_killed_node_costs_no_replica_any_record(tables):
    with nats(tables, 3) as (one, two, three):
        ports = [free_port(), free_port()]
        brokers = [f"{one.url},{two.url},{three.url}", f"{two.url},{three.url},{one.url}"]
        servers = []
        for port, broker in zip(ports, brokers, strict=True):
            folder = tables / f"serve{port}"
            folder.mkdir()
            servers.append(
                running(
                    "serve", "--port", str(port), "--broker", broker, "--qos", "1", "--client-id", f"serve-{port}", "--history-hours", "48", cwd=folder
                )
            )  # fmt: skip
        publish = (
            "publish", "--broker", brokers[0], "--qos", "1", "--json", "--speed", "9000",
        )  # fmt: skip
        with servers[0] as first, servers[1] as second:
            for port in ports:
                wait_until(lambda port=port: "no record" in health(port).get("reason", ""), LIMIT_S, "a server is connected")  # fmt: skip
            with running(*publish, cwd=tables) as publisher:
                wait_until(lambda: max(reached(ports[0])) > 5, LIMIT_S, "the stream has begun")
                # The node of the publisher and of the first server.
                one.kill()
                assert publisher.wait(LIMIT_S) == 0, (tables / "stderr.txt").read_text()
            said = (tables / "stderr.txt").read_text()
            assert f'"acknowledged":{RECORDS}' in said
            assert '"reconnects":0' not in said
            for port in ports:
                wait_until(
                    lambda port=port: set(reached(port)) == {INTERVALS},
                    LIMIT_S,
                    "all of the stream",
                )
            assert state(ports[0]) == state(ports[1])
            prices = get(ports[0], "/api/market/NEM/price")["values"]
            assert len(prices) == INTERVALS
            assert prices[-1]["event_time"] == at(INTERVALS - 1).isoformat()
            assert [interrupt(each, 30) for each in (first, second)] == [130, 130]
