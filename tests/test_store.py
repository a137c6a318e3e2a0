"""What the dashboard's process knows: versions, holes, late values, and which stage is lost."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from energydash import nem, schema
from energydash.ui import freshness
from energydash.ui.past import Past, Reading
from energydash.ui.store import Stage, Store

START = datetime(2026, 3, 1, tzinfo=nem.NEM_ZONE)
SCOPES = (nem.NETWORK, *nem.NEM_REGIONS)


def at(i):
    return START + i * nem.INTERVAL


def facility(code, **more):
    return schema.FacilityInfo(
        code=code, name=f"Station {code}", network="NEM", region="NSW1", fueltech="wind",
        status="operating", capacity=100.0, longitude=149.0, latitude=-33.0, **more,
    )  # fmt: skip


def values(*rows):
    """Rows are (code, interval, MW)."""
    moments = sorted({at(i) for _, i, _ in rows})
    return schema.FacilityValues(
        times=tuple(moments),
        at=tuple(moments.index(at(i)) for _, i, _ in rows),
        facility_id=tuple(code for code, _, _ in rows),
        power=tuple(power for _, _, power in rows),
        emissions=tuple(None for _ in rows),
    )


def charts(moments, *, demand=None, reporting=2, fuel=10.0):
    n = len(moments)
    scopes = tuple(
        schema.ScopeSeries(
            scope=scope, fuel={"wind": (fuel,) * n}, demand=(demand,) * n, price=(50.0,) * n,
            generation=(fuel,) * n, reporting=(reporting,) * n,
        )
        for scope in SCOPES
    )  # fmt: skip
    return schema.ChartsUpdate(seq=1, times=tuple(moments), scopes=scopes)


def begin(store, *codes):
    store.apply(
        schema.InitialData(
            seq=0, source="demo", simulated=True,
            facilities=tuple(facility(code) for code in codes), values=values(),
        )
    )  # fmt: skip


def status(**more):
    return schema.Status(
        seq=1, broker="connected", stale_after_s=15, **{"publisher": "live", **more}
    )


def test_a_session_hears_only_of_what_changed_since_it_last_looked():
    store = Store()
    begin(store, "A", "B")
    store.apply(schema.FacilityUpdate(seq=1, values=values(("A", 0, 1.0), ("B", 0, 2.0))))
    seen = store.version
    store.apply(schema.FacilityUpdate(seq=2, values=values(("B", 1, 3.0))))
    store.apply(charts([at(1)]))

    assert store.times_changed(seen) == [at(1)]
    assert store.times_changed(store.version) == []


def test_who_sums_stations_up_hears_of_those_too():
    store = Store()
    begin(store, "A")
    store.apply(charts([at(0), at(1)]))
    seen = store.version
    store.apply(schema.FacilityUpdate(seq=1, values=values(("A", 0, 1.0))))

    assert store.times_changed(seen) == []
    assert store.times_changed(seen, stations=True) == [at(0)]


def test_a_late_older_value_does_not_replace_a_newer_one_but_a_correction_does():
    store = Store()
    begin(store, "A")
    store.apply(schema.FacilityUpdate(seq=1, values=values(("A", 5, 9.0))))
    store.apply(schema.FacilityUpdate(seq=2, values=values(("A", 4, 1.0))))
    assert store.instant(at(5)).of("A").power == 9.0
    assert store.instant(at(4)).of("A").power == 1.0

    store.apply(schema.FacilityUpdate(seq=3, values=values(("A", 5, 8.0))))
    assert store.instant(at(5)).of("A").power == 8.0


def test_a_station_that_fell_silent_has_no_present_value():
    store = Store()
    begin(store, "A")
    store.apply(schema.FacilityUpdate(seq=1, values=values(("A", 0, 9.0))))

    assert store.instant(at(6)).of("A") == Reading(at(0), 9.0, None)
    assert store.instant(at(7)).of("A") is None
    assert store.instant(at(0)).of("A").power == 9.0


def test_null_is_not_zero():
    store = Store()
    begin(store, "A")
    store.apply(schema.FacilityUpdate(seq=1, values=values(("A", 0, None))))
    store.apply(charts([at(0)]))

    assert store.instant(at(0)).of("A") is None
    assert store.row(at(0), nem.NETWORK).demand is None
    assert store.row(at(99), nem.NETWORK).fuel == {}


@given(st.permutations(range(8)))
def test_intervals_come_in_any_order_and_stand_in_theirs(order):
    store = Store()
    for i in order:
        store.apply(charts([at(i)]))

    assert list(store.times) == [at(i) for i in range(8)]


def test_a_day_is_kept_and_no_more():
    store = Store()
    store.apply(charts([at(i) for i in range(400)]))

    assert len(store.times) == 288
    assert store.times[-1] == at(399)
    assert store.row(at(0), nem.NETWORK).fuel == {}


def test_an_interval_that_is_still_filling_up_is_not_summed_up_yet():
    store = Store()
    store.apply(charts([at(0)], demand=100.0, reporting=200))
    store.apply(charts([at(1)], demand=100.0, reporting=30))
    assert store.shown_time == at(0)

    store.apply(charts([at(1)], demand=None, reporting=190))
    assert store.shown_time == at(0)

    store.apply(charts([at(1)], demand=101.0, reporting=190))
    assert store.shown_time == at(1)


def test_without_a_market_the_stations_are_enough():
    store = Store()
    store.apply(charts([at(0), at(1)], demand=None, reporting=5))

    assert store.shown_time == at(1)


def test_the_stage_that_is_lost_is_named_from_the_page_backwards():
    store = Store()
    assert store.stage() is Stage.CONNECTING
    store.link(connected=True)
    assert store.stage() is Stage.CONNECTING
    store.apply(status())
    assert store.stage() is Stage.LIVE
    store.apply(status(publisher="stale"))
    assert store.stage() is Stage.PUBLISHER
    store.apply(status(publisher="waiting"))
    assert store.stage() is Stage.WAITING
    store.apply(schema.Status(seq=1, broker="disconnected", publisher="live", stale_after_s=15))
    assert store.stage() is Stage.BROKER
    store.link(connected=False)
    assert store.stage() is Stage.SERVER


def test_a_server_that_came_back_empty_does_not_take_the_past_away():
    store = Store()
    begin(store, "A")
    store.apply(charts([at(i) for i in range(20)]))
    store.link(connected=False)
    store.link(connected=True)
    begin(store, "A")

    assert len(store.times) == 20


def test_a_server_that_knows_no_catalogue_yet_takes_nothing_away():
    store = Store()
    begin(store, "A")
    store.apply(charts([at(i) for i in range(20)]))
    seen = store.catalogue_version
    store.apply(
        schema.InitialData(seq=0, source="", simulated=False, facilities=(), values=values())
    )
    assert len(store.times) == 20
    assert (store.source, store.simulated, len(store.facilities)) == ("demo", True, 1)

    # Once it has heard of it, that is the same one still.
    begin(store, "A")
    assert len(store.times) == 20
    assert store.catalogue_version == seen


def test_another_grid_starts_anew():
    store = Store()
    begin(store, "A")
    store.apply(charts([at(0)]))
    store.apply(
        schema.InitialData(
            seq=0, source="openelectricity", simulated=False,
            facilities=(facility("B"),), values=values(),
        )
    )  # fmt: skip

    assert store.times == ()
    assert [each.code for each in store.facilities] == ["B"]


@pytest.mark.parametrize(
    ("rounds", "kept"),
    [
        (("", ""), True),
        (("one", "one"), True),
        # A server that was started again has not heard which round this is.
        (("one", "", "one"), True),
        (("", "one"), False),
        (("one", "two"), False),
    ],
)
def test_what_was_known_of_event_time_goes_when_it_begins_again(rounds, kept):
    store = Store()
    for index, name in enumerate(rounds):
        store.apply(
            schema.InitialData(
                seq=0, source="demo", simulated=True, round_id=name, facilities=(facility("A"),), values=values()
            )
        )  # fmt: skip
        if index == 0:
            store.apply(charts([at(9)]))
            seen = store.catalogue_version

    assert store.times == ((at(9),) if kept else ())
    # What the pages have drawn goes with it.
    assert (store.catalogue_version == seen) == kept


def test_the_age_is_that_of_the_real_interval_and_absent_on_a_simulated_grid():
    now = datetime(2026, 3, 1, 0, 7, tzinfo=UTC)
    last = now - timedelta(seconds=12)
    for simulated, age_min in ((True, None), (False, 10 * 60 + 7)):
        store = Store()
        store.link(connected=True)
        store.apply(
            schema.InitialData(
                seq=0, source="x", simulated=simulated, facilities=(), values=values()
            )
        )
        store.apply(charts([START], demand=5.0, reporting=3))
        store.apply(status(last_record_at=last))

        facts = freshness.facts(store, now)

        assert facts.age_s == 12
        assert facts.interval_age_min == age_min
        assert (facts.time, facts.reporting, facts.stage) == ("00:00", 3, "live")


def test_the_stations_that_report_are_counted_among_those_of_their_own_network():
    store = Store()
    western = msgspec.structs.replace(facility("W"), network="WEM", region="WEM")
    store.apply(
        schema.InitialData(
            seq=0, source="x", simulated=True, facilities=(facility("A"), facility("B"), western), values=values()
        )
    )  # fmt: skip
    store.apply(charts([START], demand=5.0, reporting=2))

    facts = freshness.facts(store, START)
    assert (facts.reporting, facts.facilities) == (2, 2)


def day_of(code, start, n):
    """A station's history as the server answers it: MW is the interval's number."""
    return values(*[(code, i, float(i)) for i in range(start, start + n)])


def test_a_day_of_every_station_is_kept_and_no_more():
    past = Past()
    past.put(day_of("A", 0, 700), 1)

    power, _ = past.table([at(411), at(412), at(699)], ["A", "unheard of"])
    assert [str(mw) for mw in power[:, 0]] == ["nan", "412.0", "699.0"]
    assert all(str(mw) == "nan" for mw in power[:, 1])
    assert past.newest == at(699)


def test_an_interval_of_yesterday_does_not_come_back_as_one_of_today():
    past = Past()
    past.put(values(("A", 288, 5.0)), 1)
    past.put(values(("B", 0, 7.0)), 2)
    past.put(values(("A", 576, 6.0), ("B", 288, 7.0)), 3)

    assert past.instant(at(0)).of("B") is None
    assert past.instant(at(288)).of("B") is None
    assert past.instant(at(576)).of("A").power == 6.0


def test_an_answer_does_not_undo_what_the_stream_said_after_the_question():
    store = Store()
    begin(store, "A")
    store.apply(charts([at(0), at(1)]))
    asked_at = store.version
    store.apply(schema.FacilityUpdate(seq=1, values=values(("A", 1, 50.0))))
    store.remember(values(("A", 0, 1.0), ("A", 1, 2.0)), asked_at)

    assert store.instant(at(0)).of("A").power == 1.0
    assert store.instant(at(1)).of("A").power == 50.0


def test_an_instant_is_another_one_once_anything_in_it_changed():
    store = Store()
    begin(store, "A")
    store.apply(schema.FacilityUpdate(seq=1, values=values(("A", 0, 1.0))))
    first = store.instant(at(0))
    assert store.instant(at(0)) is first

    store.apply(schema.FacilityUpdate(seq=2, values=values(("A", 9, 1.0))))
    assert store.instant(at(0)) == first
    store.apply(schema.FacilityUpdate(seq=3, values=values(("A", 0, 2.0))))
    assert store.instant(at(0)) != first


@given(
    st.lists(
        st.tuples(st.sampled_from("ABC"), st.integers(0, 900), st.floats(-500, 500)),
        max_size=80,
    )
)
def test_the_past_tells_what_was_last_said_of_each_interval_of_the_last_day(rows):
    past, said = Past(), {}
    for version, row in enumerate(rows, 1):
        past.put(values(row), version)
        newest = max(i for _, i, _ in rows[:version])
        if row[1] > newest - 288:
            said[row[:2]] = row[2]
    for (code, i), mw in said.items():
        power, _ = past.table([at(i)], [code])
        gone = i <= max(n for _, n, _ in rows) - 288
        assert gone or power[0, 0] == mw
