"""What a reader chooses: filters and their counts, the address, what an action does, files of what is shown."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_store import at, charts, values

from energydash import nem, schema
from energydash.ui import actions, address, backfill, sheets, station, words
from energydash.ui.address import Look
from energydash.ui.selection import Choice, Selection, count
from energydash.ui.store import Store


def plant(code, region="NSW1", fueltech="wind", status="operating", capacity=100.0, name=None):
    return schema.FacilityInfo(
        code=code, name=name or f"Station {code}", network="NEM", region=region, fueltech=fueltech,
        status=status, capacity=capacity, longitude=149.0, latitude=-33.0,
    )  # fmt: skip


PLANTS = (
    plant("BAYSW", fueltech="coal_black", capacity=2640.0, name="Bayswater"),
    plant("MACARTH", region="VIC1", capacity=420.0, name="Macarthur"),
    plant("HORN1", region="SA1", capacity=102.0, name="Hornsdale 1"),
    plant("HPR", region="SA1", fueltech="battery", capacity=150.0, name="Hornsdale Power Reserve"),
    plant("OLD", status="retired", fueltech="gas_ocgt", capacity=None),
)  # fmt: skip


def store_of(*plants):
    store = Store()
    store.apply(
        schema.InitialData(seq=0, source="demo", simulated=True, facilities=plants, values=values())
    )  # fmt: skip
    return store


def chosen(**more):
    return [each.code for each in PLANTS if Selection(**more).takes(each)]


@pytest.mark.parametrize(
    ("selection", "codes"),
    [
        ({}, ["BAYSW", "MACARTH", "HORN1", "HPR", "OLD"]),
        ({"region": "SA1"}, ["HORN1", "HPR"]),
        ({"fuels": frozenset({"wind", "battery"})}, ["MACARTH", "HORN1", "HPR"]),
        ({"statuses": frozenset({"retired"})}, ["OLD"]),
        ({"least": 150.0}, ["BAYSW", "MACARTH", "HPR"]),
        ({"least": 150.0, "most": 500.0}, ["MACARTH", "HPR"]),
        ({"text": "horns"}, ["HORN1", "HPR"]),
        ({"text": "HORNSDALE battery"}, ["HPR"]),
        ({"text": "south australia wind"}, ["HORN1"]),
        ({"text": "nowhere"}, []),
    ],
)
def test_a_station_passes_where_it_passes_each_filter(selection, codes):
    assert chosen(**selection) == codes


selections = st.builds(
    Selection,
    region=st.sampled_from([nem.NETWORK, "NSW1", "SA1"]),
    fuels=st.frozensets(st.sampled_from(["wind", "solar", "coal_black", "battery"])),
    statuses=st.frozensets(st.sampled_from(["operating", "retired"])),
    least=st.one_of(st.none(), st.floats(0, 500)),
    text=st.sampled_from(["", "wind", "horn", "zz"]),
)


@given(selections)
def test_an_options_count_is_what_choosing_it_alone_would_show(selection):
    counts = count(PLANTS, selection)

    assert counts.of == len(PLANTS)
    assert counts.shown == sum(selection.takes(each) for each in PLANTS)
    for fuel, number in counts.fuels.items():
        alone = Selection(**{**fields(selection), "fuels": frozenset({fuel})})
        assert number == sum(alone.takes(each) for each in PLANTS)
    for status, number in counts.statuses.items():
        alone = Selection(**{**fields(selection), "statuses": frozenset({status})})
        assert number == sum(alone.takes(each) for each in PLANTS)


def fields(selection):
    return {name: getattr(selection, name) for name in selection.__struct_fields__}


def test_sums_under_a_filter_are_those_of_the_stations_that_pass():
    store = store_of(*PLANTS)
    store.apply(
        schema.FacilityUpdate(
            seq=1,
            values=schema.FacilityValues(
                times=(at(0),), at=(0, 0, 0, 0), facility_id=("BAYSW", "MACARTH", "HORN1", "HPR"),
                power=(2000.0, 200.0, 50.0, -30.0), emissions=(150.0, 0.0, None, 0.0),
            ),
        )
    )  # fmt: skip
    store.apply(charts([at(0), at(1)], demand=7000.0))
    everything = Choice(store, Selection(most=5000.0)).row(at(0))
    south = Choice(store, Selection(region="SA1", text="hornsdale")).row(at(0))

    assert everything.fuel == {"coal_black": 2000.0, "wind": 250.0, "battery": -30.0}
    assert everything.generation == 2250.0
    assert everything.renewable_share == pytest.approx(250 / 2250)
    assert everything.emissions == 150.0
    assert everything.emissions_intensity == pytest.approx(150 / (2250 * 5 / 60))
    assert everything.demand is None
    assert everything.reporting == 4
    assert (south.fuel, south.reporting) == ({"wind": 50.0, "battery": -30.0}, 2)
    assert Choice(store, Selection(text="hornsdale")).row(at(1)).fuel == {}


def test_a_region_alone_has_the_servers_own_sums():
    store = store_of(*PLANTS)
    store.apply(charts([at(0)], demand=123.0))

    assert Choice(store, Selection(region="SA1")).row(at(0)) is store.row(at(0), "SA1")
    assert Choice(store, Selection(fuels=frozenset({"wind"}))).row(at(0)).demand is None


moments = st.integers(0, 500).map(at)
looks = st.builds(
    Look,
    selection=st.builds(
        Selection,
        region=st.sampled_from([nem.NETWORK, *nem.NEM_REGIONS]),
        fuels=st.frozensets(st.sampled_from(sorted(nem.FUEL_GROUP_BY_ID)), max_size=4),
        statuses=st.frozensets(st.sampled_from(["operating", "retired", "committed"])),
        least=st.one_of(st.none(), st.integers(0, 9999).map(float)),
        most=st.one_of(st.none(), st.integers(0, 9999).map(float)),
        text=st.text(max_size=60).map(str.strip).filter(lambda text: "\x00" not in text),
    ),
    tab=st.sampled_from(address.TABS),
    metric=st.sampled_from(address.METRIC_IDS),
    shade=st.sampled_from(address.SHADE_IDS),
    facility=st.from_regex(r"[A-Z0-9/#&]{0,12}", fullmatch=True),
    moment=st.one_of(st.none(), moments),
    theme=st.sampled_from(["", "light", "dark"]),
    colours=st.sampled_from(["", "usual", "distinct"]),
)


@given(looks)
def test_an_address_brings_back_what_was_looked_at(look):
    again, notices = address.from_query(address.to_query(look))

    assert again == look
    assert notices == []


def test_what_is_as_by_default_is_not_in_the_address():
    assert address.to_query(Look()) == ""
    assert address.to_query(Look(facility="A", tab="table")) == "tab=table&facility=A"


@pytest.mark.parametrize(
    "query",
    ["region=XX", "fuels=wind,coke", "mw=many", "mw=5", "mw=-1-5", "mw=nan-", "tab=9", "metric=x", "shade=x", "at=noon", "theme=pink", "colours=pink"],
)  # fmt: skip
def test_what_makes_no_sense_in_an_address_is_left_out_and_said(query):
    look, notices = address.from_query(f"?{query}&q=ok")

    assert look == Look(selection=Selection(text="ok"))
    assert len(notices) == 1
    assert query.partition("=")[0] in notices[0]


def test_a_station_or_a_time_that_is_not_there_is_left_out_and_said():
    look = Look(facility="GONE", moment=at(0))
    times = [at(5), at(6)]

    fitted, notices = address.fit(look, {"A"}, times)
    assert fitted == Look()
    assert "GONE" in notices[0]
    assert len(notices) == 2
    # Before anything has come, nothing is known to be missing.
    assert address.fit(look, {}, []) == (look, [])
    assert address.fit(Look(facility="A", moment=at(5)), {"A"}, times)[1] == []


@given(st.text(max_size=300))
def test_no_address_breaks_the_page(query):
    look, _ = address.from_query(query)

    assert isinstance(look, Look)


def test_back_undoes_choices_and_not_letters_or_minutes():
    look = Look()

    assert address.is_step(look, actions.after(look, {"do": "region", "region": "SA1"}))
    assert address.is_step(look, actions.after(look, {"do": "open", "code": "A"}))
    assert not address.is_step(look, actions.after(look, {"do": "text", "text": "wi"}))
    assert not address.is_step(
        look, actions.after(look, {"do": "time", "moment": 1_700_000_000})
    )


@pytest.mark.parametrize(
    ("action", "query"),
    [
        ({"do": "region", "region": "SA1"}, "region=SA1"),
        ({"do": "fuels", "fuels": ["wind", "solar"]}, "fuels=solar,wind"),
        ({"do": "fuels", "fuels": [g.id for g in nem.FUEL_GROUPS]}, ""),
        ({"do": "statuses", "statuses": ["retired"]}, "status=retired"),
        ({"do": "range", "least": "100", "most": ""}, "mw=100-"),
        ({"do": "text", "text": " bay "}, "q=bay"),
        ({"do": "tab", "tab": "table"}, "tab=table"),
        ({"do": "metric", "metric": "emissions"}, "metric=emissions"),
        ({"do": "shade", "shade": "price"}, "shade=price"),
        ({"do": "open", "code": "A"}, "facility=A"),
        ({"do": "time", "moment": int(at(1).timestamp()) + 7}, "at=2026-03-01T00:05"),
        ({"do": "time", "moment": 0}, ""),
        ({"do": "theme", "theme": "dark"}, "theme=dark"),
        ({"do": "colours", "colours": "distinct"}, "colours=distinct"),
    ],
)
def test_an_action_changes_what_it_names(action, query):
    assert address.to_query(actions.after(Look(), action)) == query


@pytest.mark.parametrize(
    "action",
    [
        {"do": "fly"}, {"do": "region", "region": "XX"}, {"do": "region"}, {"do": "tab", "tab": ["map"]},
        {"do": "fuels", "fuels": "wind"}, {"do": "fuels", "fuels": ["x"] * 1000}, {"do": "range", "least": "a", "most": "b"},
        {"do": "time", "moment": 10**18}, {"do": "time", "moment": "now"}, {"do": "metric", "metric": None},
        {"do": "shade", "shade": ["price"]}, {"do": "shade"},
    ],
)  # fmt: skip
def test_an_action_that_makes_no_sense_changes_nothing(action):
    look = Look(facility="A")

    assert actions.after(look, action) == look


def test_clearing_takes_one_filter_or_all_and_leaves_the_rest():
    look = Look(
        selection=Selection(region="SA1", fuels=frozenset({"wind"}), least=5.0, text="x"),
        tab="table",
    )
    one = actions.after(look, {"do": "clear", "field": "capacity"})
    everything = actions.after(look, {"do": "clear", "field": ""})

    assert (one.selection.least, one.selection.text) == (None, "x")
    assert everything == Look(tab="table")


def test_the_chips_name_every_filter_that_is_on():
    store = store_of(*PLANTS)
    selection = Selection(
        region="SA1", fuels=frozenset({"wind"}), statuses=frozenset({"operating"}), least=5.0, text="h"
    )  # fmt: skip
    shown = words.filters(Choice(store, selection))

    assert [name for name, _ in shown["active"]] == ["region", "fuels", "statuses", "capacity", "text"]  # fmt: skip
    assert shown["counts"] == {"shown": 1, "of": 5}
    assert words.filters(Choice(store, Selection()))["active"] == []


def test_a_search_finds_names_that_begin_so_first():
    hits = words.hits(Choice(store_of(*PLANTS, plant("X", name="New Bay")), Selection(text="bay")))  # fmt: skip

    assert [name for _, name, *_ in hits] == ["Bayswater", "New Bay"]
    assert words.hits(Choice(store_of(*PLANTS), Selection())) == []


def read(sheet):
    """The line about the whole, and the rows by column."""
    head, *lines = sheet.text.splitlines()
    return head, list(csv.DictReader(lines))


def shown_store():
    store = store_of(*PLANTS, plant("EVIL", name="=1+1"))
    store.apply(charts([at(0), at(1)], demand=50.0))
    store.apply(
        schema.FacilityUpdate(seq=1, values=values(("BAYSW", 0, 2000.0), ("BAYSW", 1, 1320.0)))
    )
    return store  # fmt: skip


def test_the_file_of_stations_has_a_row_for_each_that_is_shown_and_says_what_was_chosen():
    store = shown_store()
    look = Look(selection=Selection(region="NSW1"), moment=at(1))
    choice = Choice(store, look.selection)
    sheet = sheets.stations(store, look, choice.stations, store.instant(at(1)))
    head, rows = read(sheet)

    assert sheet.name == "energydash-stations-20260301T0005.csv"
    assert head.startswith("# energydash stations; source: demo, simulated; interval: 2026-03-01T00:05:00+10:00;")  # fmt: skip
    assert head.endswith("rows: 3; filter: region=NSW1&at=2026-03-01T00:05")
    assert len(rows) == choice.counts.shown == 3
    assert float(rows[0]["power_mw"]) == 1320.0
    assert float(rows[0]["capacity_factor"]) == 0.5
    assert rows[0]["time"] == "2026-03-01T00:05:00+10:00"
    # What is not known is empty, never zero; what a spreadsheet would run is text.
    assert (rows[1]["power_mw"], rows[2]["name"]) == ("", "'=1+1")


def test_the_file_of_the_day_has_a_line_for_each_interval_with_its_offset():
    store = shown_store()
    _, rows = read(sheets.series(store, Look(), store.rows("NEM")))

    assert [row["time"] for row in rows] == ["2026-03-01T00:00:00+10:00", "2026-03-01T00:05:00+10:00"]  # fmt: skip
    assert {"wind_mw", "demand_mw", "price_aud_per_mwh", "renewable_share"} <= rows[0].keys()
    assert float(rows[0]["demand_mw"]) == 50.0


def test_the_file_of_a_station_has_its_day():
    store = shown_store()
    sheet = sheets.station(store, Look(facility="BAYSW"), PLANTS[0])
    _, rows = read(sheet)

    assert "BAYSW" in sheet.name
    assert [float(row["power_mw"]) for row in rows] == [2000.0, 1320.0]
    assert [row["emissions_t"] for row in rows] == ["", ""]


def test_no_name_begins_a_line_of_a_file_or_a_formula_in_its_first_one():
    store = store_of(plant("A\n=1+1"))
    store.source = "s\r\n=2+2,=3+3;\u2028@x"
    store.apply(charts([at(0)], demand=-0.00001))
    sheet = sheets.station(store, Look(facility="A\n=1+1"), store.facilities[0])
    lines = sheet.text.split("\n")

    assert len(lines) == len(store.times) + 3
    assert lines[0].startswith("# energydash A =1+1; source: s =2+2,'=3+3; '@x")
    assert "=" not in sheet.name
    # A negative zero is none.
    assert "-0" not in sheets.series(store, Look(), store.rows("NEM")).text.split("\n")[2][25:]


def test_a_stations_pane_tells_its_facts_and_its_day():
    store = shown_store()
    card = station.card(store, PLANTS[0], store.instant(at(1)), [PLANTS[1]])
    facts = {fact.id: fact.text for fact in card.facts}

    assert (card.name, card.fuel, card.share) == ("Bayswater", "coal_black", 0.5)
    assert facts["region"] == "New South Wales (NSW1)"
    assert facts["emissions"] == "–"
    assert (card.day.power, card.day.at) == ((2000.0, 1320.0), 1)
    assert card.others == (("MACARTH", "Macarthur"),)


def test_a_station_that_fell_silent_says_from_when_its_value_is():
    store = shown_store()
    store.apply(charts([at(2), at(40)]))

    assert "last value" in station.card(store, PLANTS[0], store.instant(at(2))).when
    silent = station.card(store, PLANTS[0], store.instant(at(40)))
    assert silent.power == "–"
    assert "no data" in silent.when


def test_the_neighbours_go_round_by_name():
    def beside(code, step):
        return station.neighbour(PLANTS, code, step)

    names = ["BAYSW", "HORN1", "HPR", "MACARTH", "OLD"]
    assert [beside(code, 1) for code in names] == [*names[1:], names[0]]
    assert [beside(code, -1) for code in names] == [names[-1], *names[:-1]]
    assert beside("elsewhere", 1) == "BAYSW"
    assert station.neighbour([], "BAYSW", 1) == ""


def test_the_time_says_how_long_ago_it_is():
    assert words.moment(at(0), at(31), past=True).endswith("NEM time, 2 h 35 min ago")
    assert words.moment(at(31), at(31), past=False) == "Sun 01 Mar 02:35 NEM time"


def test_a_stations_past_stands_beside_the_servers_websocket():
    base = "://x.example:8000"

    assert (
        backfill.address(f"ws{base}/ws/realtime", "A") == f"http{base}/api/facilities/A/history"
    )
    assert backfill.address(f"wss{base}/grid/ws/realtime", "W/HOE#1") == f"https{base}/grid/api/facilities/W%2FHOE%231/history"  # fmt: skip


def test_what_is_missing_here_and_not_there_is_asked_for_once():
    store = store_of(*PLANTS)
    gaps = backfill.Gaps()
    assert gaps.due(store) == []
    store.apply(charts([at(i) for i in range(6)], reporting=1))
    assert gaps.due(store) == ["BAYSW", "MACARTH", "HPR", "HORN1", "OLD"]

    store.apply(
        schema.FacilityUpdate(seq=1, values=values(*[("BAYSW", i, 1.0) for i in (0, 1)]))
    )
    assert set(gaps.due(store)) == {each.code for each in PLANTS}
    assert gaps.due(store) == []
    store.apply(schema.FacilityUpdate(seq=1, values=values(("BAYSW", 2, 1.0))))
    # Of the one that is shown more may be on its way still: the next one says that it is over.
    store.apply(charts([at(6)], reporting=5))
    assert gaps.due(store) == ["BAYSW", "MACARTH", "HPR", "HORN1", "OLD"]


def test_what_a_burst_passed_over_is_asked_for_at_once():
    codes = [each.code for each in PLANTS]
    store = store_of(*PLANTS)
    gaps = backfill.Gaps()
    store.apply(
        schema.FacilityUpdate(seq=1, values=values(*[(code, 0, 1.0) for code in codes]))
    )
    store.apply(charts([at(0)], reporting=len(codes)))
    gaps.due(store)
    assert gaps.due(store) == []

    # Two intervals in one tick: the stream tells the newest values alone.
    store.apply(
        schema.FacilityUpdate(seq=2, values=values(*[(code, 2, 1.0) for code in codes]))
    )
    store.apply(charts([at(1), at(2)], reporting=len(codes)))
    assert set(gaps.due(store)) == set(codes)
    assert gaps.due(store) == []


def test_a_correction_of_an_earlier_interval_is_asked_for():
    store = store_of(*PLANTS)
    store.apply(charts([at(i) for i in range(6)], reporting=0))
    gaps = backfill.Gaps()
    assert gaps.due(store)
    assert gaps.due(store) == []

    store.apply(charts([at(1)], reporting=0))
    assert gaps.due(store) == []
    store.apply(charts([at(1)], reporting=0, fuel=11.0))
    assert len(gaps.due(store)) == len(PLANTS)
    assert gaps.due(store) == []
