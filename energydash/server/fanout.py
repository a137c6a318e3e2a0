"""Who is connected, and when each gets what: what changed once a tick, and nobody waits for anybody."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterator
from typing import Protocol

import msgspec

from energydash import __version__, schema
from energydash.server.figures import LAG_BOUNDS_S, Delays, newest_in
from energydash.server.framing import Form, framed
from energydash.server.hub import Hub
from energydash.server.views import Views

TICK_S = 0.1
"""How long what arrives is gathered before it is sent."""

STALLED_S = 20.0
"""A reader that takes nothing for so long is hung up on."""

BEHIND_S = 120.0
"""A reader that does not catch up for so long is hung up on."""

MAX_VIEWS = 1000
"""Different filters in use at once."""

_STATUS_EVERY_TICKS = 10
# So many sockets are written to before others on the loop get their turn.
_AT_ONCE = 256


class Outlet(Protocol):
    """The way to one reader. It takes bytes at any time, but while it is congested it had better not be given any."""

    @property
    def congested(self) -> bool:
        """Whether the reader is slow to take what it was given."""
        ...

    @property
    def buffered(self) -> int:
        """The bytes that the reader has not taken yet."""
        ...

    def put(self, *chunks: bytes) -> None:
        """Take whole frames."""
        ...

    def abort(self) -> None:
        """Hang up at once."""
        ...


class Client:
    """One reader: how it reads, what it wants, and how far it has come."""

    __slots__ = (
        "behind_since",
        "form",
        "fresh",
        "moved_at",
        "outlet",
        "sent",
        "unread",
        "wish",
    )

    def __init__(self, outlet: Outlet, form: Form, wish: schema.Subscribe) -> None:
        self.outlet = outlet
        self.form = form
        self.wish = wish
        # The newest tick that it was sent.
        self.sent = -1
        # Whether it is due a snapshot rather than what it missed.
        self.fresh = False
        self.behind_since: float | None = None
        # How much it had not taken when that last changed.
        self.unread = 0
        self.moved_at = 0.0


class Figures(msgspec.Struct):
    """What the fan-out has done so far."""

    ticks: int = 0
    ticks_late: int = 0
    bytes_sent: int = 0
    joins: int = 0
    resumed: int = 0
    folded: int = 0
    closed: Counter[str] = msgspec.field(default_factory=Counter)
    delays: Delays = msgspec.field(default_factory=Delays)
    lags: Delays = msgspec.field(default_factory=lambda: Delays(LAG_BOUNDS_S))


class Fanout:
    """Joins the hub and its clients; all of it in one event loop."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.views = Views(hub)
        self.clients: set[Client] = set()
        self.figures = Figures()
        self._wishes: Counter[schema.Subscribe] = Counter()
        self._status: schema.Status | None = None

    # --- one reader ---

    def has_room(self, wish: schema.Subscribe) -> bool:
        """Whether one more view can be made."""
        return wish in self._wishes or len(self._wishes) < MAX_VIEWS

    def join(self, client: Client, resume: schema.Resume | None = None) -> None:
        """Take a client in and send what it begins with: nothing falls between that and what comes after."""
        self.clients.add(client)
        self._wishes[client.wish] += 1
        self.figures.joins += 1
        hello = schema.Hello(
            protocol=schema.PROTOCOL,
            stream=self.hub.stream,
            version=__version__,
            seq=self.hub.seq,
            tick_ms=round(TICK_S * 1000),
        )
        self._send(client, framed(hello, client.form))
        self._begin(client, resume)

    def leave(self, client: Client) -> None:
        """Let a client go."""
        if client in self.clients:
            self.clients.remove(client)
            self._forget(client.wish)

    def resubscribe(self, client: Client, wish: schema.Subscribe) -> None:
        """Give a client another view, beginning with its snapshot."""
        self._wishes[wish] += 1
        self._forget(client.wish)
        client.wish = wish
        self._begin(client)

    def resume(self, client: Client, resume: schema.Resume) -> None:
        """Give what came after a tick, or a snapshot where that is not known."""
        self._begin(client, resume)

    def answer(self, client: Client) -> None:
        """Tell one client how things are; one that does not read hears it once it does."""
        if client.outlet.congested:
            self._falls_behind(client)
        else:
            self._send(client, framed(self.status(), client.form))

    def refuse(self, client: Client, code: schema.ErrorCode, detail: str) -> None:
        """Tell one client why it is being hung up on."""
        self.figures.closed[code] += 1
        self._send(client, framed(schema.ErrorFrame(code=code, detail=detail), client.form))

    def drained(self, client: Client) -> None:
        """Bring a reader up to date that reads again: what it missed is folded into the newest state."""
        if client.behind_since is None or client not in self.clients:
            return
        client.behind_since = None
        if client.fresh:
            self._begin(client)
            return
        self.figures.folded += 1
        missed = self.views.folded(client.sent, client.wish, client.form)
        self._catch_up(client, missed)

    def status(self) -> schema.Status:
        """Give the road's state."""
        return self.hub.status(len(self.clients))

    @property
    def wishes(self) -> int:
        """How many different filters are in use."""
        return len(self._wishes)

    def _begin(self, client: Client, resume: schema.Resume | None = None) -> None:
        if client.outlet.congested:
            client.fresh = True
            self._falls_behind(client)
            return
        client.fresh = False
        missed = self.views.missed(resume, client.wish, client.form) if resume else None
        if missed is None:
            self._catch_up(client, *self.views.snapshot(client.wish, client.form))
        else:
            self.figures.resumed += 1
            self._catch_up(client, missed)

    def _catch_up(self, client: Client, *missed: bytes) -> None:
        # The status is always the present one: it changes without any record.
        self._send(client, *missed, framed(self.status(), client.form))
        client.sent = self.hub.seq

    def _falls_behind(self, client: Client) -> None:
        if client.behind_since is None:
            client.behind_since = client.moved_at = time.monotonic()
            client.unread = client.outlet.buffered

    def _send(self, client: Client, *chunks: bytes) -> None:
        self.figures.bytes_sent += sum(map(len, chunks))
        client.outlet.put(*chunks)

    def _forget(self, wish: schema.Subscribe) -> None:
        self._wishes[wish] -= 1
        if not self._wishes[wish]:
            del self._wishes[wish]

    # --- all of them ---

    async def run(self) -> None:
        """Tick until cancelled, on an absolute clock."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for number in itertools.count(1):
            due += TICK_S
            if loop.time() > due:
                self.figures.ticks_late += 1
                due = loop.time()
            await asyncio.sleep(due - loop.time())
            with_status = number % _STATUS_EVERY_TICKS == 0
            for _ in self._deliver(with_status=with_status):
                await asyncio.sleep(0)
            if with_status:
                self.hang_up_on_stalled(time.monotonic())

    def tick(self, *, with_status: bool) -> None:
        """Send what changed, each distinct view encoded once."""
        for _ in self._deliver(with_status=with_status):
            pass

    def _deliver(self, *, with_status: bool) -> Iterator[None]:
        """Send what changed, with a pause after every so many clients."""
        since = self.hub.arrived_since_tick()
        frames = self.hub.tick()
        seq = self.hub.seq
        newest = newest_in(frames)
        self.figures.ticks += 1
        if frames:
            self.views.remember(frames)
        status = self.status()
        if with_status or self._status is None or _road(self._status) != _road(status):
            frames = [*frames, status]
            self._status = status
        if not frames:
            return
        made: dict[tuple[schema.Subscribe, Form], bytes] = {}
        for number, client in enumerate(list(self.clients), 1):
            self._hand(client, seq, frames, made)
            if number % _AT_ONCE == 0:
                yield
        if since is not None:
            self.figures.delays.add((self.hub.now() - since).total_seconds())
            if newest is not None:
                self.figures.lags.add((self.hub.now() - newest).total_seconds())

    def _hand(
        self,
        client: Client,
        seq: int,
        frames: list[schema.ServerFrame],
        made: dict[tuple[schema.Subscribe, Form], bytes],
    ) -> None:
        if client not in self.clients:
            return
        if client.outlet.congested or client.behind_since is not None:
            self._falls_behind(client)
            return
        view = (client.wish, client.form)
        data = made.get(view)
        if data is None:
            data = made[view] = self.views.of(frames, client.wish, client.form)
        if data:
            self._send(client, data)
        client.sent = seq

    def hang_up_on_stalled(self, now: float) -> None:
        """End with the readers that take nothing, or too little for too long; `now` is that of the monotonic clock."""
        for client in list(self.clients):
            if client.behind_since is None:
                continue
            if client.outlet.buffered < client.unread:
                client.moved_at = now
            client.unread = client.outlet.buffered
            if now - client.moved_at > STALLED_S or now - client.behind_since > BEHIND_S:
                self.figures.closed["stalled"] += 1
                self.leave(client)
                client.outlet.abort()


def _road(status: schema.Status) -> tuple[str, str, str]:
    return status.broker, status.publisher, status.source
