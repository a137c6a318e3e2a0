"""An ASGI layer that answers HEAD wherever GET is answered: the same headers, and no body."""

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send


def with_head(app: ASGIApp) -> ASGIApp:
    """Give `app` with HEAD (RFC 9110 section 9.3.2), and say so where it says which methods are allowed."""

    async def layer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or scope["method"] == "GET":
            await app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message["body"] = b""
            await send(message)

        async def allowing_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    (name, value.replace(b"GET", b"GET, HEAD") if name == b"allow" else value)
                    for name, value in message["headers"]
                ]
            await send(message)

        if scope["method"] == "HEAD":
            await app({**scope, "method": "GET"}, receive, without_body)
        else:
            await app(scope, receive, allowing_head)

    return layer
