"""What is drawn, before it is drawn: columns, circles, texts."""

import math
from datetime import datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_store import at, begin, charts, facility, values

from energydash import nem, schema
from energydash.ui import geography, marks, numbers, pictures, series
from energydash.ui import map as grid_map
from energydash.ui.address import Look
from energydash.ui.charts import Charts
from energydash.ui.past import Reading
from energydash.ui.selection import Choice, Selection
from energydash.ui.session import Session
from energydash.ui.store import Row, Store
from energydash.ui.theme import PALETTES, palette

LIGHT = PALETTES["light"]
NOW = datetime(2026, 3, 1, 12, tzinfo=nem.NEM_ZONE)

megawatts = st.floats(-3000, 3000, allow_nan=False)
rows = st.builds(
    Row,
    fuel=st.dictionaries(
        st.sampled_from([g.id for g in nem.FUEL_GROUPS]), megawatts, max_size=11
    ),
)


@given(rows)
def test_the_stack_reaches_what_generates_and_what_is_taken(row):
    columns = series.stack([NOW], [row])
    top, bottom = series.ABOVE[-1], series.BELOW[-1]
    if not row.fuel:
        assert math.isnan(columns[f"{top}_top"][0])
        return
    above = sum(max(row.fuel.get(group, 0.0), 0.0) for group in series.ABOVE)
    below = sum(min(row.fuel.get(group, 0.0), 0.0) for group in series.BELOW)
    assert columns[f"{top}_top"][0] == pytest.approx(above, abs=1e-6)
    assert columns[f"{bottom}_low"][0] == pytest.approx(below, abs=1e-6)


@given(rows)
def test_no_area_of_the_stack_is_upside_down(row):
    columns = series.stack([NOW], [row])
    edges = [columns[f"{group}_top"][0] for group in series.ABOVE]
    if row.fuel:
        assert edges == sorted(edges)


def test_a_battery_is_above_when_it_gives_and_below_when_it_takes():
    gives = series.stack([NOW], [Row(fuel={"battery": 50.0})])
    takes = series.stack([NOW], [Row(fuel={"battery": -50.0})])

    assert (gives["battery_top"][0], gives["battery_low"][0]) == (50.0, 0.0)
    assert (takes["battery_top"][0], takes["battery_low"][0]) == (0.0, -50.0)


@given(st.floats(-1000, 17500), st.floats(-1000, 17500))
def test_the_bent_price_axis_keeps_the_order_and_the_sign(one, other):
    low, high = sorted((one, other))

    assert series.bend(low) <= series.bend(high)
    assert math.copysign(1, series.bend(one)) == math.copysign(1, one)


def test_ordinary_prices_stay_readable_beside_the_cap_and_the_floor():
    whole = series.bend(17_500) - series.bend(-1_000)

    assert (series.bend(150) - series.bend(0)) / whole > 0.1


@given(st.lists(st.floats(-1000, 17500), min_size=1, max_size=50))
def test_a_price_axis_has_a_few_labels_that_enclose_ordinary_prices(prices):
    ticks = series.price_ticks(prices)

    assert 2 <= len(ticks) <= 14
    assert len(set(ticks)) == len(ticks)
    assert 0.0 in ticks


def test_wall_time_is_nem_time_whatever_the_offset_of_the_moment():
    same = NOW.astimezone(nem.WEM_ZONE)

    assert series.wall_ms(NOW) == series.wall_ms(same)
    assert series.wall_ms(NOW) / 3_600_000 % 24 == 12


@pytest.mark.parametrize("metric", marks.METRICS.values(), ids=marks.METRICS)
@given(one=st.floats(0.1, 1), other=st.floats(0.1, 1))
def test_a_circles_area_is_its_metric(metric, one, other):
    ratio = (metric.radius_px(one * metric.full) / metric.radius_px(other * metric.full)) ** 2

    assert ratio == pytest.approx(one / other)


def look(power, emissions=None, **more):
    reading = Reading(NOW, power, emissions)
    return marks.mark(facility("A"), reading, LIGHT, in_scope=True, **more)


def test_a_circle_shows_the_metric_that_is_asked_for():
    full = marks.METRICS

    assert look(50.0, 10.0).size == 2 * full["power"].radius_px(50.0)
    assert look(50.0, 10.0, metric="emissions").size == 2 * full["emissions"].radius_px(10.0)
    assert look(50.0, 10.0, metric="factor").size == 2 * full["factor"].radius_px(0.5)
    assert look(50.0, 10.0, metric="capacity").size == 2 * full["capacity"].radius_px(100.0)
    assert look(50.0, metric="emissions").color == LIGHT.no_data


def test_zero_is_hollow_a_load_is_a_ring_and_no_value_is_grey():
    silent = marks.mark(facility("A"), None, LIGHT, in_scope=True)

    assert look(50.0).fill_alpha > 0.5
    assert look(0.0).fill_alpha == 0
    assert look(0.0).line_alpha > 0
    assert 0 < look(-50.0).fill_alpha < look(50.0).fill_alpha
    assert "taken" in look(-50.0).shown
    assert (silent.color, silent.shown) == (LIGHT.no_data, "no data")


def test_a_value_of_an_earlier_interval_says_when():
    assert look(50.0).shown == f"50{numbers.THIN}MW"
    assert look(50.0, newest=False).shown.endswith(" at 12:00")


def test_a_station_outside_the_chosen_region_is_faint_but_there():
    faint = marks.mark(facility("A"), Reading(NOW, 50.0, None), LIGHT, in_scope=False)

    assert 0 < faint.fill_alpha < marks.FAINT


@pytest.mark.parametrize("metric", marks.METRICS)
def test_the_legend_of_sizes_is_drawn_by_the_function_that_draws_the_map(metric):
    measure = marks.METRICS[metric]
    for value in measure.key:
        assert f'r="{measure.radius_px(value):.1f}"' in marks.legend(metric)
        assert measure.text(value) in marks.legend(metric)


def test_the_legend_counts_what_has_no_place_on_the_map():
    assert "3 without coordinates" in marks.legend("power", 3)
    assert "coordinates" not in marks.legend("power", 0)


def test_an_update_patches_the_map_and_a_silent_station_turns_grey():
    store = Store()
    begin(store, "A", "B")
    store.apply(schema.FacilityUpdate(seq=1, values=values(("A", 0, 1.0), ("B", 0, 400.0))))
    store.apply(charts([at(0)]))
    drawn = grid_map.Map(LIGHT)
    drawn.show(store)
    drawn.draw(store.instant(at(0)), {"A", "B"})
    place = drawn.source.data["code"].index
    columns = drawn.source.data
    assert drawn.source.data["shown"][place("B")] == f"400{numbers.THIN}MW"

    store.apply(schema.FacilityUpdate(seq=2, values=values(("A", 8, 100.0))))
    store.apply(charts([at(8)]))
    drawn.draw(store.instant(at(8)), {"A", "B"})

    assert drawn.source.data is columns
    assert drawn.source.data["size"][place("A")] == 2 * marks.METRICS["power"].radius_px(100.0)
    assert drawn.source.data["shown"][place("B")] == "no data"


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_who_comes_second_sees_what_the_first_one_sees_and_a_choice_is_ones_own(mode):
    store = Store()
    begin(store, "A", "B")
    store.apply(schema.FacilityUpdate(seq=1, values=values(("A", 0, 10.0), ("B", 0, 400.0))))
    store.apply(charts([at(0)]))
    first, second = (Session(store, Look(), mode) for _ in range(2))
    looks = [dict(each._map.source.data) for each in (first, second)]
    assert looks[0] == looks[1]
    assert all(len(column) == 2 for column in looks[1].values())

    first._heard({"do": "region", "region": "TAS1"})
    first._heard({"do": "metric", "metric": "capacity"})
    first._heard({"do": "no such thing"})
    assert dict(second._map.source.data) == looks[1]
    third = Session(store, Look(selection=Selection(text="b"), metric="capacity"), mode)
    assert min(third._map.source.data["fill_alpha"]) < marks.FAINT
    assert dict(second._map.source.data) == looks[1]


def test_a_session_that_opens_before_anything_has_come_fills_up():
    store = Store()
    early = Session(store, Look(facility="A", tab="table"), None)
    assert early._map.source.data["code"] == []

    begin(store, "A", "B")
    store.apply(schema.FacilityUpdate(seq=1, values=values(("A", 0, 10.0), ("B", 0, 400.0))))
    store.apply(charts([at(0)]))
    early.pull()

    assert len(early._map.source.data["code"]) == 2
    assert early._panes.detail.card["code"] == "A"
    assert set(early._panes.table.cells) == {"A", "B"}
    assert early._panes.cards.cards[0]["scope"] == nem.NETWORK


def test_a_station_without_coordinates_is_not_drawn_somewhere():
    store = Store()
    begin(store, "A")
    store.facilities += (
        schema.FacilityInfo(
            code="B", name="Nowhere", network="NEM", region="NSW1", fueltech="wind", status="operating"
        ),
    )  # fmt: skip
    drawn = grid_map.Map(LIGHT)
    drawn.show(store)

    assert drawn.source.data["code"] == ["A"]


def test_one_click_opens_the_smallest_station_of_those_beneath_it():
    store = Store()
    begin(store, "A", "B", "C")
    store.apply(
        schema.FacilityUpdate(
            seq=1, values=values(("A", 0, 900.0), ("B", 0, 9.0), ("C", 0, 1.0))
        )
    )
    store.apply(charts([at(0)]))
    drawn = grid_map.Map(LIGHT)
    opened = []
    drawn.on_open(lambda code, beneath: (opened.append((code, beneath)), drawn.choose(code)))
    drawn.show(store)
    drawn.draw(store.instant(at(0)), {"A", "B"})
    place = drawn.source.data["code"].index

    drawn.source.selected.indices = [place("A"), place("C"), place("B")]
    assert opened == [("B", ["A"])]
    assert drawn.source.selected.indices == [place("B")]

    # A click beside all stations, or on one that is out of scope, changes nothing.
    for elsewhere in ([], [place("C")]):
        drawn.source.selected.indices = elsewhere
        assert drawn.source.selected.indices == [place("B")]
    assert len(opened) == 1


def whole(store):
    return Choice(store, Selection())


def test_new_intervals_stream_and_changed_ones_are_patched():
    store = Store()
    store.apply(charts([at(0), at(1)], demand=10.0))
    drawn = Charts()
    drawn.show(store, whole(store))
    source = drawn._stack.source
    columns = source.data

    store.apply(charts([at(1)], demand=11.0))
    store.apply(charts([at(2)], demand=12.0))
    drawn.refresh(store, whole(store), [at(1), at(2)])

    assert source.data is columns
    assert list(source.data["demand"]) == [10.0, 11.0, 12.0]
    assert list(source.data["t"]) == [series.wall_ms(at(i)) for i in range(3)]


def test_a_late_interval_before_the_first_one_redraws_in_order():
    store = Store()
    store.apply(charts([at(1), at(2)], demand=10.0))
    drawn = Charts()
    drawn.show(store, whole(store))
    store.apply(charts([at(0)], demand=9.0))
    drawn.refresh(store, whole(store), [at(0)])

    assert list(drawn._stack.source.data["demand"]) == [9.0, 10.0, 10.0]


def test_a_chart_holds_a_day():
    store = Store()
    drawn = Charts()
    for start in range(0, 600, 50):
        times = [at(start + i) for i in range(50)]
        store.apply(charts(times, demand=1.0))
        drawn.refresh(store, whole(store), times)

    assert len(drawn._stack.source.data["t"]) == 288
    assert drawn._stack.source.data["t"][-1] == series.wall_ms(at(599))


def test_an_interval_that_nobody_reported_breaks_the_line():
    store = Store()
    store.apply(charts([at(0)], demand=1.0))
    store.apply(
        schema.ChartsUpdate(
            seq=2,
            times=(at(1),),
            scopes=(schema.ScopeSeries(scope=nem.NETWORK, demand=(None,), price=(None,)),),
        )
    )
    store.apply(charts([at(2)], demand=1.0))
    drawn = Charts()
    drawn.show(store, whole(store))
    columns = drawn._stack.source.data

    for name in ("demand", "wind_top", "zero"):
        assert [math.isnan(value) for value in columns[name]] == [False, True, False]


def test_the_interval_that_fills_up_is_shaded_and_a_past_one_is_marked():
    store = Store()
    store.apply(charts([at(0), at(1)], demand=1.0, reporting=9))
    drawn = Charts()
    drawn.mark(store, at(1), past=False)
    assert not any(box.visible for box in drawn._unsettled)
    assert not any(line.visible for line in drawn._moments)

    store.apply(charts([at(2)], demand=None, reporting=1))
    drawn.mark(store, at(0), past=True)

    assert {box.left for box in drawn._unsettled if box.visible} == {series.wall_ms(at(1))}
    assert {line.location for line in drawn._moments if line.visible} == {series.wall_ms(at(0))}


def test_an_extreme_price_is_written_beside_its_place_and_an_ordinary_one_is_not():
    rows = [Row(fuel={}, price=price) for price in (50.0, 17_500.0, -1_000.0)]
    times = [at(0), at(1), at(2)]
    ordinary = series.prices(times[:1], {"SA1": rows[:1]})
    wild = series.prices(times, {"SA1": rows})

    assert series.extremes(ordinary)["text"] == ["", ""]
    assert series.extremes(wild)["text"] == ["SA $17,500 at 00:05", "SA \u2212$1,000 at 00:10"]
    assert series.extremes(wild)["y"] == [series.bend(17_500.0), series.bend(-1_000.0)]


def test_only_a_high_price_is_the_highest_and_a_cap_is_marked_where_it_was_reached():
    times = [at(i) for i in range(4)]
    prices = (400.0, 17_500.0, 17_500.0, 900.0)
    found = series.extremes(
        series.prices(times, {"SA1": [Row(fuel={}, price=price) for price in prices]})
    )

    assert found["text"] == ["SA $17,500 at 00:05", ""]


def priced(store, i, price):
    """Let an interval have its price in South Australia, and one of 50 $/MWh in the other regions."""
    scopes = tuple(
        schema.ScopeSeries(scope=code, demand=(1.0,), price=(price if code == "SA1" else 50.0,))
        for code in (nem.NETWORK, *nem.NEM_REGIONS)
    )
    store.apply(schema.ChartsUpdate(seq=i + 1, times=(at(i),), scopes=scopes))


def told(drawn, store, i):
    drawn.refresh(store, whole(store), [at(i)])
    drawn.tell(store, store.row(at(i), nem.NETWORK), nem.NETWORK, at(i))


def test_the_highest_and_the_lowest_price_are_marked_as_they_come():
    store, drawn = Store(), Charts()
    priced(store, 0, 50.0)
    told(drawn, store, 0)
    columns = drawn._extremes.data
    assert columns["text"] == ["", ""]

    priced(store, 1, 17_500.0)
    told(drawn, store, 1)
    assert drawn._extremes.data["text"] == ["SA $17,500 at 00:05", ""]

    priced(store, 2, -1_000.0)
    told(drawn, store, 2)
    assert drawn._extremes.data is columns
    assert columns["text"] == ["SA $17,500 at 00:05", "SA \u2212$1,000 at 00:10"]
    assert columns["t"] == [series.wall_ms(at(1)), series.wall_ms(at(2))]

    priced(store, 3, 60.0)
    told(drawn, store, 3)
    sent = []
    drawn._extremes.on_change("data", lambda attr, old, new: sent.append((attr, old, new)))
    priced(store, 4, 60.0)
    told(drawn, store, 4)
    assert not sent


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (numbers.megawatts(24310.4), "24,310 MW"),
        (numbers.megawatts(1.25), "1.2 MW"),
        (numbers.megawatts(0.0), "0 MW"),
        (numbers.megawatts(-310.0), "\u2212310 MW"),
        (numbers.megawatts(None), "–"),
        (numbers.dollars(-31.0), "\u2212$31.00"),
        (numbers.dollars(17500.0), "$17,500"),
        (numbers.dollars(-0.003), "$0.00"),
        (numbers.dollars(-0.006), "\u2212$0.01"),
        (numbers.dollars(999.994), "$999.99"),
        (numbers.dollars(999.996), "$1,000"),
        (numbers.dollars(-999.996), "\u2212$1,000"),
        (numbers.megawatts(9.94), "9.9 MW"),
        (numbers.megawatts(9.97), "10 MW"),
        (numbers.megawatts(-9.97), "\u221210 MW"),
        (numbers.megawatts(-0.01), "0.0 MW"),
        (numbers.megawatts(-0.0), "0 MW"),
        (numbers.tonnes(99.97), "100 t"),
        (numbers.tonnes(-0.01), "0.0 t"),
        (numbers.share(-0.0001), "0.0 %"),
        (numbers.intensity(-0.001), "0.00 t/MWh"),
        (numbers.intensity(-0.5), "\u22120.50 t/MWh"),
        (numbers.flow(-9.97), "exports 10 MW"),
        (numbers.share(0.4123), "41.2 %"),
        (numbers.share(-0.36), "\u221236.0 %"),
        (numbers.intensity(0.524), "0.52 t/MWh"),
        (numbers.flow(-310.0), "exports 310 MW"),
        (numbers.flow(0.4), "balanced"),
        (numbers.tonnes(145.2), "145 t"),
        (numbers.tonnes(0.04), "0.0 t"),
        (numbers.bare(numbers.megawatts(-310.0)), "\u2212310"),
        (numbers.stamp(NOW), "Sun 01 Mar 12:00"),
        (numbers.flow(None), "–"),
    ],
)
def test_a_number_has_its_unit_and_its_sign(text, expected):
    assert text.replace(numbers.THIN, " ") == expected


@pytest.mark.parametrize(("price", "negative"), [(-0.003, False), (-0.01, True), (0.0, False)])
def test_a_price_is_marked_as_negative_where_it_is_written_so(price, negative):
    card = numbers.card("SA1", Row(fuel={}, price=price), [])

    assert card.negative_price is negative
    assert card.price.startswith(numbers.MINUS) is negative


def test_the_west_has_a_price_of_its_own_and_all_australia_has_none():
    store = Store()
    begin(store, "A")
    west = msgspec.structs.replace(facility("W"), network="WEM", region="WEM")
    store.apply(schema.InitialData(seq=0, source="demo", simulated=True, facilities=(*store.facilities, west), values=values()))  # fmt: skip
    cards = {scope: numbers.card(scope, Row(fuel={}, price=95.0), []) for scope in store.scopes}

    assert list(cards) == [nem.NETWORK, *nem.NEM_REGIONS, "WEM"]
    assert {scope for scope, card in cards.items() if card.note} == {"WEM"}
    assert "does not compare" in cards["WEM"].note
    assert not {"AU", "AUS"} & set(cards)


def test_shares_leave_batteries_and_pumps_out():
    fuels = {
        each.id: each
        for each in numbers.fuel_rows(
            Row(
                fuel={"wind": 60.0, "gas": 40.0, "battery": 30.0, "pumps": -5.0},
                generation=100.0,
            )
        )
    }

    assert fuels["wind"].share == pytest.approx(0.6)
    assert fuels["battery"].share is None
    assert fuels["pumps"].share is None
    assert fuels["solar"].power == "–"


def test_every_region_has_its_outline():
    assert {region.code for region in nem.REGIONS} <= set(geography.states())


@given(st.floats(112, 154), st.floats(-44, -10))
def test_the_projection_can_be_undone(longitude, latitude):
    x, y = geography.mercator(longitude, latitude)
    back = math.degrees(2 * math.atan(math.exp(y / 6_378_137.0)) - math.pi / 2)

    assert math.degrees(x / 6_378_137.0) == pytest.approx(longitude)
    assert back == pytest.approx(latitude)


def test_both_themes_know_every_fuel_and_region_by_the_same_name():
    for each in PALETTES.values():
        assert set(each.regions) == set(nem.NEM_REGIONS)
        assert len({each.fuel(group.id) for group in nem.FUEL_GROUPS}) == len(nem.FUEL_GROUPS)


@pytest.mark.parametrize("colours", ["usual", "distinct"])
def test_a_picture_for_a_report_has_the_light_colour_of_all_that_is_drawn(colours):
    looks, own = pictures.looks("dark", colours), palette("dark", colours)
    light = palette("light", colours)

    for group in nem.FUEL_GROUPS:
        assert looks["swap"][own.fuel(group.id)] == light.fuel(group.id)
    assert looks["swap"][own.panel] == looks["ground"] == light.panel
    assert looks["swap"][own.ink] == light.ink
    assert pictures.looks("light", colours)["swap"] == {}


def test_the_tabs_sign_has_the_shares_of_what_generates_from_the_bottom_of_the_stack():
    rows = numbers.fuel_rows(
        Row(fuel={"wind": 60.0, "gas": 39.9, "solar": 0.1, "battery": 30.0}, generation=100.0)
    )

    assert pictures.mix(rows) == [["gas", 0.4], ["wind", 0.6]]
    assert pictures.mix(numbers.fuel_rows(Row(fuel={}))) == []
