"""The simulated grid as a source: any window, the same for a seed, in the form of the API's answers."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from energydash import nem
from energydash.errors import ConfigError
from energydash.sources.demo_dispatch import LINKS, REGIONS, Day, simulate
from energydash.sources.demo_stations import Station, Unit, stations
from energydash.sources.demo_weather import PER_DAY, Floats
from energydash.sources.protocol import Window

_DAYS_KEPT = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=nem.NEM_ZONE)
_HALVES = {"battery_charging", "battery_discharging"}
_VERSION = "simulated"

Points = list[tuple[str, float]]
Json = dict[str, object]


class Span(NamedTuple):
    """A half-open window whose end is known."""

    start: datetime
    end: datetime


class DemoSource:
    """A `Source` that needs no network and no key."""

    name = "demo"
    simulated = True
    url = ""
    whole = False

    def __init__(self, seed: int = 1) -> None:
        self._stations = {station.code: station for station in stations()}

        @lru_cache(maxsize=_DAYS_KEPT)
        def day(number: int) -> Day:
            return simulate(seed, stations(), number)

        self._day: Callable[[int], Day] = day

    async def account(self) -> None:
        """Give nothing: nothing is limited."""

    async def facilities(self, network: str) -> bytes:
        """Give the whole catalogue.

        Raises:
            ConfigError: the network is not simulated.
        """
        _check(network)
        data = [
            _facility(s) for s in sorted(self._stations.values(), key=lambda s: s.name.lower())
        ]
        return msgspec.json.encode(
            {"version": _VERSION, "success": True, "data": data, "total_records": len(data)}
        )

    async def facility_data(
        self, network: str, facility_codes: Sequence[str], window: Window, interval: str
    ) -> bytes | None:
        """Give power (MW) and emissions (t) of the facilities' units.

        Raises:
            ConfigError: the network or the interval is not simulated.
        """
        _check(network, interval)
        chosen = [self._stations[code] for code in facility_codes if code in self._stations]
        return await asyncio.to_thread(self._unit_answer, chosen, _span(window))

    async def market_data(
        self, network: str, window: Window, interval: str, *, by_region: bool
    ) -> bytes | None:
        """Give price ($/MWh) and demand (MW) of the network, or of each of its regions and with them the interconnectors' flows.

        Raises:
            ConfigError: the network or the interval is not simulated.
        """
        _check(network, interval)
        return await asyncio.to_thread(self._market_answer, _span(window), by_region=by_region)

    async def news(self) -> None:
        """Tell nothing: there is always more."""

    async def aclose(self) -> None:
        """Let go of nothing: there are no connections."""

    def _unit_answer(self, chosen: list[Station], window: Span) -> bytes | None:
        labels = _labels(window)
        power: list[Json] = []
        emissions: list[Json] = []
        for station in chosen:
            signed = self._battery(station, window)
            for unit in station.units:
                values = signed.get(unit.fueltech)
                if values is None:
                    values = self._series("units", unit.code, window)
                points = _points(unit, labels, values)
                if points:
                    power.append(_series("power", unit.code, points))
                    emissions.append(_series("emissions", unit.code, _burnt(unit, points)))
        if not power:
            return None
        return _answer(window, (("power", "MW", power), ("emissions", "t", emissions)))

    def _battery(self, station: Station, window: Span) -> dict[str, Floats]:
        """Give the signed series for a battery's halves, which have no dispatch of their own."""
        batteries = [unit for unit in station.units if unit.fueltech == "battery"]
        if not batteries:
            return {}
        shares = [self._series("units", unit.code, window) for unit in batteries]
        count = sum(1 for u in station.units if u.fueltech == "battery_discharging")
        total = np.sum(shares, axis=0) / max(count, 1)
        return dict.fromkeys(_HALVES, total)

    def _series(
        self, kind: Literal["units", "price", "demand", "flow"], key: str, window: Span
    ) -> Floats:
        """Give the series of a unit's, a region's or an interconnector's code over the window, from the days it touches."""
        first, last = _number(window.start), _number(window.end)
        if first >= last:
            return np.zeros(0)
        days = range(first // PER_DAY, (last - 1) // PER_DAY + 1)
        whole = np.concatenate([getattr(self._day(number), kind)[key] for number in days])
        offset = days[0] * PER_DAY
        return whole[first - offset : last - offset]

    def _market_answer(self, window: Span, *, by_region: bool) -> bytes | None:
        labels = _labels(window)
        if not labels:
            return None
        price = {r: self._series("price", r, window) for r in REGIONS}
        demand = {r: self._series("demand", r, window) for r in REGIONS}
        found = [("price", "$/MWh", price), ("demand", "MW", demand)]
        if by_region:
            found += self._flows(window, len(labels))
        else:
            # The API's own network price is the plain mean of its regions.
            mean = np.round(np.mean(list(price.values()), axis=0), 3)
            total = np.round(np.sum(list(demand.values()), axis=0), 4)
            found = [("price", "$/MWh", {"total": mean}), ("demand", "MW", {"total": total})]
        return _answer(
            window,
            [
                (metric, unit, _results(metric, labels, values, by_region=by_region))
                for metric, unit, values in found
            ],
        )

    def _flows(self, window: Span, length: int) -> list[tuple[str, str, dict[str, Floats]]]:
        flow = {name: self._series("flow", name, window) for name in LINKS}
        most = {name: np.full(length, limit) for name, limit in LINKS.items()}
        least = {name: -limits for name, limits in most.items()}
        return [
            (nem.FLOW, "MW", flow),
            (nem.IMPORT_LIMIT, "MW", least),
            (nem.EXPORT_LIMIT, "MW", most),
        ]


def _check(network: str, interval: str = "5m") -> None:
    if network != nem.NETWORK:
        raise ConfigError(f"--network {network}: the simulated grid is the NEM")
    if interval != "5m":
        raise ConfigError(f"--interval {interval}: the simulated grid moves in 5m")


def _facility(station: Station) -> Json:
    return {
        "code": station.code,
        "name": station.name,
        "network_id": nem.NETWORK,
        "network_region": station.region,
        "location": {"lat": station.latitude, "lng": station.longitude},
        "units": [_unit(unit) for unit in station.units],
    }


def _unit(unit: Unit) -> Json:
    """Give a unit as the catalogue does: a key without a value is absent."""
    factor = {"emissions_factor_co2": unit.emissions_factor} if unit.emissions_factor else {}
    return {
        "code": unit.code,
        "fueltech_id": unit.fueltech,
        "status_id": "operating",
        "dispatch_type": unit.dispatch_type,
        "capacity_registered": unit.capacity,
        **factor,
    }


def _span(window: Window) -> Span:
    """Give a window its end: without one, the newest interval is the present one."""
    if window.end is not None:
        return Span(window.start, window.end)
    return Span(window.start, nem.floor_interval(nem.now()) + nem.INTERVAL)


def _number(moment: datetime) -> int:
    """Give the number of the first interval label at or after a moment."""
    return -((_EPOCH - moment) // nem.INTERVAL)


def _labels(window: Span) -> list[str]:
    numbers = range(_number(window.start), _number(window.end))
    return [(_EPOCH + number * nem.INTERVAL).isoformat() for number in numbers]


def _points(unit: Unit, labels: list[str], values: Floats) -> Points:
    """Give a unit's points; a battery's halves have a row only where they are at work."""
    pairs = zip(labels, values.tolist(), strict=True)
    if unit.fueltech == "battery_charging":
        return [(label, -value) for label, value in pairs if value < 0]
    if unit.fueltech == "battery_discharging":
        return [(label, value) for label, value in pairs if value >= 0]
    if unit.fueltech == "pumps":
        return [(label, abs(value)) for label, value in pairs]
    return [(label, value + 0.0) for label, value in pairs]


def _burnt(unit: Unit, points: Points) -> Points:
    """Give t CO2 in each interval: factor x energy, MW x 5/60 h."""
    factor = unit.emissions_factor * nem.INTERVAL_HOURS
    return [(label, round(max(value, 0.0) * factor, 4)) for label, value in points]


def _series(metric: str, unit_code: str, points: Points) -> Json:
    return {
        "name": f"{metric}_{unit_code}",
        "date_start": points[0][0],
        "date_end": points[-1][0],
        "columns": {"unit_code": unit_code},
        "data": points,
    }


def _results(
    metric: str, labels: list[str], values: dict[str, Floats], *, by_region: bool
) -> list[Json]:
    return [
        {
            "name": f"{metric}_{name}",
            "columns": {"region": name} if by_region else {},
            "data": list(zip(labels, series.tolist(), strict=True)),
        }
        for name, series in sorted(values.items())
    ]


def _answer(window: Span, metrics: Sequence[tuple[str, str, list[Json]]]) -> bytes:
    data = [
        {
            "network_code": nem.NETWORK,
            "metric": metric,
            "unit": unit,
            "interval": "5m",
            "date_start": window.start.isoformat(),
            "date_end": window.end.isoformat(),
            "groupings": [],
            "results": results,
            "network_timezone_offset": "+10:00",
        }
        for metric, unit, results in metrics
    ]
    return msgspec.json.encode({"version": _VERSION, "success": True, "data": data})
