"""MQTT brokers in processes of their own, on free ports, and readers of what they carry."""

import asyncio
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest
from processes import clean_environment, free_port

from energydash import schema
from energydash.config import Broker
from energydash.stream.client import Client, Outgoing

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
# An MQTT 3.1.1 client named `a` that wants no session.
_HELLO = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a"
START = "import sys; from energydash.stream.broker import main; main(sys.argv[1:])"

KINDS = [
    "embedded",
    pytest.param(
        "mosquitto",
        marks=[
            pytest.mark.broker,
            pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed"),
        ],
    ),
]
"""Parameters for a test that must hold with either broker."""


class Server:
    """A broker that can be killed and started again on its port."""

    def __init__(self, kind: str, folder: Path, *lines: str) -> None:
        self.port = free_port()
        self.address = Broker(port=self.port)
        self._command = [sys.executable, "-c", START, "127.0.0.1", str(self.port)]
        self._hello = _HELLO if kind == "embedded" else b""
        if kind == "mosquitto":
            config = folder / "mosquitto.conf"
            config.write_text("\n".join([f"listener {self.port} 127.0.0.1", *lines]) + "\n")
            self._command = [str(MOSQUITTO), "-c", str(config)]
            if not lines:
                config.write_text(config.read_text() + "allow_anonymous true\n")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            self._command,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while not _answers(self.port, self._hello):
            assert self.process.poll() is None, "the broker ended at its start"
            assert time.monotonic() < deadline, "the broker did not start"
            time.sleep(0.02)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def _answers(port: int, hello: bytes) -> bool:
    """Whether somebody is there, and answers a greeting: for a moment, the embedded broker listens to see whether it may, and hangs up."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.5) as line:
        line.settimeout(20)
        line.sendall(hello)
        return not hello or bool(line.recv(1))
    return False


class Taken:
    """A sink that keeps everything it is given, in order."""

    def __init__(self) -> None:
        self.catalogues: list[schema.Catalogue] = []
        self.stations: list[schema.FacilityRecord] = []
        self.values: list[schema.MarketRecord] = []
        self.states: list[bool] = []
        self.causes: list[tuple[str, str]] = []

    def catalogue(self, catalogue: schema.Catalogue) -> None:
        self.catalogues.append(catalogue)

    def facilities(self, records: list[schema.FacilityRecord]) -> None:
        self.stations += records

    def market(self, records: list[schema.MarketRecord]) -> None:
        self.values += records

    def broker_state(self, *, connected: bool) -> None:
        self.states.append(connected)

    def rejected(self, kind: str, cause: str) -> None:
        self.causes.append((kind, cause))


async def put_all(client: Client, messages: Iterable[tuple[str, bytes]]) -> None:
    """Send (topic, payload)s as the publisher does; on return each has its answer."""
    for topic, body in messages:
        await client.room()
        client.put(Outgoing(topic, body))
    await client.settled()


async def until(condition: Callable[[], object], what: str, limit_s: float = 60) -> None:
    """Poll until the condition holds; fail with `what` after the limit."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit_s} s: {what}"
        await asyncio.sleep(0.01)
