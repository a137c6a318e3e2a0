"""Which pages of browsers may read REST from elsewhere (CORS): those of the origins that may open a WebSocket too."""

import re
from collections.abc import Sequence

from litestar.config.cors import CORSConfig
from litestar.datastructures import MutableScopeHeaders
from litestar.types import Message, Scope

_VARY = "Accept, Accept-Encoding, Origin"


def settings(origins: Sequence[str]) -> CORSConfig | None:
    """Give Litestar's settings; None where no page from elsewhere may read."""
    if not origins:
        return None
    return CORSConfig(
        allow_origins=[],
        # By the letter: among `allow_origins` a star would stand for anything.
        allow_origin_regex="|".join(re.escape(origin.rstrip("/")) for origin in origins),
        allow_methods=["GET", "HEAD"],
        allow_headers=["Authorization", "If-None-Match"],
        expose_headers=["Content-Disposition", "ETag", "Link", "Retry-After"],
    )


async def say_what_it_varies_by(message: Message, _: Scope) -> None:
    """Say in each answer what it depends on: Litestar puts the origin in place of the rest, and only where one was sent."""
    if message["type"] == "http.response.start":
        MutableScopeHeaders.from_message(message)["vary"] = _VARY
