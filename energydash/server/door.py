"""Uvicorn's connections with limits of our own: on who comes in, how long a request may take, how a reader is fed.

A WebSocket here is also an `Outlet`: bytes that are frames already go straight to its transport, because one task and one
encoding for each of thousands of readers is what makes a broadcast slow.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any, override

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.extensions.permessage_deflate import (
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from energydash import schema
from energydash.server import problems
from energydash.server.deadline import Deadline
from energydash.server.framing import Form, framed
from energydash.server.limits import Bucket, Doorkeeper

OUTLET = "energydash.outlet"
"""Where a WebSocket's ASGI scope holds its `Outlet`, among the extensions."""

REQUEST_WITHIN_S = 10.0
TAKEN_A_SECOND = 4096
"""A request's head must have come within so many seconds; in as many, an answer be taken on at so many bytes a second."""

PING_EVERY_S = 20.0
PONG_WITHIN_S = 40.0
"""A WebSocket's client is pinged so often, and has so long to answer."""

FRAMES_A_SECOND = 20.0
FRAMES_AT_ONCE = 100
FRAGMENTS = 64
"""What a client may send: frames of any kind, and pieces of one message."""

_LINGER_S = 2.0
_CODES: dict[CloseCode, schema.ErrorCode] = {
    CloseCode.MESSAGE_TOO_BIG: "too_large",
    CloseCode.POLICY_VIOLATION: "too_frequent",
}
_TURNED_AWAY = problems.message(
    429,
    "too many connections are open, here or from your address: close some, or come back later",
    retry_after="10",
)


class Config(uvicorn.Config):
    """Uvicorn's settings, with who counts the connections."""

    def __init__(self, app: Any, doorkeeper: Doorkeeper, **settings: Any) -> None:
        super().__init__(app, http=HttpDoor, ws=WebSocketDoor, **settings)
        self.doorkeeper = doorkeeper


def _address(client: tuple[str, int] | None) -> str:
    return client[0] if client else ""


class HttpDoor(H11Protocol):
    """An HTTP connection that cannot be held open by saying little or by taking nothing."""

    config: Config

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._counted = False
        self._deadline = Deadline(self.loop)

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._counted = self.config.doorkeeper.enter(_address(self.client))
        if self._counted:
            self._await_request()
            return
        transport.write(_TURNED_AWAY)
        transport.close()

    @override
    def data_received(self, data: bytes) -> None:
        if not self._counted:
            return
        super().data_received(data)
        # After an upgrade the connection is another protocol's; then this one's deadline must not end it.
        if self.transport.get_protocol() is not self or self._is_answering():
            self._deadline.clear()

    @override
    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._await_request()

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_reading()

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        self._deadline.clear()
        self._await_request()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.clear()
        if self._counted:
            self.config.doorkeeper.leave(_address(self.client))
        super().connection_lost(exc)

    @override
    def send_400_response(self, msg: str) -> None:
        self.transport.write(problems.message(400, f"this is no HTTP request: {msg}"))
        self.transport.close()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _await_request(self) -> None:
        # An answer that is still being taken has its own deadline.
        if not (self._is_answering() or self.flow.write_paused or self.transport.is_closing()):
            self._deadline.set(REQUEST_WITHIN_S, self.transport.abort)

    def _await_reading(self) -> None:
        unread = self.transport.get_write_buffer_size()
        self._deadline.set(REQUEST_WITHIN_S, partial(self._check_reading, unread))

    def _check_reading(self, unread: int) -> None:
        if unread - self.transport.get_write_buffer_size() < TAKEN_A_SECOND * REQUEST_WITHIN_S:
            self.transport.abort()
        else:
            self._await_reading()


class WebSocketDoor(WebSocketsSansIOProtocol):
    """A WebSocket connection: an `Outlet` with bounded input, and an end that does not wait for the other side."""

    config: Config

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any]
    ) -> None:
        super().__init__(config, server_state, app_state)
        # It pays (tests/benchmarks/bench_hub.py): done once for all who want the same, it makes a full interval's 17 kB a third as long
        # for 0.07 ms, and 2,000 clients then cost about the CPU that they cost with plain frames.
        deflate = ServerPerMessageDeflateFactory(
            server_no_context_takeover=True, client_no_context_takeover=True
        )
        self.conn = ServerProtocol(
            extensions=[deflate],
            max_size=config.ws_max_size,
            logger=logging.getLogger("uvicorn.error"),
        )
        self.congested = False
        self.drained: Callable[[], None] | None = None
        self.msgpack = False
        self._failed = False
        self._deadline: asyncio.TimerHandle | None = None
        self._frames = Bucket(FRAMES_A_SECOND, FRAMES_AT_ONCE, time.monotonic())

    # --- the outlet ---

    @property
    def buffered(self) -> int:
        """The bytes that the reader has not taken yet, as far as this process knows."""
        return self.transport.get_write_buffer_size()

    @property
    def form(self) -> Form:
        """How the client reads, as far as the handshake has agreed on it."""
        bits = next(
            (
                extension.local_max_window_bits
                for extension in self.conn.extensions
                if isinstance(extension, PerMessageDeflate)
            ),
            None,
        )
        return Form(msgpack=self.msgpack, window_bits=bits)

    def put(self, *chunks: bytes) -> None:
        """Take whole frames; after the close has begun, nothing more is taken."""
        if self.close_sent or self.transport.is_closing() or self.conn.state is not State.OPEN:
            return
        for chunk in chunks:
            self.transport.write(chunk)

    def abort(self) -> None:
        """Hang up at once."""
        self.transport.abort()

    # --- the connection ---

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        before = transport.get_protocol()
        super().connection_made(transport)
        # Who has hung up meanwhile has no address any more, but was counted in by the one that it came from.
        if isinstance(before, HttpDoor):
            self.client = before.client

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self.congested = True

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        self.congested = False
        if self.drained is not None:
            self.drained()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self.config.doorkeeper.leave(_address(self.client))
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        if not self._failed:
            super().data_received(data)

    @override
    def eof_received(self) -> None:
        self._end_soon()

    @override
    def shutdown(self) -> None:
        super().shutdown()
        self._end_soon()

    @override
    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._end_soon()

    @override
    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.close":
            self._end_soon()

    @override
    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            # The application's task begins only after this returns.
            self.scope["extensions"][OUTLET] = self  # type: ignore[assignment]

    @override
    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= FRAGMENTS:
            self._fail(CloseCode.MESSAGE_TOO_BIG, f"a message in more than {FRAGMENTS} pieces")
        elif self._has_leave():
            super().handle_cont(event)

    @override
    def handle_text(self, event: Frame) -> None:
        if self._has_leave():
            super().handle_text(event)

    @override
    def handle_bytes(self, event: Frame) -> None:
        if self._has_leave():
            super().handle_bytes(event)

    @override
    def handle_ping(self) -> None:
        if self._has_leave():
            super().handle_ping()

    @override
    def handle_pong(self, event: Frame) -> None:
        if self._has_leave():
            super().handle_pong(event)

    @override
    def handle_close(self, event: Frame) -> None:
        super().handle_close(event)
        self._end_soon()

    @override
    def handle_parser_exception(self) -> None:
        """Say what is wrong with what came, close, and let the client read that before the line is cut."""
        if self._failed or self.conn.close_sent is None:
            return
        self._failed = True
        closing = self.conn.close_sent
        # A connection that is cut while something comes in takes back what it has not delivered: so linger.
        error = schema.ErrorFrame(
            code=_CODES.get(CloseCode(closing.code), "malformed"), detail=closing.reason
        )
        self.transport.write(framed(error, self.form))
        self.queue.put_nowait(
            {"type": "websocket.disconnect", "code": closing.code, "reason": closing.reason}
        )
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.stop_keepalive()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._end_soon()

    def _has_leave(self) -> bool:
        if self._failed or self._frames.take(time.monotonic()):
            return not self._failed
        self._fail(CloseCode.POLICY_VIOLATION, f"more than {FRAMES_A_SECOND:g} frames a second")
        return False

    def _fail(self, code: CloseCode, reason: str) -> None:
        if not self._failed:
            self.conn.fail(code, reason)
            self.handle_parser_exception()

    def _end_soon(self) -> None:
        """End the connection even where the other side takes nothing any more."""
        if self._deadline is None:
            if self.close_timer is not None:
                self.close_timer.cancel()
            self._deadline = self.close_timer = self.loop.call_later(
                _LINGER_S, self.transport.abort
            )


def outlet_of(scope: Any) -> WebSocketDoor:
    """Give the outlet of a WebSocket's ASGI scope."""
    outlet: WebSocketDoor = scope["extensions"][OUTLET]
    return outlet
