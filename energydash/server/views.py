"""What readers are sent, as bytes: made once for all who want the same in the same form, and kept while it is true."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial

from energydash import schema
from energydash.server.framing import Form, framed
from energydash.server.hub import Hub
from energydash.server.kept import Kept
from energydash.server.view import seen

_KEPT_BYTES = 64 * 1024 * 1024
_KEPT_MOST = 20_000
# What is kept is kept by its wish, and a wish may name a thousand facilities.
_NAME_BYTES = 128
_REMEMBERED_TICKS = 600
_REMEMBERED_ROWS = 200_000

Frames = Sequence[schema.ServerFrame]


class Views:
    """The hub's frames as views of them."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.made = 0
        self._kept = Kept[bytes](_KEPT_BYTES, _KEPT_MOST)
        self._ticks: deque[tuple[int, int, Frames]] = deque()
        self._rows = 0

    def of(self, frames: Iterable[schema.ServerFrame], wish: schema.Subscribe, form: Form) -> bytes:  # fmt: skip
        """Give what of the frames the wish is for; nothing where nothing of them is left."""
        views = (seen(frame, wish, self._hub.info) for frame in frames)
        return b"".join(framed(view, form) for view in views if view is not None)

    def snapshot(self, wish: schema.Subscribe, form: Form) -> list[bytes]:
        """Give the whole, by channel; each is made once for each change in it."""
        hub = self._hub
        wholes: dict[schema.Channel, Callable[[], schema.ServerFrame]] = {
            "facilities": hub.initial_data,
            "market": hub.initial_market,
            "charts": hub.initial_charts,
        }
        chunks = []
        for channel, whole in wholes.items():
            if channel in wish.channels:
                # A tick counts too: it sums up anew what a snapshot before it took as it was.
                moment = (hub.changes[channel], hub.seq if channel == "charts" else None)
                make = partial(self._whole, whole, wish, form)
                chunks.append(self._once(wish, (channel, wish, form), moment, make))
        return chunks

    def _whole(
        self, whole: Callable[[], schema.ServerFrame], wish: schema.Subscribe, form: Form
    ) -> bytes:
        return self.of((whole(),), wish, form)

    def folded(self, seq: int, wish: schema.Subscribe, form: Form) -> bytes:
        """Give all that changed after a tick, in one step."""
        return self._once(
            wish,
            ("folded", seq, wish, form),
            self._hub.seq,
            lambda: self.of(self._hub.since(seq), wish, form),
        )

    def missed(self, resume: schema.Resume, wish: schema.Subscribe, form: Form) -> bytes | None:
        """Give tick by tick what came after one; None where that is not known (any more, or yet, or here)."""
        seq = resume.seq
        known = self._ticks[0][0] - 1 if self._ticks else self._hub.seq
        if resume.stream != self._hub.stream or not known <= seq <= self._hub.seq:
            return None
        return self._once(
            wish,
            ("missed", seq, wish, form),
            self._hub.seq,
            lambda: self.of(
                [f for number, _, frames in self._ticks if number > seq for f in frames],
                wish,
                form,
            ),
        )

    def remember(self, frames: Frames) -> None:
        """Keep a tick for who comes back: so many ticks, and so many rows in all of them."""
        rows = sum(_rows(frame) for frame in frames)
        self._ticks.append((self._hub.seq, rows, frames))
        self._rows += rows
        while len(self._ticks) > _REMEMBERED_TICKS or self._rows > _REMEMBERED_ROWS:
            _, gone, _ = self._ticks.popleft()
            self._rows -= gone

    def _once(
        self, wish: schema.Subscribe, key: Hashable, moment: Hashable, make: Callable[[], bytes]
    ) -> bytes:
        kept = self._kept.get(key, moment)
        if kept is None:
            kept = make()
            self.made += 1
            self._kept.put(
                key, moment, kept, len(kept) + _NAME_BYTES * len(wish.filter.facilities)
            )
        return kept


def _rows(frame: schema.ServerFrame) -> int:
    match frame:
        case schema.InitialData() | schema.FacilityUpdate():
            return len(frame.values.facility_id)
        case schema.InitialMarketData() | schema.MarketUpdate():
            return len(frame.values)
        case schema.InitialCharts() | schema.ChartsUpdate():
            return len(frame.times) * (len(frame.scopes) + len(frame.links))
    return 0
