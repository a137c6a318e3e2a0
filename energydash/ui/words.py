"""The small texts around the views: which filters are on, what was found, which time is shown. Pure."""

from datetime import datetime
from typing import Any

from energydash import nem, schema
from energydash.ui import marks, numbers
from energydash.ui.past import Instant
from energydash.ui.selection import Choice, Selection, group_of

_HITS = 8


def filters(choice: Choice) -> dict[str, Any]:
    """Give the toolbar's filters: options with counts, what is chosen, a chip for each that is on."""
    chosen, counts = choice.selection, choice.counts
    return {
        "counts": {"shown": counts.shown, "of": counts.of},
        "fuels": [
            [group.id, group.label, counts.fuels.get(group.id, 0)]
            for group in reversed(nem.FUEL_GROUPS)
            if not group.load
        ],
        "statuses": [[s, s.capitalize(), n] for s, n in sorted(counts.statuses.items())],
        "chosen_fuels": sorted(chosen.fuels),
        "chosen_statuses": sorted(chosen.statuses),
        "least": chosen.least,
        "most": chosen.most,
        "text": chosen.text,
        "active": [[name, text] for name, text in _chips(chosen)],
    }


def _chips(chosen: Selection) -> list[tuple[str, str]]:
    chips = []
    if chosen.region != nem.NETWORK:
        chips.append(("region", nem.REGION_BY_CODE[chosen.region].label))
    if chosen.fuels:
        labels = [g.label for g in reversed(nem.FUEL_GROUPS) if g.id in chosen.fuels]
        few = len(labels) <= 3  # noqa: PLR2004
        chips.append(("fuels", ", ".join(labels) if few else f"{len(labels)} fuels"))
    if chosen.statuses:
        chips.append(("statuses", ", ".join(sorted(chosen.statuses))))
    if chosen.least is not None or chosen.most is not None:
        least = f"from {chosen.least:g}" if chosen.least is not None else ""
        most = f"to {chosen.most:g}" if chosen.most is not None else ""
        chips.append(("capacity", f"{least} {most}".strip() + " MW"))
    if chosen.text:
        chips.append(("text", f"“{chosen.text}”"))
    return chips


def hits(choice: Choice) -> list[list[str]]:
    """Give the first stations that a search finds, those whose name begins so first: code, name, what, fuel group."""
    text = choice.selection.text.casefold()
    if not text:
        return []
    found = sorted(
        choice.stations,
        key=lambda each: (not each.name.casefold().startswith(text), -(each.capacity or 0.0)),
    )
    return [
        [each.code, each.name, f"{_place(each)}, {numbers.megawatts(each.capacity)}", group_of(each)]
        for each in found[:_HITS]
    ]  # fmt: skip


def _place(facility: schema.FacilityInfo) -> str:
    region = nem.REGION_BY_CODE.get(facility.region)
    return region.label if region else facility.region


def table_rows(choice: Choice) -> list[list[str]]:
    """Give what does not change of each row of the table."""
    return [
        [each.code, each.name, _place(each), nem.fueltech(each.fueltech).label, group_of(each), each.status]
        for each in choice.stations
    ]  # fmt: skip


def table_cells(
    facility: schema.FacilityInfo, instant: Instant
) -> list[tuple[float | None, str]]:
    """Give a row's live values, as number and as text; one that is older than the rest says so."""
    reading = instant.of(facility.code)
    power, emissions = (reading.power, reading.emissions) if reading else (None, None)
    late = reading is not None and reading.event_time != instant.moment
    at = f" ({numbers.clock(reading.event_time)})" if reading and late else ""
    used, intensity = marks.factor(facility, power), marks.intensity(reading)
    return [
        (power, numbers.bare(numbers.megawatts(power)) + at if reading else "no data"),
        (used, numbers.bare(numbers.share(used))),
        (facility.capacity, numbers.bare(numbers.megawatts(facility.capacity))),
        (emissions, numbers.bare(numbers.tonnes(emissions))),
        (intensity, numbers.bare(numbers.intensity(intensity))),
    ]


def where(chosen: Selection) -> str:
    """Name the region or the network at the start of a sentence."""
    region = nem.REGION_BY_CODE.get(chosen.region)
    return region.name if region else "The NEM"


def moment(shown: datetime, newest: datetime | None, *, past: bool) -> str:
    """Say which time is shown."""
    text = f"{numbers.stamp(shown)} NEM time"
    if not past or newest is None:
        return text
    minutes = round((newest - shown).total_seconds() / 60)
    hours, rest = divmod(minutes, 60)
    ago = f"{hours} h {rest:02} min" if hours else f"{rest} min"
    return f"{text}, {ago} ago"
