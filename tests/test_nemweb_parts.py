"""AEMO's forms, read apart from any server: listings, records, zips, the sums and the timing."""

import csv
import io
import math
import random
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import nemweb_tree as tree
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nemweb_server import listing

from energydash import nem, schema
from energydash.errors import SourceError
from energydash.sources.catalogue import parse_facilities, unknowns
from energydash.sources.nemweb import answers, mms, packing, reading
from energydash.sources.nemweb.catalogue import catalogue, encoded, parse_list
from energydash.sources.nemweb.facts import facts
from energydash.sources.nemweb.listing import (
    archives,
    file_names,
    newest_of_each,
    published,
    within,
)
from energydash.sources.nemweb.timing import Awaited
from energydash.sources.parse import parse_data

T = tree.at("2026-03-01T12:00")
PRICE = ("DISPATCH", "PRICE")
needs_real = pytest.mark.skipif(
    not tree.REAL.exists(), reason="the real sample files are not here"
)

# --- listings ----------------------------------------------------------------------------------------


def test_a_listing_gives_its_files_and_neither_folders_nor_what_is_no_file_name():
    page = (
        '<pre><A HREF="/Reports/">[To Parent Directory]</A><br> <a href="DUPLICATE/">d</a>'
        '<A href="PUBLIC_A_1.zip">x</A> <A HREF="/REPORTS/CURRENT/PUBLIC_A_1.zip?C=N">again</A>'
        "<a href='https://elsewhere.example/evil/PUBLIC%5FB.CSV'>b</a><a>no link</a>"
        '<a href="../../../etc/passwd">p</a><a href="/x/..%2f..%2fboot.zip">up</a><a href="/x/a%5Cb.zip">b</a>'
    )

    assert file_names(page) == ("PUBLIC_A_1.zip", "PUBLIC_B.CSV", "boot.zip")


@given(st.lists(st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_.#-]{0,30}\.(zip|CSV)\Z"), unique=True))
def test_every_file_that_a_server_lists_is_found_in_its_order(names):
    names.sort()

    assert file_names(listing("Reports/Current/X/", names).decode().replace("#", "%23")) == tuple(names)  # fmt: skip


@given(st.text(max_size=300))
def test_no_page_at_all_breaks_the_reader_or_yields_a_path(page):
    for name in file_names(page):
        assert "/" not in name
        assert "\\" not in name
        assert not name.startswith(".")


def test_of_several_files_of_a_label_the_last_published_counts():
    names = ["PUBLIC_X_202603010005_0000000099.zip", "PUBLIC_X_202603010005_100.zip", "PUBLIC_X_202603010010_7.zip"]  # fmt: skip

    assert newest_of_each(names, "PUBLIC_X") == {
        tree.at("2026-03-01T00:05"): names[1],
        tree.at("2026-03-01T00:10"): names[2],
    }


@given(
    st.lists(st.tuples(st.integers(0, 600), st.integers(1, 3))),
    st.integers(0, 600), st.none() | st.integers(0, 600), st.sampled_from(["PUBLIC_X", "public_x"]),
)  # fmt: skip
def test_the_names_within_a_window_say_of_it_what_all_names_say(files, first, last, prefix):
    start = tree.at("2026-02-27T23:00")
    first = start + first * nem.INTERVAL
    last = None if last is None else start + last * nem.INTERVAL
    names = [
        f"{prefix}_{start + n * nem.INTERVAL:%Y%m%d%H%M}_{serial}.zip" for n, serial in files
    ]
    names += ["PUBLIC_X_20260301.zip", "PUBLIC_X_LEGACY.zip", "PUBLIC_X.zip"]

    every = newest_of_each(names, "PUBLIC_X")
    found = newest_of_each(within(names, "PUBLIC_X", first, last), "PUBLIC_X")

    assert max(found, default=None) == max(every, default=None)
    wanted = {t: n for t, n in every.items() if t >= first and (last is None or t <= last)}
    assert found.items() >= wanted.items()
    assert len(found) <= len(wanted) + 1


@pytest.mark.parametrize(
    "name",
    [
        "PUBLIC_Y_202603010005_1.zip",
        "PUBLIC_X_202613010005_1.zip",
        "PUBLIC_X_20260301.zip",
        "PUBLIC_X_202603010005.zip",
        "PUBLIC_X_202603010005_1.zip.part",
    ],
)
def test_a_name_of_another_form_is_no_interval(name):
    assert published(name, "PUBLIC_X") is None


def test_names_are_known_in_any_case_and_with_seconds():
    assert published("public_x_202603010005_1.ZIP", "PUBLIC_X").label == tree.at("2026-03-01T00:05")  # fmt: skip
    assert published("PUBLIC_X_20260301003000_1.zip", "PUBLIC_X").label == tree.at("2026-03-01T00:30")  # fmt: skip
    assert list(archives(["PUBLIC_X_20260301.zip", "PUBLIC_X_20261301.zip", "Y_20260301.zip"], "PUBLIC_X").values()) == ["PUBLIC_X_20260301.zip"]  # fmt: skip


@needs_real
def test_a_real_listing_is_read_whole():
    page = (tree.REAL / "nemweb" / "dispatch_scada_dirlisting.html").read_text()

    names = file_names(page)

    assert len(names) == page.count(".zip</A>") > 500
    labels = sorted(newest_of_each(names, "PUBLIC_DISPATCHSCADA"))
    assert len(labels) == len(names)
    assert {b - a for a, b in pairwise(labels)} == {nem.INTERVAL}


# --- records -----------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
COLUMNS = st.lists(st.from_regex(r"\A[A-Z][A-Z0-9_]{0,9}\Z"), min_size=1, max_size=6, unique=True)  # fmt: skip


@st.composite
def reports(draw):
    """A report of several tables whose D lines are mixed, and what each table holds by column."""
    names = draw(st.lists(st.sampled_from(["PRICE", "REGIONSUM", "LINK", "CONSTRAINT"]), min_size=1, unique=True))  # fmt: skip
    lines, tables = [], {}
    for name in names:
        columns = draw(COLUMNS)
        rows = draw(st.lists(st.lists(TEXT, min_size=len(columns), max_size=len(columns)), max_size=5))  # fmt: skip
        tables["DISPATCH", name] = (columns, rows)
        lines.append(("I", "DISPATCH", name, "3", *columns))
        lines += [("D", "DISPATCH", name, "3", *row) for row in rows]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=draw(st.sampled_from(["\n", "\r\n"])))
    writer.writerows([("C", "NEMP.WORLD"), *lines, ("C", "END OF REPORT", len(lines) + 2)])
    return out.getvalue().encode(), tables


@given(reports(), st.randoms(use_true_random=False))
def test_what_is_wanted_of_a_report_is_found_whatever_else_is_in_it(made, chance):
    content, tables = made
    wanted = {
        table: tuple(chance.sample(columns, chance.randint(1, len(columns))))
        for table, (columns, _) in tables.items()
        if chance.random() < 0.7
    }

    found = mms.rows(content, {t: mms.Columns(names, ("NOBODY HAS THIS",)) for t, names in wanted.items()})  # fmt: skip

    assert found == {
        table: [(*(row[tables[table][0].index(name)] for name in names), "") for row in tables[table][1]]
        for table, names in wanted.items()
    }  # fmt: skip


@given(st.binary(max_size=300))
def test_no_bytes_at_all_break_the_reader_of_records(content):
    with pytest.raises(SourceError):
        mms.rows(content, {PRICE: mms.Columns(("RRP",))})


@given(reports(), st.integers(0, 10_000))
def test_a_report_that_is_cut_off_anywhere_is_refused(made, at):
    content, _ = made
    whole = content.rstrip()
    cut = whole[: at % (whole.rindex(b"C,END") + 5)]

    with pytest.raises(SourceError, match=r"no end|no sense"):
        mms.rows(cut, {PRICE: mms.Columns(())})


def test_a_new_column_a_new_order_and_a_new_version_cost_nothing():
    old = tree.report((*PRICE, 5, ("SETTLEMENTDATE", "RRP"), [("x", 1), ("y", 2)]))
    new = tree.report(
        (*PRICE, 6, ("NEW", "RRP", "SETTLEMENTDATE"), [(9, 1, "x"), (9, 2, "y")]),
        ("DISPATCH", "NEWTABLE", 1, ("A",), [(1,)]),
    )
    wanted = {PRICE: mms.Columns(("SETTLEMENTDATE", "RRP"))}

    assert mms.rows(old, wanted) == mms.rows(new, wanted) == {PRICE: [("x", "1"), ("y", "2")]}


def test_two_versions_of_a_table_in_one_report_are_each_read_by_their_own_header():
    both = tree.report((*PRICE, 2, ("A", "RRP"), [(0, 1)]), (*PRICE, 3, ("RRP", "A"), [(2, 0)]))

    assert mms.rows(both, {PRICE: mms.Columns(("RRP",))}) == {PRICE: [("1",), ("2",)]}


def test_a_column_that_is_gone_is_named():
    gone = tree.report((*PRICE, 5, ("SETTLEMENTDATE", "REGIONID"), []))

    with pytest.raises(SourceError, match=r"DISPATCH\.PRICE has no column RRP any more"):
        mms.rows(gone, {PRICE: mms.Columns(("RRP",))})


@pytest.mark.parametrize("text", ["x", "nan", "inf", "1e999", "2026/13/01"])
def test_a_number_or_a_time_that_makes_no_sense_is_refused(text):
    with pytest.raises(SourceError, match=r"makes no sense|should be"):
        mms.number(text)
    with pytest.raises(SourceError, match="makes no sense"):
        mms.moment(text)


def test_times_are_nem_time_on_the_days_when_clocks_change_elsewhere():
    """AEMO's time knows no daylight saving: each of these days has 288 labels, none twice."""
    for day in ("2025-10-05", "2026-04-05"):
        labels = [mms.moment(tree.stamp(t)) for t in tree.labels(tree.at(f"{day}T00:05"), 288)]
        assert len({*labels}) == 288
        assert {t.utcoffset() for t in labels} == {timedelta(hours=10)}
        assert labels[-1] - labels[0] == timedelta(hours=23, minutes=55)


# The daily files here are of no use: their table was renamed when they were made smaller.
@needs_real
@pytest.mark.parametrize(
    "path", sorted(tree.REAL.glob("nemweb/PUBLIC_[AN]*.zip")), ids=lambda p: p.name[-45:]
)
def test_each_real_file_is_read(path):
    wanted = {
        ("DISPATCH", "PRICE"): mms.Columns(("RRP",)),
        ("DISPATCH", "REGIONSUM"): mms.Columns(("TOTALDEMAND",)),
        ("DISPATCH", "INTERCONNECTORRES"): mms.Columns(("MWFLOW",)),
        ("DISPATCH", "UNIT_SCADA"): mms.Columns(("SCADAVALUE",)),
        ("ROOFTOP", "ACTUAL"): mms.Columns(("POWER",)),
        ("DISPATCH", "UNIT_SOLUTION"): mms.Columns(("DUID", "TOTALCLEARED")),
    }
    for content in packing.reports(path.read_bytes()):
        found = mms.rows(content, wanted)
        assert sum(map(len, found.values())) > 100
        for table, rows in found.items():
            for row in rows:
                assert mms.number(row[-1]) is not None, table


# --- zips --------------------------------------------------------------------------------------------


def test_a_zip_within_a_zip_is_opened_and_a_broken_one_left_out(caplog):
    good = tree.zipped({"A.CSV": b"first"})
    packed = tree.zipped({"2.zip": b"PK broken", "1.zip": good, "3.CSV": b"last"})

    assert [*packing.reports(packed)] == [b"first", b"last"]
    assert "2.zip in an archive is left out" in caplog.text


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_zip_is_refused(cut):
    packed = tree.zipped({"A.CSV": random.Random(1).randbytes(2000)})

    with pytest.raises(SourceError, match="a zip is broken"):
        [*packing.reports(packed[: int(len(packed) * cut)])]


def test_a_zip_that_would_burst_is_refused_before_it_is_opened():
    with pytest.raises(SourceError, match="larger than any"):
        [*packing.reports(tree.zipped({"A.CSV": bytes(packing._MOST_BYTES + 1)}))]


# --- values ------------------------------------------------------------------------------------------


def market_report(*, prices=(), demands=(), links=()):
    head = ("SETTLEMENTDATE", "RUNNO", "INTERVENTION")
    return tree.report(
        (*PRICE, 5, (*head, "REGIONID", "RRP"), prices),
        ("DISPATCH", "REGIONSUM", 9, (*head, "REGIONID", "TOTALDEMAND"), demands),
        ("DISPATCH", "INTERCONNECTORRES", 3, (*head, "INTERCONNECTORID", "MWFLOW", "IMPORTLIMIT", "EXPORTLIMIT"), links),
    )  # fmt: skip


def test_where_aemo_intervened_prices_are_those_without_and_flows_those_with_it():
    t = tree.stamp(T)
    content = market_report(
        prices=[(t, 1, 1, "SA1", 300), (t, 1, 0, "SA1", 80)],
        demands=[(t, 1, 0, "SA1", 1000), (t, 1, 1, "SA1", 1100)],
        links=[(t, 1, 1, "V-SA", 50, -200, 300), (t, 1, 0, "V-SA", 60, -200, 300)],
    )

    assert reading.read_market(content)[T] == {
        ("price", "SA1"): 80, ("demand", "SA1"): 1100, ("flow", "V-SA"): 50,
        ("flow_import_limit", "V-SA"): -200, ("flow_export_limit", "V-SA"): 300,
    }  # fmt: skip


def test_an_empty_field_is_no_value_and_not_zero():
    t = tree.stamp(T)

    assert reading.read_market(market_report(prices=[(t, 1, 0, "SA1", "")])) == {}
    assert reading.read_units(tree.scada_report(T, ("BW01",), lambda *_: "")) == {}


def test_of_rooftop_solar_only_measured_regions_count():
    values = reading.read_rooftop(tree.rooftop_report(T))

    assert {where for _, where in values[T]} == {*nem.NEM_REGIONS}


@pytest.mark.parametrize("power", [None, 0.0, 12.5, -3.0])
@pytest.mark.parametrize(
    ("dispatch", "fuel", "factor"),
    [
        ("GENERATOR", "coal_black", 0.9),
        ("GENERATOR", "coal_black", None),
        ("GENERATOR", "wind", None),
        ("BIDIRECTIONAL", "battery", 0.0),
        ("LOAD", "pumps", None),
    ],
)
def test_the_sums_of_a_unit(power, dispatch, fuel, factor):
    unit = schema.Unit(code="U", fueltech_id=fuel, dispatch_type=dispatch, emissions_factor_co2=factor)  # fmt: skip
    values = {T: {} if power is None else {"U": power}}

    raw = answers.unit_answer([unit], values, "5m")

    if power is None:
        assert raw is None
        return
    found = {m.metric: m.results for m in parse_data(raw).data}
    signed = -abs(power) if dispatch == "LOAD" else power
    assert found["power"][0].data == ((T, signed),)
    if fuel == "coal_black" and factor is None:
        assert found["emissions"] == ()
    else:
        assert found["emissions"][0].data == ((T, pytest.approx(max(signed, 0) / 12 * (factor or 0))),)  # fmt: skip
    assert all(math.copysign(1, value) == 1 for m in found.values() for s in m for _, value in s.data if value == 0)  # fmt: skip


def test_the_networks_price_is_the_plain_mean_and_some_regions_are_not_the_network():
    values = {
        T: {("price", "SA1"): 10.0, ("price", "NSW1"): 30.0, ("demand", "SA1"): 5.0, ("demand", "NSW1"): 7.0},
        T + nem.INTERVAL: {("price", "SA1"): 10.0, ("demand", "SA1"): 5.0},
    }  # fmt: skip

    found = {m.metric: m.results[0].data for m in parse_data(answers.network_answer(values, "5m")).data}  # fmt: skip

    assert found == {"price": ((T, 20.0),), "demand": ((T, 12.0),)}


# --- the catalogue -----------------------------------------------------------------------------------


def test_the_bundled_facts_are_whole():
    stations = {}
    for fact in facts().values():
        assert fact.region in nem.NEM_REGIONS
        assert fact.fueltech in nem.FUELTECHS
        assert (fact.latitude is None) == (fact.longitude is None)
        if fact.latitude is not None:
            assert -44 < fact.latitude < -10
            assert 129 < fact.longitude < 154.5
        same = (fact.name, fact.region, fact.latitude, fact.longitude)
        assert stations.setdefault(fact.facility, same) == same
    assert len(facts()) > 550
    assert sum(place[2] is None for place in stations.values()) < 50


@needs_real
def test_the_bundled_places_are_where_others_put_them():
    """Held against another catalogue: of the stations that both place, next to none is further than 30 km away."""
    other = parse_facilities((tree.REAL / "facilities_data.json").read_bytes())
    places = {u.code: each.location for each in other.data if each.location for u in each.units}
    both = [f for code, f in facts().items() if code in places and f.latitude is not None]

    def apart_km(fact):
        there = places[fact.unit]
        east = (there.lng - fact.longitude) * math.cos(math.radians(fact.latitude))
        return 111 * math.hypot(there.lat - fact.latitude, east)

    far = {fact.unit for fact in both if apart_km(fact) > 30}
    assert len(both) > 480
    # Two of Victoria that are put into Queensland there, one of Queensland into Victoria, and one off its town.
    assert far == {"GIRGSF", "MARYRSF1", "GANNB1", "TGNSS1"}


@needs_real
def test_every_unit_of_the_others_catalogue_that_operates_is_known():
    other = parse_facilities((tree.REAL / "facilities_data.json").read_bytes())
    operating = {
        u.code for each in other.data for u in each.units
        if u.status_id == "operating" and u.fueltech_id not in {"battery_charging", "battery_discharging", "solar_rooftop"}
    }  # fmt: skip

    assert len(operating - facts().keys()) < 0.06 * len(operating)


def test_the_catalogue_is_what_aemo_lists_and_what_reports_and_drops_nobody():
    listed = parse_list(tree.generators())
    extra = tree.report((
        "CO2EII", "PUBLISHING", 1, ("STATIONNAME", "DUID", "GENSETID", "REGIONID", "CO2E_EMISSIONS_FACTOR", "CO2E_ENERGY_SOURCE"),
        [('"NEW, WITH COMMA"', "NEW1", "G1", "QLD1", 0.4, "Wind"), ('"NEW, WITH COMMA"', "NEW2", "G2", "QLD1", 0.6, "Sludge biogas methane"), ('"NEW, WITH COMMA"', "NEW2", "G3", "QLD1", 0.8, "x"), ("Nameless", "", "G", "QLD1", 1, "Wind")],
    ))  # fmt: skip
    listed |= parse_list(extra)

    raw = encoded(catalogue(listed, {"PUMP1", "STRANGER"}, facts()))

    found = {each.code: each for each in parse_facilities(raw).data}
    assert unknowns(raw).fueltechs == unknowns(raw).fields == {}
    assert {u.code for f in found.values() for u in f.units} == {*listed, "PUMP1", "STRANGER"}
    assert found["STRANGER"].units[0].fueltech_id == "other"
    assert found["STRANGER"].location is None
    new = found["NEW1"]
    assert (new.name, new.network_region, new.location) == ("New, With Comma", "QLD1", None)
    assert [(u.code, u.fueltech_id) for u in new.units] == [("NEW1", "wind"), ("NEW2", "bioenergy_biogas")]  # fmt: skip
    assert new.units[1].emissions_factor_co2 == pytest.approx(0.7)
    pump = next(u for u in found["WIVENHOE"].units if u.code == "PUMP1")
    assert (pump.fueltech_id, pump.dispatch_type) == ("pumps", "LOAD")
    assert found["BAYSW"].location is not None


def test_a_list_that_is_cut_off_is_refused():
    with pytest.raises(SourceError, match="no end"):
        parse_list(tree.generators()[:-30])


# --- timing ------------------------------------------------------------------------------------------


def test_looking_begins_shortly_before_a_file_is_due_and_learns_the_lag():
    awaited = Awaited(seed=1)
    assert awaited.until_due(T) == timedelta(0)
    awaited.came(T, T - nem.INTERVAL + timedelta(minutes=2))
    assert awaited.lag == timedelta(seconds=20), "a first sight tells nothing of the lag"
    for n in range(1, 40):
        label = T + n * nem.INTERVAL
        awaited.came(label, label - nem.INTERVAL + timedelta(seconds=40))

    now = label + timedelta(seconds=1)
    assert timedelta(seconds=26) < awaited.until_due(now) < timedelta(seconds=30)


def test_a_file_that_is_late_is_looked_for_less_and_less_and_never_in_step():
    awaited = Awaited(seed=2)
    awaited.came(T, T)
    due = T + awaited.lag

    def looks(late):
        return [
            awaited.next_look(due + timedelta(seconds=late)).total_seconds() for _ in range(50)
        ]

    assert all(1.5 <= s <= 2.5 for s in looks(10))
    assert all(3.7 <= s <= 6.3 for s in looks(120))
    assert all(15 <= s <= 25 for s in looks(1000))
    assert len({*looks(10)}) > 40


def test_the_facts_are_in_the_package():
    assert (Path(reading.__file__).parent / "units.csv").exists()
