"""What the market was: every metric of `/market/network/`, by region, and a network's value made of its regions'."""

import math

import standin_grid as grid
from standin_rules import refused
from standin_series import shaped

_PER_STEP = 12


def regions_of(network):
    return {"NEM": grid.REGIONS, "WEM": ("WEM",), "AU": (*grid.REGIONS, "WEM")}[network]


def _wavy(level, swing, pace):
    def value(region, n):
        shift = grid.REGIONS.index(region) if region in grid.REGIONS else len(grid.REGIONS)
        return round(level + swing * math.sin(n / pace + shift), 2)

    return value


def _price(region, n):
    return grid.region_price(region, grid.label_of(n))


def _demand(region, n):
    return grid.region_demand(region, grid.label_of(n))


_rooftop = _wavy(400, 300, 46)
_renewable = _wavy(1500, 900, 90)
_storage = _wavy(150, 120, 30)
_solar_curtailed = _wavy(60, 50, 35)
_wind_curtailed = _wavy(40, 30, 55)


def _sum(*parts):
    def value(region, n):
        found = [part(region, n) for part in parts]
        return None if None in found else round(sum(found), 4)

    return value


_gross = _sum(_demand, _rooftop)
_renewable_stored = _sum(_renewable, _storage)
MEGAWATTS = {
    "demand": _demand,
    "demand_gross": _gross,
    "generation_renewable": _renewable,
    "generation_renewable_with_storage": _renewable_stored,
    "curtailment": _sum(_solar_curtailed, _wind_curtailed),
    "curtailment_solar_utility": _solar_curtailed,
    "curtailment_wind": _wind_curtailed,
    "flow_imports": _wavy(200, 150, 21),
    "flow_exports": _wavy(180, 140, 24),
    "solar_rooftop_forecast": _rooftop,
}
PROPORTIONS = {
    "renewable_proportion": _renewable,
    "renewable_with_storage_proportion": _renewable_stored,
}


def unit_of(metric):
    if metric == "price":
        return "$/MWh"
    if metric in PROPORTIONS:
        return "%"
    return "MWh" if metric.endswith("_energy") else "MW"


def value(metric, regions, n, edge):
    """Give a metric over one region or more: prices have a plain mean, proportions are of the sums, the rest adds up."""
    if metric == "price":
        prices = _standing(_price, regions, n, edge)
        return None if None in prices else round(sum(prices) / len(prices), 6)
    if metric in PROPORTIONS:
        parts = _standing(PROPORTIONS[metric], regions, n, edge)
        wholes = _standing(_gross, regions, n, edge)
        return None if None in wholes else round(100 * sum(parts) / sum(wholes), 2)
    found = _standing(MEGAWATTS[metric.removesuffix("_energy")], regions, n, edge)
    if None in found:
        return None
    if metric.endswith("_energy"):
        return round(sum(found) / _PER_STEP, 4)
    return round(sum(found), 6)


def _standing(of_region, regions, n, edge):
    return [edge.revised(of_region(region, n), n) for region in regions]


def answer(asked, axis, edge):
    """Give `data` of a market request."""
    regions = [r for r in regions_of(asked.network) if asked.region in {None, r}]
    if not axis.steps or not regions:
        raise refused(404, f"No market data available for network {asked.network} in the specified time range")  # fmt: skip
    groups = [("total", {}, regions)]
    if asked.primary == "network_region" or asked.region:
        groups = [(region, {"region": region}, [region]) for region in regions]
    data = []
    for metric in asked.metrics:
        adds_up = unit_of(metric) == "MWh"
        results = []
        for name, columns, members in groups:
            values = [value(metric, members, n, edge) for n in axis.steps]
            cells = axis.gather(axis.steps, values, mean=not adds_up)
            results.append((f"{metric}_{name}", columns, axis.points(cells, fill=False)))
        data.append(shaped(asked, metric, unit_of(metric), results))
    return data
