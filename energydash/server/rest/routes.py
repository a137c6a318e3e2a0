"""All routes of REST, what they share, and how they are described."""

from litestar import Router
from litestar.di import Provide
from litestar.types import Guard

from energydash.server.fanout import Fanout
from energydash.server.limits import Doorkeeper
from energydash.server.metrics import Metrics
from energydash.server.rest import describe, facilities, general, market
from energydash.server.rest.desk import Desk
from energydash.server.rest.parameters import only_known, page, window


def routers(
    fanout: Fanout, doorkeeper: Doorkeeper | None, guard: Guard, *, guarded: bool
) -> list[Router]:
    """Give the routes that anybody may read, and those behind the guard; `guarded`: it asks for a token."""
    desk = Desk(fanout, private=guarded)
    return [
        Router("/", route_handlers=general.public_handlers(fanout), tags=["server"]),
        Router(
            "/",
            route_handlers=[
                *facilities.handlers(desk),
                *market.handlers(desk),
                *general.handlers(desk, Metrics(fanout, doorkeeper)),
            ],
            guards=[guard],
            before_request=only_known,
            dependencies={
                "page": Provide(page, sync_to_thread=False),
                "window": Provide(window, sync_to_thread=False),
            },
            security=[describe.BEARER] if guarded else None,
            tags=["grid"],
        ),
    ]
