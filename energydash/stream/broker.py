"""The embedded MQTT broker (rumqttd), for a process of its own."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence

from iotcore import IotCoreBroker

from energydash.errors import PortInUseError
from energydash.process import end_with_supervisor

# One retained message carries every station: the library's 20 kB would refuse it.
MAX_PAYLOAD_BYTES = 16 * 1024 * 1024
_MAX_CONNECTIONS = 1000
_GLANCE_S = 0.5


def run(host: str, port: int) -> None:
    """Serve MQTT until SIGTERM or SIGINT; needs the main thread of a process.

    Raises:
        PortInUseError: another program listens there.
    """
    # It logs every message as an error, through Python: costly, and it says nothing.
    logging.getLogger("rumqttd").setLevel(logging.CRITICAL)
    broker = IotCoreBroker(
        listen=host,
        port=port,
        max_connections=_MAX_CONNECTIONS,
        max_payload_size=MAX_PAYLOAD_BYTES,
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        broker.start()
    except OSError as exc:
        raise PortInUseError(
            f"port {port} is in use on {host}: give another broker address"
        ) from exc
    # A signal that another thread took is handled only when this one wakes.
    while not stop.wait(_GLANCE_S):
        pass


def main(arguments: Sequence[str]) -> None:
    """Run the broker at `host port` as a supervised part."""
    host, port = arguments
    end_with_supervisor()
    try:
        run(host, int(port))
    except PortInUseError as exc:
        sys.exit(f"energydash: {exc}")
    # Its threads cannot be stopped or joined: the process ends beneath them, holding nothing that needs a farewell.
    os._exit(0)
