"""What is on the screen as CSV: units in the column names, times with their offset, the filter in a line at the top. Pure."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from energydash import nem, schema
from energydash.ui import marks
from energydash.ui.address import Look, to_query
from energydash.ui.past import Instant
from energydash.ui.store import Row, Store

_STATION = (
    "facility_code", "name", "network_region", "fueltech", "status", "power_mw", "capacity_mw", "capacity_factor",
    "emissions_t", "emissions_intensity_t_per_mwh", "time",
)  # fmt: skip
_SERIES = (
    "demand_mw", "price_aud_per_mwh", "generation_mw", "renewable_share", "emissions_t",
    "emissions_intensity_t_per_mwh", "net_import_mw", "reporting",
)  # fmt: skip
_FIELDS = (
    "demand", "price", "generation", "renewable_share", "emissions", "emissions_intensity", "net_import", "reporting",
)  # fmt: skip
# What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
# Where a spreadsheet may part a line that is no row, before what it would take for a formula.
_PART = re.compile(r"([,;]\s*)(?=[=+\-@])")


class Sheet(msgspec.Struct, frozen=True):
    """A file to hand out."""

    name: str
    text: str


def stations(
    store: Store, look: Look, chosen: Iterable[schema.FacilityInfo], instant: Instant
) -> Sheet:
    """Give the chosen stations as they stood; a missing value is an empty cell."""
    lines = []
    for each in chosen:
        reading = instant.of(each.code)
        power, emissions = (reading.power, reading.emissions) if reading else (None, None)
        lines.append(
            (
                each.code, each.name, each.region, each.fueltech, each.status, power, each.capacity,
                marks.factor(each, power), emissions, marks.intensity(reading),
                reading.event_time.isoformat() if reading else None,
            )
        )  # fmt: skip
    return _sheet("stations", store, look, instant.moment, _STATION, lines)


def series(store: Store, look: Look, rows: Sequence[Row]) -> Sheet:
    """Give the day of what is charted, an interval a line; MW by fuel group."""
    groups = [
        group.id for group in nem.FUEL_GROUPS if any(group.id in row.fuel for row in rows)
    ]
    header = ("time", *(f"{group}_mw" for group in groups), *_SERIES)
    lines = [
        (
            moment.astimezone(nem.NEM_ZONE).isoformat(),
            *(row.fuel.get(group) for group in groups),
            *(getattr(row, name) for name in _FIELDS),
        )
        for moment, row in zip(store.times, rows, strict=True)
    ]
    return _sheet("series", store, look, store.event_time, header, lines)


def station(store: Store, look: Look, facility: schema.FacilityInfo) -> Sheet:
    """Give one station's day."""
    zone = nem.network_zone(facility.network)
    power, emissions = store.past.table(store.times, [facility.code])
    lines = [
        (moment.astimezone(zone).isoformat(), *(None if v != v else v for v in (mw, t)))  # noqa: PLR0124 (NaN)
        for moment, mw, t in zip(
            store.times, power[:, 0].tolist(), emissions[:, 0].tolist(), strict=True
        )
    ]
    header = ("time", "power_mw", "emissions_t")
    return _sheet(facility.code, store, look, store.event_time, header, lines)


def _sheet(
    name: str,
    store: Store,
    look: Look,
    moment: datetime | None,
    header: Sequence[str],
    lines: Sequence[Sequence[object]],
) -> Sheet:
    grid = f"{store.source}, simulated" if store.simulated else store.source
    at = moment.astimezone(nem.NEM_ZONE).isoformat() if moment else "none"
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    about = (
        f"energydash {name}; source: {grid}; interval: {at}; times: with their offset; rows: {len(lines)};"
        f" filter: {to_query(look) or 'none'}"
    )
    out.write(f"{remark(about)}\n")
    writer.writerow(header)
    writer.writerows([_cell(value) for value in line] for line in lines)
    label = f"-{moment.astimezone(nem.NEM_ZONE):%Y%m%dT%H%M}" if moment else ""
    safe = "".join(c if c.isalnum() or c in "-_" else "-" for c in name)
    return Sheet(f"energydash-{safe}{label}.csv", out.getvalue())


def remark(text: str) -> str:
    """Give the line above a table: one line whatever is in it, in which no part is a formula to a spreadsheet that parts it."""
    return f"# {_PART.sub(r"\1'", ' '.join(text.split()))}"


def _cell(value: object) -> object:
    if isinstance(value, float):
        # Adding zero leaves no negative one.
        return round(value, 4) + 0.0
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
