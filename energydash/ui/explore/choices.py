"""What a reader can ask for, as widgets; and the question that their values make."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, timedelta

import msgspec
import panel as pn

from energydash import nem, schema
from energydash.files.tracks import HOUR_MS, INTERVAL_MS, METRICS, Kind, Question, Tracks
from energydash.ui import bundled, turns

_LOOKS = [bundled.text("widgets.css")]
_MOST_STATIONS = 8
_FIRST_STATIONS = 5
_AUTO = 0
# With `automatic`, a line has at most so many points: about one for two pixels.
_POINTS = 720
_STEPS_MS = (INTERVAL_MS, HOUR_MS // 2, HOUR_MS, 24 * HOUR_MS)
_OWN = -1.0
_ALL = 0.0

KINDS: dict[str, Kind] = {"Regions": "region", "Fuels": "fuel", "Stations": "station"}


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What can be asked for: kinds with their metrics, stations, and the span that there is (aware)."""

    metrics: dict[Kind, tuple[str, ...]]
    facilities: tuple[schema.FacilityInfo, ...]
    start: datetime
    end: datetime


class Choices:
    """The widgets; `changed` is called once for each change of a reader's."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._offer: Offer | None = None
        self._quiet = False
        self.kind = pn.widgets.RadioButtonGroup(
            label="Compare", options=KINDS, align="end", margin=(2, 4), stylesheets=_LOOKS
        )
        self.names = pn.widgets.MultiChoice(
            label="Which",
            options={},
            sizing_mode="stretch_width",
            min_width=260,
            max_width=420,
            margin=(2, 4),
            search_option_limit=30,
            stylesheets=[*_LOOKS, bundled.text("choices.css")],
        )
        self.scope = _select("In", _scopes(), 120)
        self.metric = _select("Metric", {}, 165)
        self.span = _select(
            "Span",
            {"last 24 hours": 1.0, "last 3 days": 3.0, "last 7 days": 7.0, "last 30 days": 30.0, "all there is": _ALL, "from … to …": _OWN},
            130,
        )  # fmt: skip
        self.span.value = 7.0
        self.start = _moment_input("From (NEM time)")
        self.end = _moment_input("To (NEM time)")
        self.every = _select(
            "Step", {"automatic": _AUTO, "5 minutes": _STEPS_MS[0], "30 minutes": _STEPS_MS[1], "1 hour": _STEPS_MS[2], "1 day": _STEPS_MS[3]}, 115
        )  # fmt: skip
        self.kind.param.watch(self._later(self._another_kind), "value")
        for widget in (self.names, self.scope, self.metric, self.span, self.start, self.end, self.every):  # fmt: skip
            widget.param.watch(self._later(self._tell), "value")

    @property
    def widgets(self) -> tuple[pn.viewable.Viewable, ...]:
        """The widgets in their order."""
        return (self.kind, self.names, self.scope, self.metric, self.span, self.start, self.end, self.every)  # fmt: skip

    def offer(self, offer: Offer) -> None:
        """Take in what there is; what was chosen and is still there stays chosen."""
        first, kind = self._offer is None, self.kind.value
        self._offer = offer
        with self._silently():
            self.kind.options = {k: v for k, v in KINDS.items() if offer.metrics.get(v)}
            self._fill(anew=first or self.kind.value != kind)
            if first:
                self.start.value = (offer.end - timedelta(days=1)).replace(tzinfo=None)
                self.end.value = offer.end.replace(tzinfo=None)

    def reach(self, start: datetime, end: datetime) -> None:
        """Take the span that there is now (aware); what a reader has chosen stays as it is."""
        if self._offer is not None:
            self._offer = msgspec.structs.replace(self._offer, start=start, end=end)

    @property
    def labels(self) -> dict[str, str]:
        """What the chosen names are called."""
        return {name: label for label, name in self.names.options.items()}

    def question(self) -> Question | None:
        """Give what is asked for; None where it asks for nothing."""
        if self._offer is None or not self.names.value or self.metric.value is None:
            return None
        start, end = self._ends(self._offer)
        if start >= end:
            return None
        return Question(
            kind=self.kind.value,
            names=tuple(self.names.value),
            metric=self.metric.value,
            start=start,
            end=end,
            scope=self.scope.value,
        )

    def every_ms(self, tracks: Tracks) -> int:
        """Give the length of a step; `automatic` is the finest that is not more than can be seen."""
        if self.every.value != _AUTO:
            return int(self.every.value)
        length = tracks.length * tracks.step_ms
        return next((step for step in _STEPS_MS if length / step <= _POINTS), _STEPS_MS[-1])

    def _ends(self, offer: Offer) -> tuple[datetime, datetime]:
        if self.span.value == _OWN:
            return _aware(self.start.value) or offer.start, _aware(self.end.value) or offer.end
        if self.span.value == _ALL:
            return offer.start, offer.end
        # The last interval begins at the end, and counts.
        days = timedelta(days=self.span.value)
        return max(offer.start, offer.end - days + nem.INTERVAL), offer.end

    def _later(self, react: Callable[[], None]) -> Callable[[object], None]:
        """Give what reacts to a reader's change, and not to one of ours."""
        return lambda _: None if self._quiet else turns.soon(react)

    def _another_kind(self) -> None:
        with self._silently():
            self._fill(anew=True)
        self._tell()

    def _fill(self, *, anew: bool) -> None:
        """Offer what the kind has."""
        if self._offer is None:
            return
        kind: Kind = self.kind.value
        names, first = _names(kind, self._offer.facilities)
        kept = [name for name in self.names.value if name in names.values()]
        self.names.options = names
        self.names.max_items = _MOST_STATIONS if kind == "station" else None
        self.names.value = first if anew or not kept else kept
        metrics = {METRICS[id_].label: id_ for id_ in self._offer.metrics.get(kind, ())}
        chosen = self.metric.value
        self.metric.options = metrics
        self.metric.value = chosen if chosen in metrics.values() else next(iter(metrics.values()), None)  # fmt: skip
        self._arrange()

    def _arrange(self) -> None:
        self.scope.visible = self.kind.value == "fuel"
        self.start.visible = self.end.visible = self.span.value == _OWN

    def _tell(self) -> None:
        self._arrange()
        self._changed()

    @contextmanager
    def _silently(self) -> Iterator[None]:
        self._quiet = True
        try:
            yield
        finally:
            self._quiet = False


def _names(
    kind: Kind, facilities: tuple[schema.FacilityInfo, ...]
) -> tuple[dict[str, str], list[str]]:
    """Give what can be chosen, label to name, and what is at first."""
    if kind == "region":
        return _scopes(), list(nem.NEM_REGIONS)
    if kind == "fuel":
        fuels = {group.label: group.id for group in nem.FUEL_GROUPS}
        return fuels, ["coal_black", "gas", "hydro", "wind", "solar"]
    ordered = sorted(facilities, key=lambda each: (each.name.casefold(), each.code))
    stations = {f"{each.name} · {each.code}": each.code for each in ordered}
    largest = sorted(facilities, key=lambda each: -(each.capacity or 0.0))
    return stations, [each.code for each in largest[:_FIRST_STATIONS]]


def _aware(typed: date | None) -> datetime | None:
    return typed.replace(tzinfo=nem.NEM_ZONE) if isinstance(typed, datetime) else None


def _scopes() -> dict[str, str]:
    return {nem.NETWORK: nem.NETWORK} | {nem.REGION_BY_CODE[c].label: c for c in nem.NEM_REGIONS}  # fmt: skip


def _select(label: str, options: Mapping[str, object], width: int) -> pn.widgets.Select:
    return pn.widgets.Select(
        label=label, options=options, width=width, margin=(2, 4), stylesheets=_LOOKS
    )


def _moment_input(label: str) -> pn.widgets.DatetimeInput:
    return pn.widgets.DatetimeInput(label=label, format="%Y-%m-%d %H:%M", width=150, margin=(2, 4), visible=False, stylesheets=_LOOKS)  # fmt: skip
