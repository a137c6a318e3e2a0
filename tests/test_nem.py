"""Facts and formulas."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energydash import nem

moments = st.datetimes(
    min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)
)
powers = st.dictionaries(
    st.sampled_from(sorted(nem.FUELTECHS)), st.floats(-5000, 5000), max_size=8
)


@given(moments)
def test_an_interval_starts_within_five_minutes_before(moment):
    start = nem.floor_interval(moment)

    assert timedelta(0) <= moment - start < nem.INTERVAL
    assert start.minute % 5 == 0
    assert start.utcoffset() == timedelta(hours=10)


@given(moments, st.integers(0, 50))
def test_a_window_of_n_intervals_has_n_labels(moment, count):
    start = nem.floor_interval(moment)

    assert len(list(nem.intervals(start, start + count * nem.INTERVAL))) == count


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("N-Q-MNSP1", ("NSW1", "QLD1")),
        ("NSW1-QLD1", ("NSW1", "QLD1")),
        ("T-V-MNSP1", ("TAS1", "VIC1")),
        ("V-S-MNSP1", ("VIC1", "SA1")),
        ("V-SA", ("VIC1", "SA1")),
        ("VIC1-NSW1", ("VIC1", "NSW1")),
        ("V-V", None),
        ("V-X", None),
        ("NSW1", None),
        ("", None),
    ],
)
def test_an_interconnectors_name_tells_the_regions_that_it_joins(name, ends):
    assert nem.interconnector_ends(name) == ends


def test_an_unknown_fuel_is_drawn_as_other():
    tech = nem.fueltech("fusion_tokamak")

    assert (tech.group, tech.label) == ("other", "Fusion tokamak")


def test_every_fuel_has_a_group_and_every_group_its_colours():
    assert {tech.group for tech in nem.FUELTECHS.values()} == set(nem.FUEL_GROUP_BY_ID)
    for attribute in ("colour", "colour_dark", "label", "order"):
        values = [getattr(group, attribute) for group in nem.FUEL_GROUPS]
        assert len(set(values)) == len(values)


def test_renewable_share_leaves_batteries_and_pumps_out():
    mix = {"wind": 30.0, "coal_black": 70.0, "battery": 500.0, "pumps": -400.0, "hydro": -5.0}

    assert nem.renewable_share(mix) == pytest.approx(0.3)
    assert nem.emissions_intensity(5.0, mix) == pytest.approx(5.0 / (100 * 5 / 60))


@given(powers)
def test_a_share_lies_between_nothing_and_all(mix):
    share = nem.renewable_share(mix)

    assert share is None or 0 <= share <= 1
