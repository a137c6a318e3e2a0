"""NATS servers with MQTT and JetStream in processes of their own, alone or as a cluster, on free ports."""

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import nats as client
import pytest
from nats.js.api import RetentionPolicy, StreamConfig
from processes import clean_environment, free_port

NATS = shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin")

needs_nats = [
    pytest.mark.broker,
    pytest.mark.skipif(NATS is None, reason="nats-server is not installed"),
]

START_WITHIN_S = 120


class Node:
    """One server; it can be killed and started again with what it had stored."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.folder = folder
        self.port, self.own, self.route, self.monitor, self.websocket = (
            free_port() for _ in range(5)
        )
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def configure(self, routes: list[int], *more: str) -> None:
        """Write its configuration: in a cluster with these routes, or alone."""
        lines = [
            f"server_name: {self.name}",
            f'listen: "127.0.0.1:{self.own}"',
            f'http: "127.0.0.1:{self.monitor}"',
            f'jetstream {{ store_dir: "{self.folder / self.name}" }}',
            *more,
        ]
        # What was under way to a reader whose node died comes again after `ack_wait`, else half a minute.
        replicas = 'stream_replicas: 3, ack_wait: "2s"' if len(routes) > 1 else ""
        lines.append(f'mqtt {{ listen: "127.0.0.1:{self.port}", {replicas} }}')
        if len(routes) > 1:
            others = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
            lines.append(
                f'cluster {{ name: grid, listen: "127.0.0.1:{self.route}", routes: [{others}] }}'
            )
        (self.folder / f"{self.name}.conf").write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(NATS), "-c", str(self.folder / f"{self.name}.conf")],
                env=clean_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def is_ready(self) -> bool:
        """Whether it takes clients and, in a cluster, knows who leads."""
        with suppress(OSError, httpx.HTTPError):
            socket.create_connection(("127.0.0.1", self.port), timeout=0.5).close()
            health = httpx.get(f"http://127.0.0.1:{self.monitor}/healthz", timeout=1)
            return health.status_code == 200
        return False


async def keep_what_was_read(node: Node) -> None:
    """Do what the README says before the first MQTT client comes: `nats stream add '$MQTT_msgs' ...`.

    Left to itself, NATS 2.9 lets go of a message as soon as it believes that all have read it, and is sometimes wrong.
    """
    connection = await client.connect(f"nats://127.0.0.1:{node.own}")
    try:
        await connection.jetstream(timeout=START_WITHIN_S).add_stream(
            StreamConfig(
                name="$MQTT_msgs",
                subjects=["$MQTT.msgs.>"],
                retention=RetentionPolicy.LIMITS,
                num_replicas=3,
                max_age=3600,
                max_bytes=256 * 1024 * 1024,
            )
        )
    finally:
        await connection.close()


@contextmanager
def nats(folder: Path, count: int, *more: str) -> Iterator[list[Node]]:
    """Run a server alone, or several as one cluster."""
    nodes = [Node(folder, f"node{n}") for n in range(count)]
    for node in nodes:
        node.configure([each.route for each in nodes], *more)
    try:
        for node in nodes:
            node.start()
        deadline = time.monotonic() + START_WITHIN_S
        while not all(node.is_ready() for node in nodes):
            assert time.monotonic() < deadline, "the servers did not find each other"
            time.sleep(0.05)
        if count > 1:
            asyncio.run(keep_what_was_read(nodes[0]))
        yield nodes
    finally:
        for node in nodes:
            node.kill()
