"""What Home Assistant is told: as its documentation has it, kept true, and taken away again."""

import json
import re

import jsonschema_rs
import pytest
from brokers import KINDS, Server, until
from processes import energydash
from proxies import proxy_to
from stream_tables import CODES, at, settings, write_all
from test_publisher import in_background

from energydash import config, nem
from energydash.config import HomeSettings
from energydash.errors import ConfigError
from energydash.progress import silent
from energydash.schema import Catalogue, FacilityInfo, FacilityRecord, MarketRecord
from energydash.stream import publisher, removal
from energydash.stream.client import connected
from energydash.stream.home import Home
from energydash.stream.replay import Interval

# https://www.home-assistant.io/integrations/mqtt/#discovery-payload and /integrations/sensor.mqtt/, written down from there.
TEXT = {"type": "string", "minLength": 1}
SENSOR = {
    "type": "object",
    "required": ["platform", "unique_id"],
    "additionalProperties": False,
    "properties": {
        "platform": {"const": "sensor"},
        "unique_id": TEXT,
        "default_entity_id": {"type": "string", "pattern": r"^sensor\.[a-z0-9_]+$"},
        "name": TEXT,
        "unit_of_measurement": TEXT,
        "device_class": {"enum": ["power"]},
        "state_class": {"enum": ["measurement"]},
        "suggested_display_precision": {"type": "integer", "minimum": 0},
        "value_template": {"type": "string", "pattern": r"^\{\{ value_json\.[a-z_]+ \}\}$"},
    },
    # The units that the documentation lists for the class.
    "if": {"required": ["device_class"]},
    "then": {
        "properties": {"unit_of_measurement": {"enum": ["mW", "W", "kW", "MW", "GW", "TW"]}}
    },
}
DISCOVERY = {
    "type": "object",
    "required": ["device", "origin", "components", "state_topic", "availability"],
    "additionalProperties": False,
    "properties": {
        "device": {
            "type": "object",
            "required": ["identifiers", "name"],
            "additionalProperties": False,
            "properties": {
                "identifiers": {"type": "array", "items": TEXT, "minItems": 1},
                **dict.fromkeys(("name", "manufacturer", "model", "sw_version"), TEXT),
            },
        },
        "origin": {
            "type": "object",
            "required": ["name"],
            "additionalProperties": False,
            "properties": dict.fromkeys(("name", "sw_version", "support_url"), TEXT),
        },
        "components": {"type": "object", "additionalProperties": SENSOR, "minProperties": 1},
        "state_topic": {"type": "string", "pattern": "^[^#+]+$"},
        "availability": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["topic"],
                "additionalProperties": False,
                "properties": dict.fromkeys(
                    ("topic", "payload_available", "payload_not_available"), TEXT
                ),
            },
        },
        "qos": {"enum": [0, 1, 2]},
    },
}
# <discovery prefix>/device/<object id>/config
CONFIG_TOPIC = re.compile(r"^homeassistant/device/[a-zA-Z0-9_-]+/config$")
WANTED = HomeSettings(facilities=("ALPHA",))


class Retained:
    """Everything a broker keeps, as one who comes later reads it: by topic, an empty one is gone."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.heard: list[tuple[str, str]] = []

    def json(self, topic: str):
        return json.loads(self.texts[topic])

    async def read(self, address, *topics) -> None:
        async with connected(address, "home") as mqtt:
            for topic in topics:
                await mqtt.subscribe(topic, qos=1)
            async for message in mqtt.messages:
                said = message.topic.value, message.payload.decode()
                self.texts.update([said])
                self.heard.append(said)


def names(home_topics) -> list[str]:
    return [topic for topic, _ in home_topics]


@pytest.mark.parametrize("kind", KINDS)
async def test_devices_come_with_their_values_and_go_again(tmp_path, kind):
    write_all(tmp_path, 3)
    status = config.topic_beside(config.FACILITY_TOPIC, "status")
    region, station = "a02/home/v1/NSW1", "a02/home/v1/station/ALPHA"
    devices = [f"homeassistant/device/energydash_{x}/config" for x in ("nsw1", "alpha")]
    everything = (*devices, region, station, status)
    with Server(kind, tmp_path) as server:
        given = settings(tmp_path, server.address, home=WANTED, follow=True)
        kept = Retained()
        async with in_background(kept.read(server.address, *everything)):
            async with in_background(publisher.run(given, silent)):
                await until(lambda: set(everything) <= set(kept.texts), "all topics")
                await until(lambda: kept.json(region)["price"] == 52.5, "the newest")
                assert kept.texts[status] == "online"
            await until(lambda: kept.texts[status] == "offline", "the farewell")
            for topic in devices:
                assert CONFIG_TOPIC.match(topic)
                said = kept.json(topic)
                jsonschema_rs.validate(DISCOVERY, said)
                assert said["availability"][0]["topic"] == status
                fields = kept.json(said["state_topic"]).keys()
                assert set(said["components"]) < set(fields)
            assert kept.json(station) == {"event_time": at(2).isoformat(), "power": 2.0, "emissions": 0.2}  # fmt: skip
            assert kept.json(region)["renewable_share"] == 100.0
            summary = await removal.run(given, 5.0)
            assert summary.emptied == 2 * (len(nem.NEM_REGIONS) + len(CODES))

        later = Retained()
        async with in_background(later.read(server.address, *everything)):
            await until(lambda: status in later.texts, "what is kept")
    assert {t for t, text in later.texts.items() if text} == {status}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_publisher_that_vanishes_is_said_to_be_offline(tmp_path, kind):
    write_all(tmp_path, 3)
    status = config.topic_beside(config.FACILITY_TOPIC, "status")
    with Server(kind, tmp_path) as server:
        kept = Retained()
        async with (
            proxy_to(server.port) as proxy,
            in_background(kept.read(server.address, status)),
            in_background(
                publisher.run(settings(tmp_path, proxy.address, follow=True), silent)
            ),
        ):
            await until(lambda: kept.texts.get(status) == "online", "it is there")
            # The connection ends without a DISCONNECT, as that of a killed process does.
            proxy.tear()
            # It may be back before anybody has looked.
            await until(lambda: (status, "offline") in kept.heard, "its will")
            await until(lambda: kept.texts[status] == "online", "it is back")


def test_a_regions_values_are_those_of_the_newest_interval():
    home = Home(HomeSettings())
    fuels = {"W": "wind", "C": "coal_black", "B": "battery"}
    infos = tuple(FacilityInfo(code=c, name=c, network="NEM", region="SA1", fueltech=f, status="operating") for c, f in fuels.items())  # fmt: skip
    home.catalogue(Catalogue(source="x", simulated=True, facilities=infos))

    def station(code, power, emissions):
        return FacilityRecord(
            event_time=at(1), facility_id=code, power=power, emissions=emissions
        )

    old = FacilityRecord(event_time=at(0), facility_id="C", power=900.0, emissions=900.0)
    home.take(Interval(at(0), [old], []))
    records = [station("W", 300.0, 0.0), station("C", 100.0, 8.0), station("B", -50.0, None)]
    value = MarketRecord(network_code="NEM", metric="demand", event_time=at(1), value=420.0, network_region="SA1")  # fmt: skip
    home.take(Interval(at(1), records, [value]))

    (topic, body), *rest = home.states()
    home.start_over()
    home.take(Interval(at(0), [old], []))
    (_, again), *_ = home.states()
    assert json.loads(again)["event_time"] == at(0).isoformat()
    assert json.loads(again)["demand"] is None
    assert (topic, rest) == ("a02/home/v1/SA1", [])
    assert json.loads(body) == {
        "event_time": at(1).isoformat(),
        "price": None,
        "demand": 420.0,
        "renewable_share": 75.0,
        # 8 t in five minutes of 400 MW.
        "emissions_intensity": round(8 / (400 * 5 / 60), 4),
    }


@pytest.mark.parametrize(
    ("stations", "more"),
    [(("ALPHA", "NOPE"), {}), (("BRAVO",), {"facilities": ("ALPHA",)})],
    ids=["not there", "not published"],
)
async def test_a_station_that_is_not_published_is_no_device(tmp_path, stations, more):
    write_all(tmp_path, 1)
    home = HomeSettings(facilities=stations)
    with pytest.raises(ConfigError, match=rf"^--home-assistant-facility {stations[-1]}: .*facilities\.csv"):  # fmt: skip
        await publisher.run(settings(tmp_path, config.Broker(), home=home, **more), silent)


def test_a_user_can_take_the_devices_away_without_any_tables(tmp_path):
    with Server("embedded", tmp_path) as server:
        arguments = ("publish", "--home-assistant-remove", "--json", "--quiet")
        done = energydash(*arguments, "--broker", server.address.url, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["emptied"] == 2 * len(nem.NEM_REGIONS)
