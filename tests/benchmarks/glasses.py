"""WebSocket clients by the thousand in one process, pinned to a core: raw sockets that note when each interval was read.

They look at how a frame begins and skip the rest, because the clients must not be what is slow.
"""

import gc
import os
import select
import socket
import time
import zlib
from multiprocessing.connection import Connection

from energydash.server import app

CORE = 1

_REQUEST = (
    "GET /ws/realtime%s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n"
)
_DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
_DEFLATED = 0x40
# The last frame of an interval, and the last of a snapshot.
_LAST = b'{"type":"charts_update","seq":'
_GREETED = b'{"type":"status"'
_LOOK = 400
_JOIN_WITHIN_S = 60


class Glass:
    """One client."""

    __slots__ = ("_arrived", "_open", "_rest", "_saw", "_skip", "_sock", "greeted", "taken")

    def __init__(self, sock: socket.socket, arrived: list[tuple[int, float]]) -> None:
        self._sock = sock
        self._arrived = arrived
        self._open = False
        self._rest = b""
        # What is still to come of a frame whose beginning was seen, and the interval that it ends.
        self._skip = 0
        self._saw: int | None = None
        self.greeted = False
        self.taken = 0

    def read(self) -> None:
        data = self._sock.recv(262_144)
        now = time.monotonic()
        self.taken += len(data)
        if self._skip > len(data):
            self._skip -= len(data)
            return
        at, self._skip = self._skip, 0
        if at:
            self._note(self._saw, now)
        elif self._rest:
            data, self._rest = self._rest + data, b""
        if not self._open:
            assert data.startswith(b"HTTP/1.1 101"), data[:200]
            self._open = True
            at = data.index(b"\r\n\r\n") + 4
        self._frames(data, at, now)

    def _frames(self, data: bytes, at: int, now: float) -> None:
        size = len(data)
        while size - at >= 2:
            head = {126: 4, 127: 10}.get(data[at + 1], 2)
            length = data[at + 1] if head == 2 else int.from_bytes(data[at + 2 : at + head])
            look = at + head + min(length, _LOOK)
            if size < look:
                break
            saw = self._look(data[at + head : look], deflated=bool(data[at] & _DEFLATED))
            at += head + length
            if at > size:
                self._skip, self._saw = at - size, saw
                return
            self._note(saw, now)
        self._rest = data[at:]

    def _look(self, beginning: bytes, *, deflated: bool) -> int | None:
        """Give the interval that the frame is the last of."""
        if deflated:
            beginning = zlib.decompressobj(wbits=-15).decompress(beginning, 80)
        if beginning.startswith(_LAST):
            return int(beginning[len(_LAST) : 80].split(b",")[0])
        self.greeted = self.greeted or beginning.startswith(_GREETED)
        return None

    def _note(self, interval: int | None, now: float) -> None:
        if interval is not None:
            self._arrived.append((interval, now))


class Crowd:
    """All of them; `arrived` has (interval, when) for each interval that one of them has read to its end."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._poll = select.epoll()
        self._glasses: dict[int, Glass] = {}
        self._sockets: list[socket.socket] = []
        self._cpu_s = 0.0
        self.arrived: list[tuple[int, float]] = []

    def read(self) -> None:
        for number, _ in self._poll.poll(0.01):
            self._glasses[number].read()

    def join(self, count: int, stalled: int, at_once: int, kind: str) -> float:
        """Let so many come, so many at once, and some that will never read; give the seconds until all had their snapshot.

        A kind of them offers to inflate ("deflated"), another has a filter each of its own ("own filters").
        """
        began = time.monotonic()
        for first in range(0, count, at_once):
            last = min(first + at_once, count)
            new = [self._come(_request(kind, number)) for number in range(first, last)]
            glasses = {sock.fileno(): Glass(sock, self.arrived) for sock in new}
            self._glasses |= glasses
            for number in glasses:
                self._poll.register(number, select.EPOLLIN)
            while not all(glass.greeted for glass in glasses.values()):
                assert time.monotonic() - began < _JOIN_WITHIN_S, "not all were let in"
                self.read()
        seconds = time.monotonic() - began
        for _ in range(stalled):
            self._come(_request(kind, 0), buffer=4096)
        return seconds

    def begin(self) -> None:
        """Forget what was; what comes from now on counts."""
        self.arrived.clear()
        self._cpu_s = time.process_time()
        for glass in self._glasses.values():
            glass.taken = 0

    def figures(self) -> dict:
        return {
            "arrived": self.arrived,
            "cpu": time.process_time() - self._cpu_s,
            "bytes": sum(glass.taken for glass in self._glasses.values()),
        }

    def _come(self, request: bytes, *, buffer: int | None = None) -> socket.socket:
        sock = socket.socket()
        self._sockets.append(sock)
        if buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        sock.connect(("127.0.0.1", self._port))
        sock.send(request)
        sock.settimeout(0)
        return sock


def _request(kind: str, number: int) -> bytes:
    query = ""
    if kind == "own filters":
        # Some twenty stations of all, and always others.
        query = f"?facilities=X{number}," + ",".join(
            f"STATION{(number + n * 23) % 500}" for n in range(20)
        )
    return (_REQUEST % (query, _DEFLATE if kind == "deflated" else "")).encode()


def attend(port: int, parent: Connection) -> None:
    """Be the clients' process, until told to stop."""
    os.sched_setaffinity(0, {CORE})
    app._allow_many_sockets()
    gc.disable()
    crowd = Crowd(port)
    while True:
        crowd.read()
        if not parent.poll():
            continue
        match parent.recv():
            case ("join", *given):
                parent.send(crowd.join(*given))
            case "begin":
                parent.send(crowd.begin())
            case "arrived":
                parent.send(len(crowd.arrived))
            case "figures":
                parent.send(crowd.figures())
            case "stop":
                return
