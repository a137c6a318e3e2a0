"""Serving the dashboard: one feed a process, one session a browser, all in one event loop."""

import asyncio
import errno
import logging
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlencode

import panel as pn
from bokeh.document import Document
from bokeh.server.server import Server
from panel.io.resources import CDN_DIST, DIST_DIR

from energydash import config
from energydash.config import UiSettings
from energydash.errors import PortInUseError
from energydash.ui import address, backfill, bundled, feed
from energydash.ui.session import Session, mode_from_cookie
from energydash.ui.store import Store

logger = logging.getLogger(__name__)

# Two redraws a second are as many as a reader can follow.
_FLUSH_EVERY_S = 0.5
# Lost wakes are repaired, and the age of the data is told anew, this often.
_HOUSEKEEPING_EVERY_S = 3.0
_KEEP_UNUSED_MS = 30_000


class Audience:
    """The open pages of this process, and the pace at which they hear of changes."""

    def __init__(self) -> None:
        self._sessions: dict[Document, Session] = {}
        self._changed = asyncio.Event()

    def join(self, document: Document, session: Session) -> None:
        """Take a page in until its session ends."""
        self._sessions[document] = session
        document.on_session_destroyed(lambda _: self.leave(document))

    def leave(self, document: Document) -> None:
        """Let a page go."""
        self._sessions.pop(document, None)

    def wake(self) -> None:
        """Note that the store has changed."""
        self._changed.set()

    async def run(self) -> None:
        """Wake the pages after changes, at most twice a second, until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_HOUSEKEEPING_EVERY_S):
                    await self._changed.wait()
            self._changed.clear()
            for document, session in list(self._sessions.items()):
                session.wake(document)
            await asyncio.sleep(_FLUSH_EVERY_S)


async def serve(settings: UiSettings, ready: Callable[[], None] = lambda: None) -> None:
    """Serve the dashboard until cancelled; `ready` is called once it listens.

    Raises:
        ConfigError: the host is reachable from elsewhere, or the backend's address makes no sense.
        PortInUseError: another program listens on the port.
    """
    config.check_exposure(settings.host, guarded=False, insecure=settings.insecure)
    config.check_backend(settings.backend)
    store, audience = Store(), Audience()
    server = _server(settings, store, audience)
    try:
        server.start()
        logger.info("listening on %s:%d", settings.host, settings.port)
        ready()
        if settings.open_browser:
            await asyncio.to_thread(webbrowser.open, f"http://{settings.host}:{settings.port}")
        async with asyncio.TaskGroup() as group:
            group.create_task(feed.run(settings, store, audience.wake), name="feed")
            group.create_task(backfill.run(settings, store, audience.wake), name="backfill")
            group.create_task(audience.run(), name="audience")
    finally:
        server.stop()


def _query() -> str:
    """Give the query that the page was asked for with."""
    given = pn.state.session_args or {}
    return urlencode(
        [(name, values[0].decode(errors="replace")) for name, values in given.items() if values]
    )


def _server(settings: UiSettings, store: Store, audience: Audience) -> Server:
    pn.extension(reconnect=True)

    def page() -> pn.Template:
        look, notices = address.from_query(_query())
        mode = look.theme or mode_from_cookie((pn.state.cookies or {}).get)
        session = Session(store, look, mode, notices=notices, tiles=settings.tiles)
        document = pn.state.curdoc
        if document is not None:
            audience.join(document, session)
        return session.page(mode)

    hosts = {f"{host}:{settings.port}" for host in (settings.host, "127.0.0.1", "localhost")}
    try:
        server: Server = pn.serve(
            {"/": page},
            address=settings.host,
            port=settings.port,
            start=False,
            show=False,
            threaded=False,
            title="energydash",
            websocket_origin=sorted(hosts) if config.is_loopback(settings.host) else "*",
            static_dirs={
                CDN_DIST.strip("/"): str(DIST_DIR),
                "assets": str(bundled.FOLDER),
            },
            unused_session_lifetime_milliseconds=_KEEP_UNUSED_MS,
        )
    except OSError as exc:
        if exc.errno not in {errno.EADDRINUSE, errno.EACCES}:
            raise
        raise PortInUseError(
            f"port {settings.port} is in use on {settings.host}: stop what listens there, or give another with --port"
        ) from exc
    return server
