"""Sums of an interval for regions and networks: the formulas of `nem` over columns of numbers. Pure."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from energydash import nem
from energydash.schema import FacilityInfo, ScopeSeries
from energydash.server.history import History, Interval, ordered

_Numbers = npt.NDArray[np.float64]
_Indices = npt.NDArray[np.intp]

_CHARTED = {"price", "demand"}


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """A scope's interval; MW, $/MWh, t CO2, shares 0 to 1, None where there is no value."""

    fuel: dict[str, float]
    demand: float | None
    price: float | None
    generation: float | None
    emissions: float | None
    renewable_share: float | None
    emissions_intensity: float | None
    net_import: float | None
    reporting: int


class Plan:
    """Which column counts where: made once for a catalogue and the columns known, used for each interval.

    A facility counts in its region and in its network. The order is that of the codes, whatever order the facilities came
    in, because a sum of floats depends on it.
    """

    def __init__(self, info: Mapping[str, FacilityInfo], history: History) -> None:
        self.columns = len(history.columns)
        self.parts = len(history.parts)
        codes = [code for code in sorted(info) if code in history.columns]
        fuels_of = {history.columns[code]: info[code].fueltech for code in codes}
        self.fuels = sorted({*fuels_of.values(), *(fuel for _, fuel in history.parts)})
        self.scopes = sorted({s for code in codes for s in _scopes(info[code])})
        members = [(self.scopes.index(s), history.columns[code]) for code in codes for s in _scopes(info[code])]  # fmt: skip
        self._member_scope = _indices(scope for scope, _ in members)
        self._member = _indices(column for _, column in members)
        fuel_at = {fuel: i for i, fuel in enumerate(self.fuels)}
        self._member_fuel = _indices(fuel_at[fuels_of[column]] for _, column in members)
        parts_of: dict[int, list[tuple[str, int]]] = {}
        for (column, fuel), part in history.parts.items():
            parts_of.setdefault(column, []).append((fuel, part))
        shares = [
            (scope, fuel_at[fuel], part)
            for scope, column in members
            for fuel, part in sorted(parts_of.get(column, ()))
        ]
        self._share_scope = _indices(scope for scope, _, _ in shares)
        self._share_fuel = _indices(fuel for _, fuel, _ in shares)
        self._share = _indices(part for _, _, part in shares)

    def fits(self, history: History) -> bool:
        """Whether no column has come since."""
        return self.columns == len(history.columns) and self.parts == len(history.parts)

    def expected(self, info: Mapping[str, FacilityInfo], history: History) -> dict[str, int]:
        """Count, for each scope, the facilities with a value in any interval kept."""
        counts = dict.fromkeys(self.scopes, 0)
        for code, facts in info.items():
            if history.reports(code):
                for scope in _scopes(facts):
                    counts[scope] += 1
        return counts

    def totals(self, row: Interval) -> dict[str, Totals]:
        """Sum up an interval; a scope of which nothing is known is left out."""
        power = _padded(row.power, self.columns)[self._member]
        emissions = _padded(row.emissions, self.columns)[self._member]
        parts = _padded(row.parts, self.parts)[self._share]
        kind = np.zeros(self.columns, np.uint8)
        kind[: len(row.kind)] = np.frombuffer(row.kind, np.uint8)
        there = kind[self._member]
        # Where a facility's fuels are known one by one, its sum does not count beside them.
        whole = np.where(there == Interval.MIXED, np.nan, power)
        mw, known = self._by_fuel(whole, parts)
        count = len(self.scopes)
        records = np.bincount(self._member_scope, there != Interval.ABSENT, count)
        reporting = np.bincount(self._member_scope, ~np.isnan(power), count)
        emitted = np.bincount(self._member_scope, np.nan_to_num(emissions), count)
        emitting = np.bincount(self._member_scope, ~np.isnan(emissions), count)
        market = _market(row)
        sums = {}
        for i, scope in enumerate(self.scopes):
            if not records[i] and scope not in market:
                continue
            mix = {self.fuels[f]: float(mw[i, f]) for f in np.flatnonzero(known[i])}
            co2 = float(emitted[i]) if emitting[i] else None
            sums[scope] = _totals(mix, co2, int(reporting[i]), market.pop(scope, {}))
        return sums | {scope: _totals({}, None, 0, values) for scope, values in market.items()}

    def _by_fuel(self, whole: _Numbers, parts: _Numbers) -> tuple[_Numbers, _Numbers]:
        """Give MW, and how many values it sums, by scope and fuel."""
        shape = (len(self.scopes), len(self.fuels))
        cell = np.concatenate(
            [
                self._member_scope * shape[1] + self._member_fuel,
                self._share_scope * shape[1] + self._share_fuel,
            ]
        )
        values = np.concatenate([whole, parts])
        size = shape[0] * shape[1]
        mw = np.bincount(cell, np.nan_to_num(values), size).reshape(shape)
        known = np.bincount(cell, ~np.isnan(values), size).reshape(shape)
        return mw, known


def series(scope: str, expected: int, rows: Sequence[Mapping[str, Totals]]) -> ScopeSeries:
    """Give a scope's columns over consecutive intervals; an interval without the scope is all None."""
    here = [row.get(scope) for row in rows]
    groups = [g.id for g in nem.FUEL_GROUPS if any(t and g.id in t.fuel for t in here)]
    return ScopeSeries(
        scope=scope,
        expected=expected,
        fuel={g: tuple(t.fuel.get(g) if t else None for t in here) for g in groups},
        demand=tuple(t.demand if t else None for t in here),
        price=tuple(t.price if t else None for t in here),
        generation=tuple(t.generation if t else None for t in here),
        emissions=tuple(t.emissions if t else None for t in here),
        renewable_share=tuple(t.renewable_share if t else None for t in here),
        emissions_intensity=tuple(t.emissions_intensity if t else None for t in here),
        net_import=tuple(t.net_import if t else None for t in here),
        reporting=tuple(t.reporting if t else 0 for t in here),
    )


def _totals(
    mix: dict[str, float],
    emissions: float | None,
    reporting: int,
    market: Mapping[str, float | None],
) -> Totals:
    """Give the figures of a scope from its MW by fuel technology."""
    fuel: dict[str, float] = {}
    for id_, power in mix.items():
        group = nem.fueltech(id_).group
        fuel[group] = fuel.get(group, 0.0) + power
    made = sum(max(p, 0.0) for id_, p in mix.items() if not nem.fueltech(id_).storage_or_load)
    share = nem.renewable_share(mix)
    intensity = None if emissions is None else nem.emissions_intensity(emissions, mix)
    demand = market.get("demand")
    supply = sum(mix.values())
    return Totals(
        fuel={group: round(power, 3) for group, power in fuel.items()},
        demand=demand,
        price=market.get("price"),
        generation=round(made, 3) if reporting else None,
        emissions=None if emissions is None else round(emissions, 3),
        renewable_share=None if share is None else round(share, 4),
        emissions_intensity=None if intensity is None else round(intensity, 4),
        net_import=round(demand - supply, 3) if demand is not None and reporting else None,
        reporting=reporting,
    )


def _market(row: Interval) -> dict[str, dict[str, float | None]]:
    """Give the interval's market by scope and metric."""
    market: dict[str, dict[str, float | None]] = {}
    # In order, because a network and its only region can have the same name.
    for key in ordered(row.market):
        network, metric, region = key
        # What else there is may not be of a region at all, but of an interconnector.
        if metric in _CHARTED:
            market.setdefault(region or network, {})[metric] = row.market[key]
    return market


def _scopes(facts: FacilityInfo) -> set[str]:
    return {facts.network, facts.region}


def _indices(values: Iterable[int]) -> _Indices:
    return np.fromiter(values, np.intp)


def _padded(numbers: Sequence[float], length: int) -> _Numbers:
    row = np.full(length, np.nan)
    row[: len(numbers)] = numbers
    return row
