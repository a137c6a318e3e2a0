"""An ASGI layer that answers 429 to an address that asks too often, before anything is looked up."""

import math
import time

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from energydash.server import problems
from energydash.server.limits import Doorkeeper


def throttled(app: ASGIApp, doorkeeper: Doorkeeper) -> ASGIApp:
    """Give `app` behind the doorkeeper's rate of requests; opening a WebSocket is one too."""

    async def layer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await app(scope, receive, send)
            return
        client = scope.get("client")
        wait_s = doorkeeper.ask(client[0] if client else "", time.monotonic())
        if not wait_s:
            await app(scope, receive, send)
            return
        kind = "websocket.http" if scope["type"] == ScopeType.WEBSOCKET else "http"
        seconds = math.ceil(wait_s)
        body = problems.body(
            429, f"too many requests from your address: come back in {seconds} s"
        )
        fields = problems.headers(body) | {"retry-after": str(seconds)}
        headers = [(name.encode(), value.encode()) for name, value in fields.items()]
        await send(
            {"type": f"{kind}.response.start", "status": 429, "headers": headers}  # type: ignore[arg-type, misc]
        )
        await send(
            {"type": f"{kind}.response.body", "body": body, "more_body": False}  # type: ignore[arg-type, misc]
        )

    return layer
