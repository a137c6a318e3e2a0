"""WebSocket frames (RFC 6455) as a server sends them: split into what they say, without a socket."""

import zlib

import msgspec

from energydash import schema
from energydash.server.framing import Form

_DEFLATED = 0x40
_BINARY = 2


def split(data: bytes) -> tuple[list[bytes], int]:
    """Give the whole frames at the beginning, each with its header, and how many bytes they take."""
    frames, at = [], 0
    while len(data) - at >= 2:
        head, length = 2, data[at + 1]
        if length == 126:
            head, length = 4, int.from_bytes(data[at + 2 : at + 4])
        elif length == 127:
            head, length = 10, int.from_bytes(data[at + 2 : at + 10])
        if len(data) - at < head + length:
            break
        frames.append(bytes(data[at : at + head + length]))
        at += head + length
    return frames, at


def text_of(frame: bytes) -> str:
    """Give what a frame says as JSON text, inflated and unpacked where need be."""
    head = {126: 4, 127: 10}.get(frame[1], 2)
    body = frame[head:]
    if frame[0] & _DEFLATED:
        body = zlib.decompressobj(wbits=-15).decompress(body + b"\x00\x00\xff\xff")
    if frame[0] & 0x0F == _BINARY:
        body = msgspec.json.encode(msgspec.msgpack.decode(body))
    return body.decode()


class Pipe:
    """An outlet whose reader takes what the test takes; with more than `room` bytes in it, it is congested."""

    def __init__(self, room: int = 1 << 60) -> None:
        self.room = room
        self.data = bytearray()
        self.frames: list[bytes] = []
        self.aborted = False

    @property
    def congested(self) -> bool:
        return self.buffered > self.room

    @property
    def buffered(self) -> int:
        return len(self.data)

    def put(self, *chunks: bytes) -> None:
        for chunk in chunks:
            self.data += chunk

    def abort(self) -> None:
        self.aborted = True

    def take(self, limit: int = 1_000_000) -> list[bytes]:
        """Read some whole frames."""
        frames, _ = split(bytes(self.data))
        taken = frames[:limit]
        del self.data[: sum(map(len, taken))]
        return taken


JSON = Form()


def whole(fanout, wish: schema.Subscribe, form: Form = JSON) -> list[str]:
    """Give the texts of a snapshot."""
    return [
        text_of(frame)
        for chunk in fanout.views.snapshot(wish, form)
        for frame in split(chunk)[0]
    ]
