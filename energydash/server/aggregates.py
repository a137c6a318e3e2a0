"""One interval's sums for a scope: the formulas of `nem` over what its facilities made. Pure."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from energydash import nem
from energydash.schema import FacilityRecord, ScopeSeries


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


def totals(
    members: Iterable[tuple[FacilityRecord, str]], demand: float | None, price: float | None
) -> Totals:
    """Sum (record, its facility's main fuel) pairs; the fuel mix counts by the units' fuels where known."""
    mix: dict[str, float] = {}
    emissions: float | None = None
    reporting = 0
    for record, main_fuel in members:
        if record.emissions is not None:
            emissions = (emissions or 0.0) + record.emissions
        if record.power is None:
            continue
        reporting += 1
        for id_, power in (record.by_fuel or {main_fuel: record.power}).items():
            mix[id_] = mix.get(id_, 0.0) + power
    fuel: dict[str, float] = {}
    for id_, power in mix.items():
        group = nem.fueltech(id_).group
        fuel[group] = fuel.get(group, 0.0) + power
    made = sum(max(p, 0.0) for id_, p in mix.items() if not nem.fueltech(id_).storage_or_load)
    share = nem.renewable_share(mix)
    intensity = None if emissions is None else nem.emissions_intensity(emissions, mix)
    supply = sum(mix.values())
    return Totals(
        fuel={group: round(power, 3) for group, power in fuel.items()},
        demand=demand,
        price=price,
        generation=round(made, 3) if reporting else None,
        emissions=None if emissions is None else round(emissions, 3),
        renewable_share=None if share is None else round(share, 4),
        emissions_intensity=None if intensity is None else round(intensity, 4),
        net_import=round(demand - supply, 3) if demand is not None and reporting else None,
        reporting=reporting,
    )


def series(scope: str, rows: Sequence[Mapping[str, Totals]]) -> ScopeSeries:
    """Give a scope's columns over consecutive intervals; an interval without the scope is all None."""
    here = [row.get(scope) for row in rows]
    groups = [g.id for g in nem.FUEL_GROUPS if any(t and g.id in t.fuel for t in here)]
    return ScopeSeries(
        scope=scope,
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
