"""Ports: whether they are free, told before anything starts, with what to do when they are not."""

import socket
import sys
from collections.abc import Sequence

import msgspec

from energydash.errors import PortInUseError

LOOPBACK = "127.0.0.1"

# Ports from here on are nobody's by custom.
_SPARE = range(18050, 60000, 1000)


class Wanted(msgspec.Struct, frozen=True):
    """A port that a part is to listen on, and the option that names another."""

    port: int
    flag: str
    host: str = LOOPBACK


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether nothing listens on a port that we may listen on."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        if sys.platform == "win32":
            # There, SO_REUSEADDR would take the port from who has it.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def reachable(host: str) -> str:
    """Give where this machine reaches what listens on `host`, which may be every address."""
    return LOOPBACK if host in {"0.0.0.0", "::"} else host  # noqa: S104


def free_port() -> int:
    """Give a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def require_free(wanted: Sequence[Wanted]) -> None:
    """Make sure that every part will have its port.

    Raises:
        PortInUseError: one is taken, or two parts want the same; the text names them all and what to do.
    """
    numbers = [each.port for each in wanted]
    if len({*numbers}) < len(numbers):
        flags = " and ".join(each.flag for each in wanted if numbers.count(each.port) > 1)
        raise PortInUseError(f"{flags} name the same port: give each its own")
    taken = [each for each in wanted if not is_free(each.port, each.host)]
    if not taken:
        return
    first = taken[0]
    if len(taken) == 1:
        raise PortInUseError(
            f"port {first.port} is in use on {first.host}: stop what listens there, or give another with {first.flag}"
        )
    names = " and ".join(str(each.port) for each in taken)
    raise PortInUseError(
        f"ports {names} are in use: stop what listens there, or start with --port-base {_spare(len(wanted))}"
    )


def _spare(count: int) -> int:
    """Give the first of so many ports in a row that are free."""
    bases = (base for base in _SPARE if all(is_free(base + n) for n in range(count)))
    return next(bases, _SPARE[0])
