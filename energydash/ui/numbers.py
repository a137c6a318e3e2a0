"""Numbers as people read them: units, thousands, signs. Pure."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from energydash import nem
from energydash.ui.store import Row

THIN = "\u202f"
MINUS = "\u2212"
NONE = "–"

_POINTS = 72
_ALONE = "This market also pays for capacity: its price does not compare with the NEM's"


def grouped(value: float, decimals: int = 0) -> str:
    """Give a number with its thousands parted and a real minus sign."""
    text = f"{abs(value):,.{decimals}f}"
    sign = MINUS if value < 0 and text.strip("0.") else ""
    return f"{sign}{text}"


def _shown_below(value: float, decimals: int, limit: float) -> bool:
    """Whether a number is less than a limit as it is written: what rounds up to the limit is not."""
    return abs(round(value, decimals)) < limit


def _below_zero(price: float) -> bool:
    """Whether a price is negative as it is written, in cents."""
    return round(price, 2) < 0


def megawatts(value: float | None) -> str:
    """Give MW; what is small but not nothing keeps one decimal."""
    if value is None:
        return NONE
    few = value != 0 and _shown_below(value, 1, 10)
    return f"{grouped(value, 1 if few else 0)}{THIN}MW"


def dollars(value: float | None) -> str:
    """Give $/MWh with its sign before the dollar."""
    if value is None:
        return NONE
    sign = MINUS if _below_zero(value) else ""
    return f"{sign}${grouped(abs(value), 2 if _shown_below(value, 2, 1000) else 0)}"


def tonnes(value: float | None) -> str:
    """Give t CO2; what is small keeps one decimal."""
    if value is None:
        return NONE
    return f"{grouped(value, 1 if _shown_below(value, 1, 100) else 0)}{THIN}t"


def share(value: float | None) -> str:
    """Give a share (0 to 1) as a percentage."""
    return NONE if value is None else f"{grouped(value * 100, 1)}{THIN}%"


def intensity(value: float | None) -> str:
    """Give t CO2 for each MWh."""
    return NONE if value is None else f"{grouped(value, 2)}{THIN}t/MWh"


def flow(value: float | None) -> str:
    """Give net import in words: the direction does not hang on a sign."""
    if value is None:
        return NONE
    if abs(value) < 1:
        return "balanced"
    return f"{'imports' if value > 0 else 'exports'} {megawatts(abs(value))}"


def bare(text: str) -> str:
    """Give a number without its unit, for where a heading says that."""
    return text.partition(THIN)[0]


def stamp(moment: datetime | None) -> str:
    """Give weekday, day and time in NEM time."""
    return NONE if moment is None else f"{moment.astimezone(nem.NEM_ZONE):%a %d %b %H:%M}"


def clock(moment: datetime | None) -> str:
    """Give the time of day in NEM time."""
    return NONE if moment is None else f"{moment.astimezone(nem.NEM_ZONE):%H:%M}"


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """One scope's numbers as text, and a day of its demand for a sparkline (MW, oldest first, commas between)."""

    scope: str
    label: str
    name: str
    demand: str
    price: str
    negative_price: bool
    generation: str
    renewable: str
    intensity: str
    flow: str
    spark: str
    note: str = ""


def card(scope: str, row: Row, history: list[Row]) -> Card:
    """Give a scope's card for one interval; `history` draws its sparkline."""
    region = nem.REGION_BY_CODE.get(scope)
    return Card(
        scope=scope,
        label=region.label if region else scope,
        name=region.name if region else "National Electricity Market",
        demand=megawatts(row.demand),
        price=dollars(row.price),
        negative_price=row.price is not None and _below_zero(row.price),
        generation=megawatts(row.generation),
        renewable=share(row.renewable_share),
        intensity=intensity(row.emissions_intensity),
        flow=flow(row.net_import),
        # One word: Bokeh looks into each item of a list for what it might refer to, for each page.
        spark=",".join("" if r.demand is None else f"{r.demand:.0f}" for r in history),
        note=_ALONE if region and region.network != nem.NETWORK else "",
    )


def sparsely[T](values: Sequence[T]) -> Sequence[T]:
    """Give as many of the values as a sparkline can show."""
    return values[:: max(1, len(values) // _POINTS)]


class FuelRow(msgspec.Struct, frozen=True, kw_only=True):
    """A fuel group's line: MW as text and its share of what is generated, 0 to 1 (None for storage and loads)."""

    id: str
    label: str
    power: str
    share: float | None


def fuel_rows(row: Row) -> list[FuelRow]:
    """Give every fuel group, the top of the stack first; one without a value shows a dash."""
    made = row.generation or 0.0
    rows = []
    for group in reversed(nem.FUEL_GROUPS):
        power = row.fuel.get(group.id)
        counts = not (group.storage or group.load) and power is not None and made > 0
        rows.append(
            FuelRow(
                id=group.id,
                label=group.label,
                power=megawatts(power),
                share=max(power, 0.0) / made if counts and power is not None else None,
            )
        )
    return rows
