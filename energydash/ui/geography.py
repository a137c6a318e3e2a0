"""The country's outline and the projection; all of it is in the package, no tile server is asked."""

import math
from functools import cache

import msgspec

from energydash.ui import bundled

_EARTH_RADIUS_M = 6_378_137.0

Ring = list[tuple[float, float]]


@cache
def states() -> dict[str, list[Ring]]:
    """Give every state's rings (longitude, latitude; WGS 84 degrees) by its market region, or NT.

    Natural Earth 1:50m, public domain.
    """
    return msgspec.json.decode(bundled.text("states.json"), type=dict[str, list[Ring]])


def mercator(longitude: float, latitude: float) -> tuple[float, float]:
    """Give web mercator metres (EPSG:3857, the formula of the spherical projection)."""
    x = math.radians(longitude) * _EARTH_RADIUS_M
    y = math.log(math.tan(math.pi / 4 + math.radians(latitude) / 2)) * _EARTH_RADIUS_M
    return x, y
