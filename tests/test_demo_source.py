"""The simulated grid: the same for a seed and a window, and good enough that someone who knows the NEM nods."""

import asyncio
import json
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energydash import nem
from energydash.errors import ConfigError
from energydash.sources.catalogue import parse_facilities
from energydash.sources.demo import DemoSource
from energydash.sources.demo_stations import stations
from energydash.sources.parse import parse_data
from energydash.sources.protocol import Window

MONDAY = datetime(2026, 1, 5, tzinfo=nem.NEM_ZONE)
STEP = nem.INTERVAL
DAY = timedelta(days=1)
UNITS = {unit.code: (station, unit) for station in stations() for unit in station.units}


@pytest.fixture(scope="module")
def grid():
    return DemoSource()


def units_of(source, codes, start, end):
    """{unit: {time: MW}} through the parser that reads the real API's answers."""
    raw = asyncio.run(source.facility_data("NEM", codes, Window(start, end), "5m"))
    if raw is None:
        return {}
    return {
        (metric.metric, series.columns.unit_code): dict(series.data)
        for metric in parse_data(raw).data
        for series in metric.results
    }


def market_of(source, start, end):
    """{(metric, region): {time: value}}; the network's own has no region."""
    found = {}
    for by_region in (False, True):
        raw = asyncio.run(
            source.market_data("NEM", Window(start, end), "5m", by_region=by_region)
        )
        for metric in parse_data(raw).data:
            for series in metric.results:
                found[metric.metric, series.columns.region] = dict(series.data)
    return found


def codes_of(fueltech, region=None):
    return [
        station.code
        for station in stations()
        if any(unit.fueltech == fueltech for unit in station.units)
        and region in {None, station.region}
    ]


def power(source, fueltech, start, end, region=None):
    """{unit: array of MW} of every unit of a technology."""
    found = {}
    codes = codes_of(fueltech, region)
    for (metric, unit), points in units_of(source, codes, start, end).items():
        if metric == "power" and UNITS[unit][1].fueltech == fueltech:
            found[unit] = np.array(list(points.values()), dtype=float)
    return found


# --- the catalogue -------------------------------------------------------------------------------------


def test_the_catalogue_has_every_region_every_fuel_group_and_enough_stations(grid):
    answer = parse_facilities(asyncio.run(grid.facilities("NEM")))
    groups = {nem.fueltech(u.fueltech_id).group for f in answer.data for u in f.units}

    assert len(answer.data) >= 150
    assert {facility.network_region for facility in answer.data} == set(nem.NEM_REGIONS)
    assert groups >= {group.id for group in nem.FUEL_GROUPS} - {"other"}
    assert len({facility.name for facility in answer.data}) > 150
    assert any(
        len({u.fueltech_id for u in f.units} - {"battery_charging", "battery_discharging"}) > 1
        for f in answer.data
    )
    assert all(112 < f.location.lng < 154 and -44 < f.location.lat < -10 for f in answer.data)


def test_every_battery_is_three_units_as_the_api_gives_them():
    for station in stations():
        kinds = [u.fueltech for u in station.units if u.fueltech.startswith("battery")]
        assert kinds.count("battery") == kinds.count("battery_charging")
        assert kinds.count("battery") == kinds.count("battery_discharging")


# --- windows -------------------------------------------------------------------------------------------


def inside(points, start, end):
    return {
        key: {time: value for time, value in series.items() if start <= time < end}
        for key, series in points.items()
    }


@pytest.fixture(scope="module")
def grids():
    return DemoSource(), DemoSource()


@settings(max_examples=8, deadline=None)
@given(st.integers(150, 280), st.integers(1, 150), st.integers(0, 149), st.integers(1, 150))
def test_any_two_windows_agree_where_they_overlap(grids, first, n, later, m):
    codes = ["ERARING", *codes_of("battery")[:2], *codes_of("pumps")[:1]]
    begins = MONDAY + first * STEP, MONDAY + (first + min(later, n - 1)) * STEP
    ends = begins[0] + n * STEP, begins[1] + m * STEP
    shared = max(begins), min(ends)

    ours, theirs = (
        {**units_of(grid, codes, begin, end), **market_of(grid, begin, end)}
        for grid, begin, end in zip(grids, begins, ends, strict=True)
    )
    told = inside(ours, *shared)
    assert told["power", "ER01"]
    # A battery's half that is at rest all through a window has no series there.
    for key in told.keys() | theirs.keys():
        assert told.get(key, {}) == inside(theirs, *shared).get(key, {})


def test_a_window_is_half_open_and_in_nem_time(grid):
    raw = asyncio.run(
        grid.market_data("NEM", Window(MONDAY, MONDAY + 3 * STEP), "5m", by_region=False)
    )
    labels = [point[0] for point in json.loads(raw)["data"][0]["results"][0]["data"]]

    assert labels == [
        "2026-01-05T00:00:00+10:00", "2026-01-05T00:05:00+10:00", "2026-01-05T00:10:00+10:00",
    ]  # fmt: skip


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_grid():
    def ask(seed):
        window = Window(MONDAY, MONDAY + 6 * STEP)
        return asyncio.run(
            DemoSource(seed).facility_data("NEM", codes_of("wind")[:3], window, "5m")
        )

    assert ask(1) == ask(1)
    assert ask(1) != ask(2)


def test_an_empty_window_holds_no_data(grid):
    window = Window(MONDAY, MONDAY)

    assert asyncio.run(grid.facility_data("NEM", ["ERARING"], window, "5m")) is None
    assert asyncio.run(grid.market_data("NEM", window, "5m", by_region=True)) is None


def test_another_network_or_interval_is_refused(grid):
    window = Window(MONDAY, MONDAY + DAY)
    with pytest.raises(ConfigError, match="WEM"):
        asyncio.run(grid.facilities("WEM"))
    with pytest.raises(ConfigError, match="1h"):
        asyncio.run(grid.market_data("NEM", window, "1h", by_region=True))


# --- physics and the market ----------------------------------------------------------------------------


def net_imports(grid, start, end):
    """{region: array of MW} of what a region's own units leave of its demand."""
    supply = dict.fromkeys(nem.NEM_REGIONS, 0.0)
    found = units_of(grid, [station.code for station in stations()], start, end)
    for (metric, code), points in found.items():
        station, unit = UNITS[code]
        if metric == "power" and unit.fueltech not in {
            "battery_charging",
            "battery_discharging",
        }:
            sign = -1 if unit.fueltech == "pumps" else 1
            supply[station.region] = supply[station.region] + sign * np.array(
                list(points.values())
            )
    market = market_of(grid, start, end)
    return {
        region: np.array(list(market["demand", region].values())) - mw
        for region, mw in supply.items()
    }


def test_supply_and_net_imports_equal_demand_to_the_rounding(grid):
    imports = net_imports(grid, MONDAY, MONDAY + DAY)

    # What one region brings in, others send: over the whole market it is nothing.
    assert sum(imports.values()) == pytest.approx(np.zeros(288), abs=0.01)


def test_a_region_imports_no_more_than_its_links_carry_and_more_where_it_is_dearer(grid):
    imports = net_imports(grid, MONDAY, MONDAY + DAY)
    market = market_of(grid, MONDAY, MONDAY + DAY)

    # About what the real links carry: Tasmania's cable 478 MW, South Australia's two lines 870 MW.
    links = {"TAS1": 480, "SA1": 900, "QLD1": 1400, "NSW1": 3000, "VIC1": 3000}
    for region, mw in imports.items():
        assert np.abs(mw).max() <= links[region], region
        assert np.ptp(mw) > 50, region
    here, there = (np.array(list(market["price", r].values())) for r in ("TAS1", "VIC1"))
    assert np.corrcoef(imports["TAS1"], np.clip(here - there, -50, 50))[0, 1] > 0.5


def test_what_flows_between_regions_is_what_they_import_and_within_the_limits(grid):
    imports = net_imports(grid, MONDAY, MONDAY + DAY)
    market = {
        key: np.array(list(points.values()))
        for key, points in market_of(grid, MONDAY, MONDAY + DAY).items()
    }
    links = {region for metric, region in market if metric == nem.FLOW}
    brought = dict.fromkeys(nem.NEM_REGIONS, 0.0)
    for link in links:
        start, end = nem.interconnector_ends(link)
        flow = market[nem.FLOW, link]
        brought[start], brought[end] = brought[start] - flow, brought[end] + flow
        assert np.all(flow <= market[nem.EXPORT_LIMIT, link])
        assert np.all(flow >= market[nem.IMPORT_LIMIT, link])
        assert np.ptp(flow) > 50

    assert len(links) == 6
    for region, mw in imports.items():
        assert brought[region] == pytest.approx(mw, abs=0.001)


def test_regions_add_up_to_the_network_and_its_price_is_their_mean(grid):
    market = market_of(grid, MONDAY, MONDAY + DAY)
    for moment, demand in market["demand", None].items():
        regions = [market["demand", region][moment] for region in nem.NEM_REGIONS]
        prices = [market["price", region][moment] for region in nem.NEM_REGIONS]
        assert demand == pytest.approx(sum(regions), abs=0.001)
        assert market["price", None][moment] == pytest.approx(np.mean(prices), abs=0.001)


def test_a_batterys_halves_complement_its_signed_unit(grid):
    found = units_of(grid, codes_of("battery"), MONDAY, MONDAY + DAY)
    for station in stations():
        kinds = {u.fueltech: u.code for u in station.units}
        if "battery" not in kinds or sum(u.fueltech == "battery" for u in station.units) > 1:
            continue
        signed = found["power", kinds["battery"]]
        gives = found.get(("power", kinds["battery_discharging"]), {})
        takes = found.get(("power", kinds["battery_charging"]), {})
        for moment, mw in signed.items():
            assert (moment in takes) == (mw < 0)
            assert takes.get(moment, 0.0) == max(-mw, 0.0)
            assert gives.get(moment, 0.0) == max(mw, 0.0)


def test_the_sun_sets_later_in_the_west_and_nothing_shines_at_night(grid):
    found = power(grid, "solar_utility", MONDAY, MONDAY + DAY)
    assert len(found) > 20
    last_light = {}
    for unit, values in found.items():
        assert np.all(values[: 4 * 12] == 0)
        assert np.all(values[21 * 12 :] == 0)
        assert values.max() > 0.2 * UNITS[unit][1].capacity
        last_light[unit] = np.flatnonzero(values)[-1]
    places = [UNITS[unit][0].longitude for unit in found]

    assert np.corrcoef(places, list(last_light.values()))[0, 1] < -0.4


def test_wind_is_alike_within_a_region_more_than_between_far_ones(grid):
    end = MONDAY + 6 * DAY

    def shares(region):
        rows = list(power(grid, "wind", MONDAY, end, region).values())[:6]
        return [row for row in rows if row.std() > 0]

    def likeness(ones, others):
        pairs = [np.corrcoef(a, b)[0, 1] for a in ones for b in others if a is not b]
        return np.mean(pairs)

    here, far = shares("VIC1"), shares("QLD1")
    assert likeness(here, here) > likeness(here, far) + 0.2


@pytest.mark.parametrize("fueltech", ["coal_black", "coal_brown"])
def test_coal_ramps_slowly_over_midnight_too(grid, fueltech):
    found = power(grid, fueltech, MONDAY, MONDAY + 2 * DAY)
    assert found
    for unit, values in found.items():
        assert np.abs(np.diff(values)).max() < 0.03 * UNITS[unit][1].capacity


def test_batteries_fill_in_the_sun_and_give_in_the_evening(grid):
    total = sum(power(grid, "battery", MONDAY, MONDAY + 3 * DAY).values()).reshape(3, 288)

    assert total[:, 11 * 12 : 14 * 12].mean() < 0 < total[:, 18 * 12 : 20 * 12].mean()


def test_prices_fall_below_zero_at_some_noons_and_spike_on_some_evenings(grid):
    prices = {}
    for (metric, region), points in market_of(grid, MONDAY, MONDAY + 10 * DAY).items():
        if metric == "price" and region:
            prices[region] = list(points.values())
    by_hour = np.array(list(prices.values())).reshape(5, 10, 288)
    noons = by_hour[:, :, 11 * 12 : 14 * 12]
    evenings = by_hour[:, :, 17 * 12 : 20 * 12]

    assert 0.02 < (noons < 0).any(axis=2).mean() < 0.98
    assert 0.005 < (evenings > 300).any(axis=2).mean() < 0.5
    assert by_hour.min() >= -1000
    assert by_hour.max() <= 17_500 + 1e-9
    assert 20 < np.median(by_hour) < 150


def test_no_unit_makes_more_than_its_capacity(grid):
    for (metric, unit), points in units_of(
        grid, [s.code for s in stations()], MONDAY, MONDAY + 40 * STEP
    ).items():
        if metric == "power":
            limit = UNITS[unit][1].capacity * 1.001
            assert all(abs(mw) <= limit for mw in points.values())


def test_emissions_are_factor_times_energy(grid):
    found = units_of(grid, codes_of("coal_black")[:3], MONDAY, MONDAY + 12 * STEP)
    for (metric, unit), points in found.items():
        if metric == "emissions":
            factor = UNITS[unit][1].emissions_factor
            for moment, tonnes in points.items():
                made = max(found["power", unit][moment], 0.0)
                assert tonnes == pytest.approx(made * factor * 5 / 60, abs=1e-4)


def test_demand_has_two_peaks_and_a_weekend(grid):
    winter = datetime(2026, 7, 6, tzinfo=nem.NEM_ZONE)
    week = np.array(
        list(market_of(grid, winter, winter + 7 * DAY)["demand", None].values())
    ).reshape(7, 288)
    workdays = week[:5].mean(axis=0)
    morning, noon, evening, night = (
        workdays[h * 12 : (h + 2) * 12].mean() for h in (7, 12, 18, 2)
    )

    assert night < morning
    assert noon < morning < evening
    assert week[5:, 36:].mean() < week[:5, 36:].mean()
