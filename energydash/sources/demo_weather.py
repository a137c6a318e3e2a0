"""The simulated grid's weather and demand: every value is a pure function of seed, place and time.

Times are interval numbers: five-minute steps since 1970 in NEM time. Arrays have shape (times,) or (places, times).
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PER_HOUR = 12
PER_DAY = 288

_MIX = np.uint64(0x9E3779B97F4A7C15)
_MIX_2 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_3 = np.uint64(0x94D049BB133111EB)

# MW at an average moment, the share of rooftop solar at clear noon, and the summer's and winter's weight.
_DEMAND = {
    "NSW1": (7900.0, 0.44, 0.06, 0.07),
    "QLD1": (6500.0, 0.46, 0.14, 0.01),
    "VIC1": (5300.0, 0.44, 0.05, 0.09),
    "SA1": (1500.0, 0.80, 0.10, 0.06),
    "TAS1": (1180.0, 0.12, -0.06, 0.12),
}
# MW above the day's level by hour: a night's trough, a morning peak, an evening peak.
_SHAPE_HOURS = (0, 2, 4, 6, 7.5, 9, 12, 15, 17, 18.5, 20, 22, 24)
_SHAPE = (0.88, 0.82, 0.82, 0.93, 1.04, 1.05, 1.04, 1.05, 1.15, 1.24, 1.14, 1.00, 0.88)
_WEEKEND = 0.92
_FIRST_WEEKDAY = 3  # 1970-01-01 was a Thursday


def noise(seed: int, stream: str, times: Ints, period: float) -> Floats:
    """Give smooth noise from 0 to 1 that wanders over about `period` intervals."""
    position = times / period
    cell = np.floor(position).astype(np.int64)
    share = position - cell
    weight = share * share * (3.0 - 2.0 * share)
    name = f"{seed} {stream}".encode()
    key = np.uint64(int.from_bytes(hashlib.blake2b(name, digest_size=8).digest()))
    return _uniform(key, cell) * (1.0 - weight) + _uniform(key, cell + 1) * weight


def _uniform(key: np.uint64, cells: Ints) -> Floats:
    """Hash each cell to a number from 0 to 1 (the finaliser of SplitMix64)."""
    mixed = cells.astype(np.uint64) * _MIX + key
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX_2
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX_3
    mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)).astype(np.float64) / float(1 << 53)


def sun(times: Ints, latitude: float, longitude: float) -> Floats:
    """Give the sine of the sun's elevation, 0 at night.

    Declination and solar time as in the usual approximations (Cooper 1969): good to a few minutes.
    """
    hours_utc = times / PER_HOUR - 10.0
    day = (times // PER_DAY) % 365.25
    declination = np.radians(23.45) * np.sin(2 * np.pi * (284 + day) / 365.25)
    angle = np.radians(15.0 * (hours_utc + longitude / 15.0 - 12.0))
    phi = np.radians(latitude)
    height = np.sin(phi) * np.sin(declination) + np.cos(phi) * np.cos(declination) * np.cos(
        angle
    )
    above: Floats = np.maximum(height, 0.0)
    return above


def clearness(seed: int, region: str, times: Ints) -> Floats:
    """Give the share of sunlight that a region's clouds let through, 0.25 to 1."""
    slow = noise(seed, f"cloud {region}", times, 2.2 * PER_DAY)
    passing = noise(seed, f"passing {region}", times, 5)
    cover = np.clip((slow - 0.42) * 2.6, 0.0, 1.0)
    return 1.0 - cover * (0.35 + 0.4 * passing)


def solar(seed: int, code: str, region: str, place: tuple[float, float], times: Ints) -> Floats:
    """Give a solar farm's share of its capacity: panels that track the sun, and its own small clouds."""
    height = sun(times, *place)
    own = noise(seed, f"farm {code}", times, 3)
    sky = clearness(seed, region, times)
    return np.clip(1.12 * height**0.55, 0.0, 0.98) * sky * (1.0 - (1.0 - sky) * 0.5 * own)


def wind(seed: int, code: str, region: str, times: Ints) -> Floats:
    """Give a wind farm's share of its capacity: fronts that a region shares, gusts of its own."""
    front = noise(seed, f"front {region}", times, 1.4 * PER_DAY)
    breeze = noise(seed, f"breeze {region}", times, 7 * PER_HOUR)
    own = noise(seed, f"gust {code}", times, 3 * PER_HOUR)
    flicker = noise(seed, f"flicker {code}", times, 4)
    speed = 0.52 * front + 0.24 * breeze + 0.18 * own + 0.06 * flicker
    return np.clip((speed - 0.22) * 1.75, 0.0, 0.97) ** 1.35


def available(seed: int, code: str, times: Ints) -> Floats:
    """Give 1 where a unit is in service and 0 in an outage, with hours between."""
    health = noise(seed, f"health {code}", times, 3.0 * PER_DAY)
    return np.clip((health - 0.07) * 25.0, 0.0, 1.0)


def demand(seed: int, region: str, place: tuple[float, float], times: Ints) -> Floats:
    """Give a region's operational demand, MW: what the grid must carry, rooftop solar taken off."""
    level, rooftop, summer, winter = _DEMAND[region]
    hour = (times % PER_DAY) / PER_HOUR
    day = times // PER_DAY
    shape = np.interp(hour, _SHAPE_HOURS, _SHAPE)
    weekday = (day + _FIRST_WEEKDAY) % 7
    calm = np.where(weekday >= 5, _WEEKEND, 1.0)  # noqa: PLR2004 (Saturday and Sunday)
    # Midnight joins two days: let the weekend come and go over the small hours.
    before = np.where((weekday - 1) % 7 >= 5, _WEEKEND, 1.0)  # noqa: PLR2004
    eased = before + (calm - before) * np.clip(hour / 5.0, 0.0, 1.0)
    season = np.cos(2 * np.pi * (times / PER_DAY - 15) / 365.25)
    year = 1.0 + summer * np.maximum(season, 0.0) + winter * np.maximum(-season, 0.0)
    heat = 0.94 + 0.14 * noise(seed, f"heat {region}", times, 2.5 * PER_DAY)
    jitter = 1.0 + 0.012 * (noise(seed, f"jitter {region}", times, 6) - 0.5)
    roofs = rooftop * level * sun(times, *place) * clearness(seed, region, times)
    # The least that a region has ever needed is above nothing.
    return np.maximum(level * shape * eased * year * heat * jitter - roofs, 0.06 * level)
