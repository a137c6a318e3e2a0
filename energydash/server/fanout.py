"""Who is connected, and how each gets what changed: encoded once a view, never waiting for anybody."""

import asyncio
import itertools
from collections import deque
from collections.abc import Iterable, Sequence

from energydash import __version__, schema
from energydash.server.hub import Hub
from energydash.server.view import seen

TICK_S = 0.1
_STATUS_EVERY_TICKS = 10
_QUEUE = 64
_REMEMBERED_TICKS = 100
_SNAPSHOTS_KEPT = 32

Texts = tuple[str, ...]


class Client:
    """One reader: its wish and a bounded queue of frames.

    When the queue is full all of it is dropped, and a fresh snapshot takes its place: a slow reader sees fewer
    moments, but never a wrong one.
    """

    def __init__(self) -> None:
        self.wish = schema.Subscribe()
        self._frames: deque[str] = deque()
        self._ready = asyncio.Event()
        self.behind = False

    def put(self, frames: Iterable[str]) -> None:
        """Queue frames, or note that the reader must start afresh."""
        if self.behind:
            return
        self._frames.extend(frames)
        if len(self._frames) > _QUEUE:
            self._frames.clear()
            self.behind = True
        self._ready.set()

    def restart(self, frames: Iterable[str]) -> None:
        """Replace what is queued by a snapshot."""
        self._frames.clear()
        self._frames.extend(frames)
        self.behind = False
        self._ready.set()

    async def next(self) -> str | None:
        """Wait for a frame; None asks for `restart`."""
        while not self._frames:
            if self.behind:
                return None
            self._ready.clear()
            await self._ready.wait()
        return self._frames.popleft()


class Fanout:
    """Joins the hub and its clients; all of it in one event loop."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.clients: set[Client] = set()
        self.ticks_late = 0
        self._recent: deque[tuple[int, Sequence[schema.ServerFrame]]] = deque(
            maxlen=_REMEMBERED_TICKS
        )
        self._snapshots: dict[schema.Subscribe, tuple[tuple[int, int], Texts]] = {}
        self._status: schema.Status | None = None

    def join(self, client: Client) -> None:
        """Take a client in and queue its snapshot: nothing falls between the two."""
        self.clients.add(client)
        client.put((self._text(self._hello()), *self.snapshot(client.wish)))

    def leave(self, client: Client) -> None:
        """Let a client go."""
        self.clients.discard(client)

    def resubscribe(self, client: Client, wish: schema.Subscribe) -> None:
        """Give a client another view, beginning with its snapshot."""
        client.wish = wish
        client.restart(self.snapshot(wish))

    def resume(self, client: Client, seq: int) -> None:
        """Give what came after `seq`, or a snapshot where that is no longer (or not yet) known."""
        known = self._recent[0][0] - 1 if self._recent else self.hub.seq
        if known <= seq <= self.hub.seq:
            missed = [f for number, frames in self._recent if number > seq for f in frames]
            client.restart((*self._texts(missed, client.wish), self._text(self.status())))
        else:
            client.restart(self.snapshot(client.wish))

    def snapshot(self, wish: schema.Subscribe) -> Texts:
        """Give the whole of a view, encoded once for each change."""
        hub = self.hub
        # The tick counts too: it makes sums anew that a snapshot before it took as they were.
        moment = (hub.version, hub.seq)
        cached = self._snapshots.get(wish)
        if cached is None or cached[0] != moment:
            whole = (hub.initial_data(), hub.initial_market(), hub.initial_charts())
            cached = (moment, self._texts(whole, wish))
            if len(self._snapshots) >= _SNAPSHOTS_KEPT:
                self._snapshots.clear()
            self._snapshots[wish] = cached
        # The status is always the present one: it changes without any record.
        return (*cached[1], self._text(self.status()))

    def status(self) -> schema.Status:
        """Give the road's state."""
        return self.hub.status(len(self.clients))

    async def run(self) -> None:
        """Tick until cancelled, on an absolute clock."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for number in itertools.count(1):
            due += TICK_S
            if loop.time() > due:
                self.ticks_late += 1
                due = loop.time()
            await asyncio.sleep(due - loop.time())
            self.tick(with_status=number % _STATUS_EVERY_TICKS == 0)

    def tick(self, *, with_status: bool) -> None:
        """Send what changed, each distinct view encoded once."""
        frames = self.hub.tick()
        if frames:
            self._recent.append((self.hub.seq, frames))
        status = self.status()
        before = self._status
        if with_status or before is None or _road(before) != _road(status):
            frames = [*frames, status]
            self._status = status
        if not frames:
            return
        views: dict[schema.Subscribe, Texts] = {}
        for client in self.clients:
            texts = views.get(client.wish)
            if texts is None:
                texts = views[client.wish] = self._texts(frames, client.wish)
            client.put(texts)

    def _texts(self, frames: Iterable[schema.ServerFrame], wish: schema.Subscribe) -> Texts:
        views = (seen(frame, wish, self.hub.info) for frame in frames)
        return tuple(self._text(view) for view in views if view is not None)

    def _text(self, frame: schema.ServerFrame) -> str:
        return schema.encode(frame).decode()

    def _hello(self) -> schema.Hello:
        return schema.Hello(
            protocol=schema.PROTOCOL,
            stream=self.hub.stream,
            version=__version__,
            seq=self.hub.seq,
            tick_ms=round(TICK_S * 1000),
        )


def _road(status: schema.Status) -> tuple[str, str, str]:
    return status.broker, status.publisher, status.source
