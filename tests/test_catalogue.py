"""A catalogue with words, fields and values that nobody foresaw: counted, passed through, no station lost."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standin import StandIn

from energydash.errors import SourceError
from energydash.sources.catalogue import parse_facilities, unknowns


def raw(*stations, **more):
    return json.dumps({"data": list(stations), **more}).encode()


def test_a_later_apis_catalogue_is_read_whole_and_its_news_are_counted():
    api = StandIn(future=True)
    stations = api.known_stations()
    content = json.dumps(api.envelope(stations)).encode()

    read, found = parse_facilities(content), unknowns(content)

    assert {f.code: [u.code for u in f.units] for f in read.data} == {
        each["code"]: [unit["code"] for unit in each["units"]] for each in stations
    }
    assert (found.fueltechs, found.statuses, found.networks) == ({"fusion": 1}, {"standby": 1}, {"DKIS": 1})  # fmt: skip
    assert found.fields == {"owners": 1, "units.hydrogen": 1}
    assert (found.unreadable, found.nameless) == ({}, 0)


def test_a_value_that_makes_no_sense_is_taken_for_absent():
    content = raw(
        {
            "code": "A", "name": None, "network_id": 5, "location": {"lat": "south", "lng": 150.0},
            "units": [{"code": "A1", "fueltech_id": None, "capacity_registered": "70.5", "data_first_seen": "once"}, {"x": 1}, 3],
        },
        {"name": "without a code"}, "text",
    )  # fmt: skip

    (facility,) = parse_facilities(content).data

    (unit,) = facility.units
    assert (facility.name, facility.network_id, facility.location) == ("A", "NEM", None)
    assert (unit.fueltech_id, unit.capacity_registered, unit.data_first_seen) == ("other", 70.5, None)  # fmt: skip
    found = unknowns(content)
    assert found.unreadable == {"location": 1, "network_id": 1, "units.data_first_seen": 1}
    assert found.nameless == 4


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"{", "makes no sense"), (b"[]", "makes no sense"), (b'{"data": 5}', "makes no sense"), (b"\xff", "makes no sense"),
        (raw(success=False, error="Maintenance  Mode"), "reports a failure: Maintenance Mode"),
    ],
)  # fmt: skip
def test_what_is_no_catalogue_is_an_error(content, text):
    with pytest.raises(SourceError, match=text):
        parse_facilities(content)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["code", "lat", "units"]), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip
keys = st.sampled_from(["name", "network_id", "location", "units", "description", "owners"])


@given(st.lists(st.dictionaries(keys, anything, max_size=4), max_size=4))
def test_no_value_whatever_loses_a_station(stations):
    named = [each | {"code": f"S{n}"} for n, each in enumerate(stations)]

    read = parse_facilities(raw(*named))

    assert [facility.code for facility in read.data] == [each["code"] for each in named]
    unknowns(raw(*named))
