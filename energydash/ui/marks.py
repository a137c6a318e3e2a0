"""How a station looks on the map: colour by fuel, area by a metric; the key to it comes from the same function. Pure."""

import math
from collections.abc import Callable

import msgspec

from energydash import nem, schema
from energydash.ui import hues, numbers
from energydash.ui.address import MetricId
from energydash.ui.past import Reading
from energydash.ui.selection import group_of
from energydash.ui.theme import Palette

LEAST_RADIUS_PX = 2.5
FAINT = 0.12
"""No station that is in scope is painted as thinly as this; who is out of it is."""

_AT_REST_MW = 0.05
_OUT_OF_SCOPE = 0.1


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """What the area of a circle stands for; `full` has the radius `full_radius`, `key` are the values that the legend shows."""

    label: str
    text: Callable[[float | None], str]
    value: Callable[[schema.FacilityInfo, Reading], float | None]
    full: float
    full_radius: float
    key: tuple[float, ...]

    def radius_px(self, value: float) -> float:
        """Give a circle's radius: its area is proportional to |value|, down to the least that can be seen."""
        return max(LEAST_RADIUS_PX, self.full_radius * math.sqrt(abs(value) / self.full))


METRICS: dict[MetricId, Metric] = {
    "power": Metric(
        label="Power",
        text=numbers.megawatts,
        value=lambda _, reading: reading.power,
        full=2500.0,
        full_radius=22.0,
        key=(100.0, 500.0, 2500.0),
    ),
    "emissions": Metric(
        label="Emissions",
        text=numbers.tonnes,
        value=lambda _, reading: reading.emissions,
        full=200.0,
        full_radius=22.0,
        key=(5.0, 50.0, 200.0),
    ),
    "factor": Metric(
        label="Capacity factor",
        text=numbers.share,
        value=lambda facility, reading: factor(facility, reading.power),
        full=1.0,
        full_radius=9.0,
        key=(0.1, 0.5, 1.0),
    ),
    "capacity": Metric(
        label="Capacity",
        text=numbers.megawatts,
        value=lambda facility, _: facility.capacity,
        full=2500.0,
        full_radius=22.0,
        key=(100.0, 500.0, 2500.0),
    ),
}


def factor(facility: schema.FacilityInfo, power: float | None) -> float | None:
    """Give a station's power as a share of its registered capacity; None where either is unknown."""
    if power is None or not facility.capacity:
        return None
    return power / facility.capacity


def intensity(reading: Reading | None) -> float | None:
    """Give t CO2 per MWh of a station's interval; None where nothing is made or the emissions are unknown."""
    if reading is None or reading.emissions is None or (reading.power or 0.0) <= 0:
        return None
    return reading.emissions / ((reading.power or 0.0) * nem.INTERVAL_HOURS)


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """How a station looks now; the fields are columns of the map's source."""

    shown: str
    used: str
    size: float
    color: str
    fill_alpha: float
    line_color: str
    line_alpha: float
    line_width: float


def mark(
    facility: schema.FacilityInfo,
    reading: Reading | None,
    palette: Palette,
    *,
    in_scope: bool,
    newest: bool = True,
    metric: MetricId = "power",
) -> Mark:
    """Give a station's look: filled where it generates, a ring where it is a load, hollow at rest, grey unknown."""
    faded = 1.0 if in_scope else _OUT_OF_SCOPE
    measure = METRICS[metric]
    value = measure.value(facility, reading) if reading else None
    if reading is None or reading.power is None or value is None:
        return Mark(
            shown="no data" if reading is None else "unknown", used="", size=2 * LEAST_RADIUS_PX, color=palette.no_data,
            fill_alpha=0.7 * faded, line_color=palette.no_data, line_alpha=faded, line_width=1.0,
        )  # fmt: skip
    power = reading.power
    group = group_of(facility)
    at_rest, is_load = abs(power) < _AT_REST_MW, power < 0
    solid = 0.0 if at_rest else 0.18 if is_load else hues.FILLED
    late = "" if newest else f" at {numbers.clock(reading.event_time)}"
    word = " taken" if is_load and not at_rest else ""
    return Mark(
        shown=f"{numbers.megawatts(abs(power) if word else power)}{word}{late}",
        used=_used(facility, power, measure, value),
        size=2 * measure.radius_px(value),
        color=palette.fuel(group),
        fill_alpha=solid * faded,
        line_color=palette.ring(group) if at_rest or is_load else palette.rim(group),
        line_alpha=faded,
        line_width=2.0 if is_load and not at_rest else 1.2 if at_rest else 1.0,
    )


def _used(facility: schema.FacilityInfo, power: float, measure: Metric, value: float) -> str:
    if measure is METRICS["emissions"]:
        return f"{numbers.tonnes(value)} in 5 min"
    used = factor(facility, power)
    return "" if used is None else f"{numbers.share(abs(used))} of capacity"


def legend(metric: MetricId, unplaced: int = 0) -> str:
    """Give the key to the circles as HTML; `unplaced` stations have no place on the map."""
    measure = METRICS[metric]
    edge = 2 * (measure.radius_px(measure.key[-1]) + 1)
    sizes = "".join(
        f'<span><svg width="{2 * measure.radius_px(value) + 2:.0f}" height="{edge:.0f}">'
        f'<circle cx="50%" cy="50%" r="{measure.radius_px(value):.1f}"/></svg>{measure.text(value)}</span>'
        for value in measure.key
    )
    looks = "".join(
        f'<span><svg width="14" height="14"><circle class="{look}" cx="7" cy="7" r="5"/></svg>{word}</span>'
        for look, word in (
            ("rest", "at rest"),
            ("load", "charging, pumping"),
            ("none", "no data"),
        )
    )
    missing = (
        f'<div class="key">{unplaced} without coordinates: see Table</div>' if unplaced else ""
    )
    return (
        f'<div class="key sizes" data-testid="sizes"><b>{measure.label}</b>{sizes}</div>'
        f'<div class="key" data-testid="looks">{looks}</div>{missing}'
    )
