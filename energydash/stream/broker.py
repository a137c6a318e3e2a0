"""The embedded MQTT broker (rumqttd), for a process of its own."""

import logging
import sys
import threading
from collections.abc import Sequence

from iotcore import IotCoreBroker

from energydash.errors import PortInUseError
from energydash.process import end_with_supervisor

# One retained message carries every station: the library's 20 kB would refuse it.
MAX_PAYLOAD_BYTES = 16 * 1024 * 1024
_MAX_CONNECTIONS = 1000


def run(host: str, port: int) -> None:
    """Serve MQTT until the process is ended; it holds nothing that needs a farewell.

    Raises:
        PortInUseError: another program listens there.
    """
    broker = IotCoreBroker(
        listen=host,
        port=port,
        max_connections=_MAX_CONNECTIONS,
        max_payload_size=MAX_PAYLOAD_BYTES,
    )
    try:
        broker.check_ports()
    except OSError as exc:
        raise PortInUseError(
            f"port {port} is in use on {host}: give another broker address"
        ) from exc
    broker.start()
    threading.Event().wait()


def main(arguments: Sequence[str]) -> None:
    """Run the broker at `host port` as a supervised part."""
    host, port = arguments
    # The broker logs every message as a warning, through Python.
    logging.getLogger("rumqttd").setLevel(logging.CRITICAL)
    end_with_supervisor()
    try:
        run(host, int(port))
    except PortInUseError as exc:
        sys.exit(f"energydash: {exc}")
