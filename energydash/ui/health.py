"""Whether the dashboard lives, and whether it has a grid to show: for whoever watches over processes. No log-in needed."""

from typing import Any

import msgspec
from tornado.web import RequestHandler

from energydash.ui.store import Store


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What `/readiness` answers: `stage` is the part of the road that is lost, or "live"."""

    ready: bool
    stage: str
    event_time: str | None = None


def health(store: Store) -> Health:
    """Say whether there is anything to show; that it is old is no reason to turn readers away."""
    newest = store.event_time
    return Health(
        ready=bool(store.facilities and store.times),
        stage=store.stage().value,
        event_time=newest.isoformat() if newest else None,
    )


class _Told(RequestHandler):
    def initialize(self, store: Store) -> None:
        self._store = store
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")


class Liveness(_Told):
    """`/liveness`: 200 as long as the event loop turns."""

    def get(self) -> None:
        """Answer."""
        self.write(b'{"alive":true}')


class Readiness(_Told):
    """`/readiness`: 200, or 503 while there is nothing to show yet."""

    def get(self) -> None:
        """Answer."""
        told = health(self._store)
        self.set_status(200 if told.ready else 503)
        self.write(msgspec.json.encode(told))


def routes(store: Store) -> list[tuple[str, type[RequestHandler], dict[str, Any]]]:
    """Give the routes for Bokeh's server."""
    given = {"store": store}
    return [(r"/liveness", Liveness, given), (r"/readiness", Readiness, given)]
