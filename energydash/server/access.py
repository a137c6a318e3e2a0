"""Who may come in: the token, in constant time; the origin of a browser's page; the name it knows us by."""

import hmac
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler

from energydash.config import Token, is_loopback
from energydash.server.framing import JSON_PROTOCOL, MSGPACK_PROTOCOL

_BEARER = "bearer."

type Connection = ASGIConnection[Any, Any, Any, Any]


class Access:
    """The rules of one server; tokens let their holders read, and there is nothing else to do here."""

    def __init__(
        self, tokens: Sequence[Token], origins: Sequence[str], *, local: bool = True
    ) -> None:
        self._tokens = tuple(tokens)
        self._origins = frozenset(origin.rstrip("/") for origin in origins)
        # Without a token, a name that is not this machine's own is a stranger's page that had our address put behind
        # its own name (DNS rebinding). Who listens beyond this machine has many names.
        self._names = {_host(o) for o in self._origins} if local and not tokens else None

    def guard(self, connection: Connection, _: BaseRouteHandler) -> None:
        """Refuse an HTTP request that may not read.

        Raises:
            NotAuthorizedException: the token is missing or wrong.
            PermissionDeniedException: the address was asked by a name that is not ours.
        """
        if not self.has_name(connection):
            raise PermissionDeniedException(
                "this name is not known here: ask 127.0.0.1, or allow it with --allow-origin"
            )
        if self.holder(connection) is None:
            raise NotAuthorizedException(
                "give the token as Authorization: Bearer …",
                headers={"WWW-Authenticate": 'Bearer realm="energydash"'},
            )

    def admits(self, connection: Connection) -> bool:
        """Whether a WebSocket may be opened."""
        return (
            self.has_name(connection)
            and self._has_origin(connection)
            and self.holder(connection) is not None
        )

    def holder(self, connection: Connection) -> str | None:
        """Give the name of the token that was shown, in the header or as a subprotocol; "anybody" where none is needed."""
        if not self._tokens:
            return "anybody"
        shown = list(_shown(connection))
        found = None
        # All of them are compared, so that the time tells nothing.
        for token in self._tokens:
            wanted = token.secret.reveal().encode()
            for text in shown:
                if hmac.compare_digest(text, wanted):
                    found = token.name
        return found

    def has_name(self, connection: Connection) -> bool:
        """Whether we were asked by a name that is ours."""
        if self._names is None:
            return True
        host = _host(f"//{connection.headers.get('host', '')}")
        return is_loopback(host) or host in self._names

    def _has_origin(self, connection: Connection) -> bool:
        """Whether the page that connects is one of ours; what is no browser sends no origin."""
        origin = connection.headers.get("origin")
        if origin is None or origin.rstrip("/") in self._origins:
            return True
        host = _host(origin)
        return host == _host(f"//{connection.headers.get('host', '')}") and is_loopback(host)


def _shown(connection: Connection) -> Iterator[bytes]:
    """Give each token that was shown, as the bytes that came: a header is read as Latin-1, and holds whatever was sent."""
    scheme, _, secret = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        yield secret.strip().encode("latin-1", "replace")
    for protocol in protocols(connection):
        if protocol.startswith(_BEARER):
            yield protocol.removeprefix(_BEARER).encode("latin-1", "replace")


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        # What is no address is nobody's page.
        return ""


def protocols(connection: Connection) -> list[str]:
    """Give the subprotocols that a WebSocket client offers."""
    offered = connection.headers.get("sec-websocket-protocol", "")
    return [text.strip() for text in offered.split(",") if text.strip()]


def accepted_protocol(connection: Connection) -> str | None:
    """Give the subprotocol to accept, the first encoding that we speak.

    A browser hangs up where it offered one and none is chosen: one that offers its token alone gets that back.
    """
    offered = protocols(connection)
    spoken = (p for p in offered if p in {JSON_PROTOCOL, MSGPACK_PROTOCOL})
    return next(spoken, None) or next((p for p in offered if p.startswith(_BEARER)), None)
