"""Which part of the tables is published. Pure."""

from collections.abc import Collection
from datetime import datetime

import msgspec

from energydash import nem, schema
from energydash.errors import ConfigError
from energydash.stream.replay import Interval


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """What passes: an interval in the half-open window, a station and a region among those named; None is all.

    Market values pass by their region; the network's own pass where every region does, or where the network is named.
    """

    start: datetime | None = None
    end: datetime | None = None
    stations: frozenset[str] | None = None
    regions: frozenset[str] | None = None

    @property
    def is_all(self) -> bool:
        """Whether everything passes."""
        return self == Selection()

    def narrowed(self, interval: Interval) -> Interval | None:
        """Give what passes of an interval; None where nothing does."""
        if self.start is not None and interval.moment < self.start:
            return None
        if self.end is not None and interval.moment >= self.end:
            return None
        if self.stations is None and self.regions is None:
            return interval
        facilities = [each for each in interval.facilities if self.has(each.facility_id)]
        market = [each for each in interval.market if self._has_value(each)]
        return Interval(interval.moment, facilities, market) if facilities or market else None

    def has(self, code: str) -> bool:
        """Whether a station passes."""
        return self.stations is None or code in self.stations

    def _has_value(self, value: schema.MarketRecord) -> bool:
        return (
            self.regions is None or (value.network_region or value.network_code) in self.regions
        )


def selection_of(
    catalogue: schema.Catalogue,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    facilities: Collection[str] = (),
    regions: Collection[str] = (),
    fuels: Collection[str] = (),
) -> Selection:
    """Give what the codes of stations, the regions and the fuels (groups or technologies) leave together.

    Raises:
        ConfigError: nobody knows a code, region or fuel, or nothing is left.
    """
    infos = catalogue.facilities
    _refuse_unknown("--facility", facilities, {each.code for each in infos})
    _refuse_unknown("--region", regions, {each.region for each in infos} | set(nem.REGION_BY_CODE) | {nem.NETWORK})  # fmt: skip
    _refuse_unknown("--fuel", fuels, set(nem.FUEL_GROUP_BY_ID) | set(nem.FUELTECHS))
    stations = None
    if facilities or regions or fuels:
        stations = frozenset(
            each.code
            for each in infos
            if (not facilities or each.code in facilities)
            and (not regions or each.region in regions or each.network in regions)
            and (not fuels or not _fuels(each).isdisjoint(fuels))
        )
        if not stations:
            raise ConfigError(
                "no station is all of --facility, --region and --fuel: ask for less"
            )
    return Selection(
        start=start,
        end=end,
        stations=stations,
        regions=frozenset(regions) if regions else None,
    )


def _fuels(info: schema.FacilityInfo) -> set[str]:
    technologies = {info.fueltech, *(unit.fueltech for unit in info.units)}
    return technologies | {nem.fueltech(each).group for each in technologies}


def _refuse_unknown(flag: str, given: Collection[str], known: set[str]) -> None:
    for each in given:
        if each not in known:
            raise ConfigError(f"{flag} {each}: the tables know no such one")
