"""The simulated grid's dispatch: offers, a price for each region, flows between them, what each unit makes.

Each unit offers its output as a ramp over price. A region's price is where its supply and what its
interconnectors bring meet its demand; flows follow price differences up to their limits.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from energydash import nem
from energydash.sources import demo_weather as weather
from energydash.sources.demo_stations import Station, Unit
from energydash.sources.demo_weather import PER_DAY, PER_HOUR, Floats, Ints

REGIONS = ("QLD1", "NSW1", "VIC1", "SA1", "TAS1")
_PLACES = {"QLD1": (-27.5, 152.9), "NSW1": (-33.6, 151.0), "VIC1": (-37.8, 145.0), "SA1": (-34.9, 138.6), "TAS1": (-42.0, 147.0)}  # fmt: skip
LINKS = {"N-Q-MNSP1": 150.0, "NSW1-QLD1": 1000.0, "T-V-MNSP1": 470.0, "V-S-MNSP1": 150.0, "V-SA": 600.0, "VIC1-NSW1": 1300.0}  # fmt: skip
"""The interconnectors under AEMO's names, and the MW that each carries at most, either way: the order of the real limits."""

_ENDS = {name: ends for name in LINKS if (ends := nem.interconnector_ends(name))}
_FLOW_SPREAD = 22.0  # $/MWh of difference that fill a link

# $/MWh at which a technology begins to offer, and over which it reaches all of its capacity.
_OFFERS = {
    "coal_brown": (4.0, 50.0),
    "coal_black": (18.0, 85.0),
    "gas_ccgt": (62.0, 60.0),
    "gas_steam": (85.0, 90.0),
    "gas_recip": (100.0, 80.0),
    "gas_ocgt": (110.0, 170.0),
    "gas_wcmg": (-40.0, 30.0),
    "hydro": (42.0, 190.0),
    "distillate": (230.0, 150.0),
    "bioenergy_biogas": (-30.0, 40.0),
    "bioenergy_biomass": (0.0, 60.0),
    "wind": (-45.0, 38.0),
    "solar_utility": (-32.0, 26.0),
}
_LEAST = {"coal_brown": 0.52, "coal_black": 0.36, "gas_wcmg": 0.4, "hydro": 0.04}
_COAL = ("coal_black", "coal_brown")

_LOW, _HIGH = -150.0, 600.0
_SWEEPS = 14
_HALVINGS = 14
_RAMP = 2 * PER_HOUR  # coal follows the mean of four hours around
_FLOOR, _CEILING = -1000.0, 17_500.0  # the market's price floor and about its cap
_SCARCE = 250.0
_SPIKE_SHARE = 0.1


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """A day's result: MW by unit code (net: a battery is signed, pumps negative), and by region.

    `flow` is MW by interconnector, positive from the first region of its name to the second.
    """

    units: dict[str, Floats]
    price: dict[str, Floats]
    demand: dict[str, Floats]
    flow: dict[str, Floats]


class _Fleet(msgspec.Struct, frozen=True):
    """The dispatched units of a region: arrays of shape (units, times)."""

    codes: list[str]
    coal: NDArray[np.bool_]
    least: Floats
    most: Floats
    begin: Floats
    spread: Floats

    def output(self, price: Floats) -> Floats:
        """Give MW by unit at a price for each time."""
        share = np.clip((price[None, :] - self.begin) / self.spread, 0.0, 1.0)
        return self.least + (self.most - self.least) * share


def simulate(seed: int, stations: tuple[Station, ...], day: int) -> Day:
    """Simulate one NEM day (days since 1970).

    Values near midnight are worked out from the same functions of time on both sides, so days join.
    """
    times = np.arange(day * PER_DAY - _RAMP, (day + 1) * PER_DAY + _RAMP, dtype=np.int64)
    demand = {r: weather.demand(seed, r, _PLACES[r], times) for r in REGIONS}
    fleets = {r: _fleet(seed, [s for s in stations if s.region == r], times) for r in REGIONS}
    price = _solve(fleets, demand)
    inner = slice(_RAMP, _RAMP + PER_DAY)
    slow = {r: _slow_coal(fleet, price[r]) for r, fleet in fleets.items()}
    inside = {r: _cut(fleet, slow[r], inner) for r, fleet in fleets.items()}
    needed = {r: demand[r][inner] for r in REGIONS}
    price = _solve(inside, needed)
    units = {
        code: row
        for r, fleet in inside.items()
        for code, row in zip(fleet.codes, np.round(fleet.output(price[r]), 4), strict=True)
    }
    supply = {r: sum((units[c] for c in inside[r].codes), np.zeros(PER_DAY)) for r in REGIONS}
    flow = {name: np.round(_flow(name, price), 4) for name in LINKS}
    imports = {r: _net_import(r, flow) for r in REGIONS}
    return Day(
        units=units,
        price={r: _shown(seed, r, price[r], times[inner]) for r in REGIONS},
        demand={r: np.round(supply[r] + imports[r], 4) for r in REGIONS},
        flow=flow,
    )


def _fleet(seed: int, stations: list[Station], times: Ints) -> _Fleet:
    rows: list[tuple[str, bool, Floats, Floats, Floats, float]] = []
    hour = (times % PER_DAY) / PER_HOUR
    for station in stations:
        for unit in station.units:
            if unit.fueltech in {"battery_charging", "battery_discharging"}:
                continue
            least, most, begin, spread = _offer(seed, station, unit, times, hour)
            rows.append((unit.code, unit.fueltech in _COAL, least, most, begin, spread))
    return _Fleet(
        [row[0] for row in rows],
        np.array([row[1] for row in rows]),
        np.array([row[2] for row in rows]),
        np.array([row[3] for row in rows]),
        np.array([row[4] for row in rows]),
        np.array([[row[5]] for row in rows]),
    )


def _offer(
    seed: int, station: Station, unit: Unit, times: Ints, hour: Floats
) -> tuple[Floats, Floats, Floats, float]:
    """Give a unit's least and most MW, the price at which it begins, and the spread to its most."""
    zero = np.zeros(times.shape)
    lean = 14.0 * (weather.noise(seed, f"bid {unit.code}", times, 3 * PER_DAY) - 0.5)
    if unit.fueltech == "battery":
        return (*_storage(unit, hour, station), -40.0 + 2 * lean, 230.0)
    if unit.fueltech == "pumps":
        service = weather.available(seed, unit.code, times)
        return -unit.capacity * service, zero, 5.0 + lean, 35.0
    if unit.fueltech == "wind":
        share = weather.wind(seed, station.code, station.region, times)
    elif unit.fueltech == "solar_utility":
        place = (station.latitude, station.longitude)
        share = weather.solar(seed, station.code, station.region, place, times)
    else:
        share = weather.available(seed, unit.code, times)
    begin, spread = _OFFERS[unit.fueltech]
    most = unit.capacity * share
    least = most * _LEAST.get(unit.fueltech, 0.0)
    return least, most, begin + lean + _rebid(seed, unit, station.region, times, hour), spread


def _storage(unit: Unit, hour: Floats, station: Station) -> tuple[Floats, Floats]:
    """Give how hard a battery may charge and discharge by the hour: what two hours of storage allow.

    It fills up in the sunny hours and gives in the evening, so that a day's charge bounds its discharge.
    """
    shift = 0.4 * np.sin(len(station.code) + sum(map(ord, station.code)))
    fill = np.interp(
        hour + shift, (0, 6, 8.5, 10, 14, 16, 24), (0.06, 0.06, 0.1, 0.6, 0.6, 0.06, 0.06)
    )
    give = np.interp(
        hour + shift,
        (0, 5, 6.5, 8, 15, 17.5, 21, 24),
        (0.1, 0.15, 0.4, 0.15, 0.1, 0.85, 0.7, 0.1),
    )
    return -unit.capacity * fill, unit.capacity * give


def _rebid(seed: int, unit: Unit, region: str, times: Ints, hour: Floats) -> Floats:
    """Give what peaking plant asks above its usual price on a few tight evenings."""
    if unit.fueltech not in {"gas_ocgt", "hydro", "distillate", "gas_steam"}:
        return np.zeros(times.shape)
    day = times // PER_DAY * 4
    tight = weather.noise(seed, f"tight {region}", day, 1.0) < _SPIKE_SHARE
    evening = np.exp(-(((hour - 18.3) / 0.9) ** 2))
    return np.asarray(np.where(tight, 260.0 * evening, 0.0))


def _solve(fleets: dict[str, _Fleet], demand: dict[str, Floats]) -> dict[str, Floats]:
    """Give each region's price: regions in turn, each halving its way to balance, until they settle."""
    price = {r: np.full(demand[r].shape, 60.0) for r in REGIONS}
    for sweep in range(_SWEEPS):
        for region in REGIONS:
            low = np.full(price[region].shape, _LOW)
            high = np.full(price[region].shape, _HIGH)
            for _ in range(_HALVINGS):
                middle = (low + high) / 2
                have = fleets[region].output(middle).sum(axis=0)
                have += _imports(region, {**price, region: middle})
                short = have < demand[region]
                low = np.where(short, middle, low)
                high = np.where(short, high, middle)
            step = (low + high) / 2
            price[region] = step if sweep == 0 else 0.25 * price[region] + 0.75 * step
    return price


def _imports(region: str, price: dict[str, Floats]) -> Floats:
    """Give net import, MW, as prices drive it."""
    return _net_import(region, {n: _flow(n, price) for n in LINKS if region in _ENDS[n]})


def _flow(name: str, price: dict[str, Floats]) -> Floats:
    """Give an interconnector's MW: towards the dearer of its two regions, up to its limit."""
    start, end = _ENDS[name]
    return LINKS[name] * np.clip((price[end] - price[start]) / _FLOW_SPREAD, -1.0, 1.0)


def _net_import(region: str, flow: dict[str, Floats]) -> Floats:
    """Give what flows into a region less what flows out of it, MW; over all regions it is nothing."""
    signed = [mw if region == _ENDS[n][1] else -mw for n, mw in flow.items() if region in _ENDS[n]]  # fmt: skip
    return np.asarray(sum(signed))


def _slow_coal(fleet: _Fleet, price: Floats) -> Floats:
    """Give coal's MW as it can follow: the mean of what it is wanted for in the hours around."""
    wanted = fleet.output(price)
    kernel = np.ones(2 * _RAMP + 1) / (2 * _RAMP + 1)
    slow = wanted.copy()
    for row in np.flatnonzero(fleet.coal):
        padded = np.pad(wanted[row], _RAMP, mode="edge")
        slow[row] = np.convolve(padded, kernel, mode="valid")
    return slow


def _cut(fleet: _Fleet, slow: Floats, inner: slice) -> _Fleet:
    """Give the fleet within the day, with coal held to what it can follow."""
    coal = fleet.coal[:, None]
    return _Fleet(
        fleet.codes,
        fleet.coal,
        np.where(coal, slow, fleet.least)[:, inner],
        np.where(coal, slow, fleet.most)[:, inner],
        fleet.begin[:, inner],
        fleet.spread,
    )


def _shown(seed: int, region: str, price: Floats, times: Ints) -> Floats:
    """Give the price as the market would print it: scarcity climbs steeply, to the cap."""
    jitter = 3.0 * (weather.noise(seed, f"price {region}", times, 1.0) - 0.5)
    steep = _SCARCE * np.exp(np.maximum(price - _SCARCE, 0.0) / 70.0)
    shown = np.where(price > _SCARCE, steep, price) + jitter
    return np.round(np.clip(shown, _FLOOR, _CEILING), 2)
