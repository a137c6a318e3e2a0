"""Serving the dashboard: one feed a process, one session a browser, all in one event loop."""

import asyncio
import errno
import logging
import secrets
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import panel as pn
from bokeh.document import Document
from bokeh.io import curdoc
from bokeh.server.server import Server
from bokeh.settings import settings as bokeh_settings
from panel.io.resources import CDN_DIST, DIST_DIR
from panel.theme import Design

from energydash import config
from energydash.browser import open_browser
from energydash.config import UiSettings
from energydash.errors import PortInUseError
from energydash.ui import access, address, backfill, bundled, feed, front, health
from energydash.ui.alerts import Watch
from energydash.ui.explore.reading import Reading
from energydash.ui.session import Session
from energydash.ui.store import Store

logger = logging.getLogger(__name__)

# Two redraws a second are as many as a reader can follow.
_FLUSH_EVERY_S = 0.5
# Lost wakes are repaired, and the age of the data is told anew, this often.
_HOUSEKEEPING_EVERY_S = 3.0
_KEEP_UNUSED_MS = 30_000
# For how long a page that is open finds its way back. Its token gives no right to anything: where there is a log-in, its cookie does,
# and ends by itself.
_TOKEN_LASTS_S = 400 * 24 * 3600
# Pages that wait to be built each hold a thread, and the live ones need some too.
_THREADS = 64


class Audience:
    """The open pages of this process, and the pace at which they hear of changes."""

    def __init__(self) -> None:
        self._sessions: dict[Document, Session] = {}
        self._changed = asyncio.Event()

    def join(self, document: Document, session: Session) -> None:
        """Take a page in until its session ends."""
        self._sessions[document] = session
        # What came while the browser was drawing.
        document.on_event("document_ready", lambda _: session.wake(document))
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
            self._wake_all()
            await asyncio.sleep(_FLUSH_EVERY_S)

    def _wake_all(self) -> None:
        # In a function of its own, whose variables end with it: a page that is gone must not be held until the next turn.
        for document, session in list(self._sessions.items()):
            if _is_read(document):
                session.wake(document)


def _is_read(document: Document) -> bool:
    """Whether a browser is connected: a page that still waits for its own, or has lost it, is drawn anew when that comes."""
    session = getattr(document.session_context, "session", None)
    return session is not None and session.connection_count > 0


async def serve(settings: UiSettings, ready: Callable[[], None] = lambda: None) -> None:
    """Serve the dashboard until cancelled; `ready` is called once it listens.

    Raises:
        ConfigError: the password file is none.
        PortInUseError: another program listens on the port.
    """
    store, audience = Store(), Audience()
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS, "page"))
    server = _server(settings, store, audience)
    try:
        server.start()
        logger.info("listening on %s:%d", settings.host, settings.port)
        ready()
        if settings.open_browser:
            open_browser(settings.url)
        async with asyncio.TaskGroup() as group:
            group.create_task(feed.run(settings, store, audience.wake), name="feed")
            group.create_task(backfill.run(settings, store, audience.wake), name="backfill")
            group.create_task(audience.run(), name="audience")
    finally:
        server.stop()


@contextmanager
def _interrupts_kept() -> Iterator[None]:
    """Let a Ctrl-C go on to mean what it did: Panel would have it stop the event loop under all that runs there."""
    kept = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, kept)


@_interrupts_kept()
def _server(settings: UiSettings, store: Store, audience: Audience) -> Server:
    # Each part is a root of the document: none brings a style of Panel's, or asks what browser it is in.
    pn.extension(reconnect=True, browser_info=False, design=Design)
    # The same models make up every page; to check them is a tenth of the time to build one.
    bokeh_settings.perform_document_validation = False
    watch = Watch(store, settings.alerts)
    reading = None if settings.history is None else Reading(settings.history)

    building = threading.Lock()

    def page() -> None:
        document = curdoc()
        # Bokeh builds pages in worker threads: together they would take longer, and leave the loop a smaller share.
        with building, document.models.freeze():
            build(document)

    def build(document: Document) -> None:
        look, notices = address.from_query(front.query(pn.state.session_args or {}))
        cookies = pn.state.cookies or {}
        session = Session(
            store, look, front.mode_of(look, cookies), colours=front.colours_of(look, cookies), notices=notices,
            tiles=settings.tiles, reading=reading, watch=watch,
        )  # fmt: skip
        session.place(document)
        audience.join(document, session)

    try:
        server: Server = pn.serve(
            {"/": page},
            address=settings.host,
            port=settings.port,
            start=False,
            show=False,
            verbose=False,
            threaded=False,
            title="energydash",
            websocket_origin=_origins(settings),
            static_dirs={
                # The prefix comes before all routes, and is in this one already.
                CDN_DIST.removeprefix(settings.prefix).strip("/"): str(DIST_DIR),
                "assets": str(bundled.FOLDER),
            },
            prefix=settings.prefix,
            use_xheaders=bool(settings.prefix or settings.allow_origin),
            extra_patterns=health.routes(store),
            **_guard(settings),
            session_token_expiration=_TOKEN_LASTS_S,
            unused_session_lifetime_milliseconds=_KEEP_UNUSED_MS,
        )
    except OSError as exc:
        if exc.errno not in {errno.EADDRINUSE, errno.EACCES}:
            raise
        raise PortInUseError(
            f"port {settings.port} is in use on {settings.host}: stop what listens there, or give another with --port"
        ) from exc
    front.take_over(server._tornado, settings.prefix, store)  # noqa: SLF001 (Bokeh has no public name for it)
    return server


def _origins(settings: UiSettings) -> list[str]:
    """Give the hosts whose pages may open the WebSocket; beyond this machine we do not know our own names."""
    allowed = [config.origin_host(origin) for origin in settings.allow_origin]
    if not config.is_loopback(settings.host) and not allowed:
        return ["*"]
    own = {f"{host}:{settings.port}" for host in (settings.host, "127.0.0.1", "localhost")}
    return sorted({*own, *allowed})


def _guard(settings: UiSettings) -> dict[str, Any]:
    """Give what makes the server ask for a log-in; a restart asks everybody anew."""
    if settings.auth is None:
        return {}
    passwords = access.read_passwords(settings.auth)
    return {
        "auth_provider": access.Access(passwords, settings.prefix),
        "cookie_secret": secrets.token_hex(32),
    }
