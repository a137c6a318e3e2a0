"""Which stations a reader has chosen to look at, and what these make together. Pure."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
import numpy as np
import numpy.typing as npt

from energydash import nem, schema
from energydash.ui.past import Numbers, Past
from energydash.ui.store import Row, Store

Indices = npt.NDArray[np.intp]


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """A region or a network, and what else a station has to be; an empty choice lets all pass.

    `fuels` are fuel groups: a station passes by its main fuel. `least` and `most` bound the capacity, MW. Every word of `text`
    has to occur in the station's name, code, fuel or region.
    """

    region: str = nem.NETWORK
    fuels: frozenset[str] = frozenset()
    statuses: frozenset[str] = frozenset()
    least: float | None = None
    most: float | None = None
    text: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether every station of the region passes, so that the region's own sums hold."""
        return self == Selection(region=self.region)

    def takes(self, facility: schema.FacilityInfo) -> bool:
        """Whether a station passes."""
        return not self.refusals(facility)

    def refusals(self, facility: schema.FacilityInfo) -> set[str]:
        """Give the names of the fields that a station does not pass."""
        capacity = facility.capacity or 0.0
        passes = {
            "region": self.region in {facility.network, facility.region},
            "fuels": not self.fuels or group_of(facility) in self.fuels,
            "statuses": not self.statuses or facility.status in self.statuses,
            "capacity": (self.least or 0.0) <= capacity <= (math.inf if self.most is None else self.most),
            "text": not self.text or _reads(self.text, facility),
        }  # fmt: skip
        return {name for name, passed in passes.items() if not passed}


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How many stations pass; for each option, how many would if it alone were chosen in its field."""

    shown: int
    of: int
    fuels: dict[str, int]
    statuses: dict[str, int]


def group_of(facility: schema.FacilityInfo) -> str:
    """Give the fuel group of a station's main fuel."""
    return nem.fueltech(facility.fueltech).group


def _reads(text: str, facility: schema.FacilityInfo) -> bool:
    region = nem.REGION_BY_CODE.get(facility.region)
    said = (
        facility.name, facility.code, facility.region, nem.fueltech(facility.fueltech).label,
        nem.FUEL_GROUP_BY_ID[group_of(facility)].label, region.name if region else "",
    )  # fmt: skip
    whole = " ".join(said).casefold()
    return all(word in whole for word in text.casefold().split())


def count(facilities: Iterable[schema.FacilityInfo], selection: Selection) -> Counts:
    """Count what passes, in all and by option."""
    fuels: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    shown = total = 0
    for facility in facilities:
        refusals = selection.refusals(facility)
        total += 1
        shown += not refusals
        if refusals <= {"fuels"}:
            fuels[group_of(facility)] += 1
        # A status that nobody has here is still one that could be chosen.
        statuses[facility.status] += refusals <= {"statuses"}
    return Counts(shown=shown, of=total, fuels=dict(fuels), statuses=dict(statuses))


def rows(
    past: Past, chosen: Sequence[schema.FacilityInfo], times: Sequence[datetime]
) -> list[Row]:
    """Sum chosen stations up, each under its main fuel; an interval that none reported has no fuel.

    Price, demand and net import are a region's and not these stations': None.
    """
    power, emissions = past.table(times, [each.code for each in chosen])
    groups = sorted({group_of(each) for each in chosen})
    member = np.array([groups.index(group_of(each)) for each in chosen], np.intp)
    there = ~np.isnan(power)
    mixes = [_by_group(groups, member, power[i]) for i in range(len(times))]
    return [_row(mixes[i], emissions[i], int(there[i].sum())) for i in range(len(times))]


def _by_group(groups: Sequence[str], member: Indices, power: Numbers) -> dict[str, float]:
    known = ~np.isnan(power)
    sums = np.bincount(member, np.nan_to_num(power), len(groups))
    counted = np.bincount(member, known, len(groups))
    return {group: float(sums[i]) for i, group in enumerate(groups) if counted[i]}


def _row(mix: dict[str, float], emissions: Numbers, reporting: int) -> Row:
    made = {
        group: max(mw, 0.0)
        for group, mw in mix.items()
        if not (nem.FUEL_GROUP_BY_ID[group].storage or nem.FUEL_GROUP_BY_ID[group].load)
    }
    total = sum(made.values())
    emitted = None if np.isnan(emissions).all() else float(np.nansum(emissions))
    renewable = sum(mw for group, mw in made.items() if nem.FUEL_GROUP_BY_ID[group].renewable)
    return Row(
        fuel=mix,
        generation=total if mix else None,
        emissions=emitted,
        renewable_share=renewable / total if total > 0 else None,
        emissions_intensity=emitted / (total * nem.INTERVAL_HOURS)
        if emitted is not None and total > 0
        else None,
        reporting=reporting,
    )


class Choice:
    """A selection on a store's catalogue: the stations that pass, and their sums."""

    def __init__(self, store: Store, selection: Selection) -> None:
        self._store = store
        self.selection = selection
        self.stations = [each for each in store.facilities if selection.takes(each)]
        self.codes = frozenset(each.code for each in self.stations)
        self.counts = count(store.facilities, selection)

    def rows(self, times: Sequence[datetime]) -> list[Row]:
        """Give what the chosen stations make together in these intervals."""
        if self.selection.is_whole:
            return self._store.rows(self.selection.region, times)
        return rows(self._store.past, self.stations, times)

    def row(self, moment: datetime) -> Row:
        """Give one interval of `rows`."""
        return self.rows([moment])[0]
