"""One WebSocket client for the whole process: it fills the store, and comes back for ever."""

import asyncio
import logging
import random
from collections.abc import Callable
from urllib.parse import urlencode, urlsplit, urlunsplit

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.httputil import HTTPInputError
from tornado.iostream import StreamBufferFullError, UnsatisfiableReadError
from tornado.websocket import WebSocketClientConnection, WebSocketError, websocket_connect

from energydash import schema
from energydash.config import UiSettings
from energydash.ui.store import Store

logger = logging.getLogger(__name__)

_CONNECT_WITHIN_S = 5.0
# The server says `status` every second: three of them missing is a dead line.
_SILENCE_S = 3.5
# A loop that stood still meets its own timers before what has come meanwhile.
_ONE_MORE_LOOK_S = 0.5
_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 4.0)
_MAX_FRAME_BYTES = 32 * 1024 * 1024
_UNAUTHORISED = (401, 403)
_POLICY = 1008
_ENCODING = "energydash.v1.json"

LOST = (
    OSError,
    ValueError,
    HTTPClientError,
    HTTPInputError,
    StreamBufferFullError,
    UnsatisfiableReadError,
    WebSocketError,
)
"""What Tornado's clients raise for a server that is away, or answers what none of ours would: they have no base of their own."""

NONSENSE = (ArithmeticError, LookupError, RecursionError, TypeError, ValueError)
"""What comes of a message that cannot be read, or that contradicts itself."""


async def run(settings: UiSettings, store: Store, wake: Callable[[], None]) -> None:
    """Keep the store filled until cancelled; `wake` is called after each change."""
    attempts = 0
    while True:
        try:
            await _listen(settings, store, wake)
            attempts = 0
        except LOST as exc:
            level = logging.INFO if attempts else logging.WARNING
            logger.log(level, "the server at %s: %s", settings.backend, _reason(exc))
        if store.connected:
            attempts = 0
        store.link(connected=False)
        wake()
        pause = _PAUSES_S[min(attempts, len(_PAUSES_S) - 1)]
        attempts += 1
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 (jitter)


def _reason(exc: Exception) -> str:
    if isinstance(exc, HTTPClientError) and exc.code in _UNAUTHORISED:
        return "it refuses us: give the server's --token to `energydash ui` too"
    if isinstance(exc, WebSocketError):
        return "what answers there is no stream server, or stands in for it"
    return str(exc) or type(exc).__name__


async def _listen(settings: UiSettings, store: Store, wake: Callable[[], None]) -> None:
    connection = await _connect(settings, store)
    try:
        while True:
            message = await _message(connection)
            if message is None:
                if connection.close_code == _POLICY:
                    logger.warning(
                        "the server refuses us: give its --token to `energydash ui` too"
                    )
                return
            _take(message, store)
            wake()
    finally:
        connection.close()


async def _message(connection: WebSocketClientConnection) -> str | bytes | None:
    """Wait for a message; None is the end.

    Raises:
        TimeoutError: the line is dead.
    """
    reading = asyncio.ensure_future(connection.read_message())
    try:
        for limit_s in (_SILENCE_S, _ONE_MORE_LOOK_S):
            done, _ = await asyncio.wait({reading}, timeout=limit_s)
            if done:
                return await reading
    finally:
        reading.cancel()
    raise TimeoutError("it is silent")


def _address(backend: str, store: Store) -> str:
    """Give the server's address, with what was seen last, so that a short break costs what changed and not a day."""
    if store.last is None:
        return backend
    stream, seq = store.last
    parts = urlsplit(backend)
    query = "&".join(filter(None, (parts.query, urlencode({"stream": stream, "seq": seq}))))
    return urlunsplit(parts._replace(query=query))


async def _connect(settings: UiSettings, store: Store) -> WebSocketClientConnection:
    token = settings.token
    request = HTTPRequest(
        _address(settings.backend, store),
        connect_timeout=_CONNECT_WITHIN_S,
        # Else an answer that comes after we have given up would open a connection that nobody closes.
        request_timeout=_CONNECT_WITHIN_S,
    )
    async with asyncio.timeout(_CONNECT_WITHIN_S):
        return await websocket_connect(
            request,
            subprotocols=[_ENCODING, *([f"bearer.{token.reveal()}"] if token else [])],
            max_message_size=_MAX_FRAME_BYTES,
        )


def _take(message: str | bytes, store: Store) -> None:
    """Apply a frame; one that this version does not know is passed over."""
    try:
        frame = schema.decode_server_frame.decode(message)
    except NONSENSE as exc:
        logger.debug("a frame is not understood: %s", exc)
        return
    if isinstance(frame, schema.Hello):
        store.link(connected=True)
    elif isinstance(frame, schema.ErrorFrame):
        logger.warning("the server says: %s", frame.detail)
    try:
        store.apply(frame)
    except NONSENSE as exc:
        logger.warning("a frame contradicts itself: %r", exc)
