"""The grid for Home Assistant: devices by MQTT discovery, and their values. Pure.

Format: https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery (device discovery).
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

import msgspec

from energydash import __version__, nem, schema
from energydash.config import HomeSettings, PublishSettings
from energydash.errors import ConfigError
from energydash.stream.replay import Interval

# (id, name, unit, device class, decimals); Home Assistant knows no class for a price or for an intensity.
_Sensor = tuple[str, str, str, str | None, int]
_REGION: tuple[_Sensor, ...] = (
    ("price", "Price", "AUD/MWh", None, 2),
    ("demand", "Demand", "MW", "power", 0),
    ("renewable_share", "Renewable share", "%", None, 1),
    ("emissions_intensity", "Emissions intensity", "tCO2/MWh", None, 3),
)
_STATION: tuple[_Sensor, ...] = (
    ("power", "Power", "MW", "power", 1),
    ("emissions", "Emissions", "tCO2", None, 1),
)


class RegionState(msgspec.Struct, frozen=True, kw_only=True):
    """A region's newest values: $/MWh, MW, per cent, t CO2/MWh; None where there is none."""

    event_time: datetime | None = None
    price: float | None = None
    demand: float | None = None
    renewable_share: float | None = None
    emissions_intensity: float | None = None


class StationState(msgspec.Struct, frozen=True, kw_only=True):
    """A station's newest values: MW, t CO2 in the interval."""

    event_time: datetime
    power: float | None
    emissions: float | None


class Home:
    """The regions that the stream has, and the stations that were chosen."""

    def __init__(self, settings: HomeSettings) -> None:
        self._settings = settings
        self._info: dict[str, schema.FacilityInfo] = {}
        self._moment: datetime | None = None
        self._stations: dict[str, schema.FacilityRecord] = {}
        self._market: dict[tuple[str, str], schema.MarketRecord] = {}

    @classmethod
    def of(cls, settings: PublishSettings) -> "Home | None":
        """Give it where the settings want it."""
        return None if settings.home is None else cls(settings.home)

    def check(self, published: Collection[str]) -> None:
        """See that each chosen station is one of those that are published.

        Raises:
            ConfigError: one of them is not.
        """
        for code in self._settings.facilities:
            if code not in published:
                raise ConfigError(
                    f"--home-assistant-facility {code}: no station that is published has this code: take it from facilities.csv, or leave it out"
                )

    def catalogue(self, catalogue: schema.Catalogue) -> None:
        """Take what the codes stand for."""
        self._info = {each.code: each for each in catalogue.facilities}

    def start_over(self) -> None:
        """Forget the values: event time begins again."""
        self._moment = None
        self._stations.clear()
        self._market.clear()

    def take(self, interval: Interval) -> None:
        """Keep what belongs to the newest interval, and the market's newest values."""
        if interval.facilities and (self._moment is None or interval.moment >= self._moment):
            if interval.moment != self._moment:
                self._stations.clear()
            self._moment = interval.moment
            self._stations.update({each.facility_id: each for each in interval.facilities})
        for value in interval.market:
            key = (value.network_region or "", value.metric)
            held = self._market.get(key)
            if held is None or held.event_time <= value.event_time:
                self._market[key] = value

    def announcements(self, status_topic: str) -> Iterator[tuple[str, bytes]]:
        """Yield the retained discovery message of each device; `status_topic` says whether its values are kept up."""
        for code in self._regions():
            region = nem.REGION_BY_CODE[code]
            yield self._device(
                code, f"NEM {region.name}", "Market region", _REGION, status_topic
            )
        for code in self._settings.facilities:
            info = self._info.get(code)
            if info is not None:
                fuel = f"Power station, {nem.fueltech(info.fueltech).label.lower()}"
                yield self._device(code, info.name, fuel, _STATION, status_topic, "station/")

    def removals(self) -> Iterator[tuple[str, bytes]]:
        """Yield what takes every device away again, with its values: regions, and any station of the catalogue or chosen."""
        stations = {*self._info, *self._settings.facilities}
        names = [*nem.NEM_REGIONS, *(f"station/{code}" for code in sorted(stations))]
        for name in names:
            yield self._config_topic(name.rpartition("/")[2]), b""
            yield f"{self._settings.topic}/{name}", b""

    def states(self) -> Iterator[tuple[str, bytes]]:
        """Yield the retained values of each device."""
        for code in self._regions():
            yield f"{self._settings.topic}/{code}", schema.encode(self._region_state(code))
        for code in self._settings.facilities:
            record = self._stations.get(code)
            if record is not None:
                state = StationState(
                    event_time=record.event_time, power=record.power, emissions=record.emissions
                )
                yield f"{self._settings.topic}/station/{code}", schema.encode(state)

    def _regions(self) -> list[str]:
        """Give the regions of the stations; all where the tables came without a catalogue."""
        there = {each.region for each in self._info.values()}
        return [code for code in nem.NEM_REGIONS if code in there or not there]

    def _region_state(self, code: str) -> RegionState:
        mix: defaultdict[str, float] = defaultdict(float)
        emissions: list[float] = []
        for record in self._stations.values():
            info = self._info.get(record.facility_id)
            if info is None or info.region != code:
                continue
            if record.emissions is not None:
                emissions.append(record.emissions)
            for fuel, power in _mix(record, info).items():
                mix[fuel] += power
        share = nem.renewable_share(mix)
        intensity = nem.emissions_intensity(sum(emissions), mix) if emissions else None
        price, demand = self._market.get((code, "price")), self._market.get((code, "demand"))
        times = [each.event_time for each in (price, demand) if each]
        times += [self._moment] if self._moment else []
        return RegionState(
            event_time=max(times, default=None),
            price=price.value if price else None,
            demand=demand.value if demand else None,
            renewable_share=None if share is None else round(100 * share, 2),
            emissions_intensity=None if intensity is None else round(intensity, 4),
        )

    def _config_topic(self, code: str) -> str:
        return f"{self._settings.prefix}/device/{_id(code)}/config"

    def _device(
        self,
        code: str,
        name: str,
        model: str,
        sensors: tuple[_Sensor, ...],
        status_topic: str,
        below: str = "",
    ) -> tuple[str, bytes]:
        device = _id(code)
        config = {
            "device": {
                "identifiers": [device],
                "name": name,
                "manufacturer": "energydash",
                "model": model,
                "sw_version": __version__,
            },
            "origin": {"name": "energydash", "sw_version": __version__},
            "components": {each[0]: _sensor(device, *each) for each in sensors},
            "state_topic": f"{self._settings.topic}/{below}{code}",
            "availability": [
                {
                    "topic": status_topic,
                    "payload_available": "online",
                    "payload_not_available": "offline",
                }
            ],
            "qos": 0,
        }
        return self._config_topic(code), msgspec.json.encode(config)


def _mix(record: schema.FacilityRecord, info: schema.FacilityInfo) -> dict[str, float]:
    if record.by_fuel:
        return record.by_fuel
    return {} if record.power is None else {info.fueltech: record.power}


def _id(code: str) -> str:
    """Give a device's id: letters, digits and underscores alone may stand in the topic."""
    return "energydash_" + re.sub(r"[^a-z0-9]", "_", code.lower())


def _sensor(
    device: str, key: str, name: str, unit: str, device_class: str | None, decimals: int
) -> dict[str, Any]:
    sensor: dict[str, Any] = {
        "platform": "sensor",
        "unique_id": f"{device}_{key}",
        "default_entity_id": f"sensor.{device}_{key}",
        "name": name,
        "unit_of_measurement": unit,
        "state_class": "measurement",
        "suggested_display_precision": decimals,
        # None becomes the text that Home Assistant reads as "unknown".
        "value_template": f"{{{{ value_json.{key} }}}}",
    }
    return sensor if device_class is None else {**sensor, "device_class": device_class}
