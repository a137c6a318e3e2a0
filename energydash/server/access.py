"""Who may come in: the token, in constant time, and the origin of a browser's page."""

import hmac
from collections.abc import Sequence
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException
from litestar.handlers import BaseRouteHandler

from energydash.config import Secret, is_loopback

_PROTOCOL = "bearer."


class Access:
    """The rules of one server."""

    def __init__(self, token: Secret | None, origins: Sequence[str]) -> None:
        self._token = token
        self._origins = frozenset(origin.rstrip("/") for origin in origins)

    def guard(self, connection: ASGIConnection, _: BaseRouteHandler) -> None:  # type: ignore[type-arg]
        """Refuse an HTTP request without the token.

        Raises:
            NotAuthorizedException: the token is missing or wrong.
        """
        if not self.has_token(connection):
            raise NotAuthorizedException("give the token as Authorization: Bearer …")

    def has_token(self, connection: ASGIConnection) -> bool:  # type: ignore[type-arg]
        """Whether the token was shown, in the header or as a WebSocket subprotocol; or none is needed."""
        if self._token is None:
            return True
        wanted = self._token.reveal().encode()
        shown = [connection.headers.get("authorization", "").removeprefix("Bearer ")]
        shown += [p.removeprefix(_PROTOCOL) for p in protocols(connection)]
        return any(hmac.compare_digest(text.encode(), wanted) for text in shown)

    def has_origin(self, connection: ASGIConnection) -> bool:  # type: ignore[type-arg]
        """Whether the page that connects is one of ours; what is no browser sends no origin."""
        origin = connection.headers.get("origin")
        if origin is None or origin.rstrip("/") in self._origins:
            return True
        host = _host(origin)
        return host == _host(f"//{connection.headers.get('host', '')}") and is_loopback(host)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        # What is no address is nobody's page.
        return ""


def protocols(connection: ASGIConnection) -> list[str]:  # type: ignore[type-arg]
    """Give the subprotocols that a WebSocket client offers."""
    offered = connection.headers.get("sec-websocket-protocol", "")
    return [text.strip() for text in offered.split(",") if text.strip()]


def accepted_protocol(connection: ASGIConnection) -> str | None:  # type: ignore[type-arg]
    """Give the subprotocol to accept: a browser hangs up where it offered one and none is chosen."""
    return next((p for p in protocols(connection) if p.startswith(_PROTOCOL)), None)
