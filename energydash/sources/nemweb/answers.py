"""Values to answers in the form of the OpenElectricity API, and the sums that AEMO leaves to its readers. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import fmean

import msgspec

from energydash import nem, schema
from energydash.sources.nemweb.reading import DEMAND, PRICE, Market, Units

_MEASURES = {"price": "$/MWh"}
_DECIMALS = 6
_BURNS_NOTHING = {"battery", "hydro", "wind", "solar", "pumps"}

Points = list[tuple[str, float]]
Results = dict[str, Points]


def unit_answer(units: Sequence[schema.Unit], values: Units, interval: str) -> bytes | None:
    """Give power (MW) and emissions (t CO2 in the interval) of units; None where none has a value.

    A scheduled load's power is negative whichever sign AEMO gives it; every other unit's is as AEMO gives it, a battery's too.
    Emissions are max(power, 0) x 5/60 h x factor: zero where nothing burns, no value where something does and the factor is unknown.
    """
    labels = [(label.isoformat(), here) for label, here in values.items()]
    power: Results = {}
    emissions: Results = {}
    for unit in units:
        points = [(text, here[unit.code]) for text, here in labels if unit.code in here]
        if not points:
            continue
        if unit.dispatch_type == "LOAD":
            points = [(text, -abs(value) + 0.0) for text, value in points]
        power[unit.code] = points
        factor = unit.emissions_factor_co2
        if factor is None and nem.fueltech(unit.fueltech_id).group not in _BURNS_NOTHING:
            continue
        per_mw = (factor or 0.0) * nem.INTERVAL_HOURS
        emissions[unit.code] = [(text, _rounded(max(mw, 0.0) * per_mw)) for text, mw in points]
    if not power:
        return None
    return _answer(
        interval, "unit_code", (("power", "MW", power), ("emissions", "t", emissions))
    )


def region_answer(values: Market, interval: str) -> bytes | None:
    """Give what there is by region and by interconnector; None where there is nothing."""
    found: defaultdict[str, Results] = defaultdict(lambda: defaultdict(list))
    for label, here in values.items():
        text = label.isoformat()
        for (metric, where), value in here.items():
            found[metric][where].append((text, value))
    return _market_answer(interval, found, "region")


def network_answer(values: Market, interval: str) -> bytes | None:
    """Give the network's price, the plain mean of its regions', and its demand, their sum; None where there is nothing.

    Only of labels at which each region has a value that has one at all in these: what some regions sum up to is not the network's.
    """
    found: dict[str, Results] = {}
    for metric, total in ((PRICE, fmean), (DEMAND, sum)):
        regions = {w for here in values.values() for m, w in here if m == metric}
        points = [
            (label.isoformat(), _rounded(total([here[metric, each] for each in regions])))
            for label, here in values.items()
            if regions and all((metric, each) in here for each in regions)
        ]
        if points:
            found[metric] = {"total": points}
    return _market_answer(interval, found, "")


def _market_answer(interval: str, found: dict[str, Results], column: str) -> bytes | None:
    if not found:
        return None
    metrics = ((metric, _MEASURES.get(metric, "MW"), found[metric]) for metric in sorted(found))
    return _answer(interval, column, metrics)


def _answer(interval: str, column: str, metrics: Iterable[tuple[str, str, Results]]) -> bytes:
    data = [
        {
            "network_code": nem.NETWORK,
            "metric": metric,
            "unit": measure,
            "interval": interval,
            "results": [
                {
                    "name": f"{metric}_{name}",
                    "columns": {column: name} if column else {},
                    "data": points,
                }
                for name, points in sorted(results.items())
            ],
        }
        for metric, measure, results in metrics
    ]
    return msgspec.json.encode({"success": True, "data": data})


def _rounded(value: float) -> float:
    # Adding zero turns -0.0 into 0.0.
    return round(value, _DECIMALS) + 0.0
