"""One reader's page while the grid behind it changes: what it still looks at, and what its address says."""

from datetime import timedelta

from test_store import at, begin, charts, facility, values

from energydash import schema
from energydash.ui import address
from energydash.ui.address import Look
from energydash.ui.session import Session
from energydash.ui.store import Store


def day_of(*codes):
    store = Store()
    begin(store, *codes)
    store.apply(
        schema.FacilityUpdate(seq=1, values=values(*[(code, 0, 10.0) for code in codes]))
    )
    store.apply(charts([at(i) for i in range(20)]))
    return store


def round_of(store, name, *codes):
    store.apply(
        schema.InitialData(
            seq=0, source="demo", simulated=True, round_id=name, facilities=tuple(map(facility, codes)), values=values()
        )
    )  # fmt: skip


def test_the_same_step_after_back_is_told_to_the_browser_again():
    session = Session(day_of("A"), Look(), None)
    told = []
    session._panes.address.param.watch(lambda event: told.append(event.new["query"]), "entry")

    for _ in range(2):
        session._heard({"do": "region", "region": "SA1"})
        session._heard({"do": "back", "query": ""})

    assert told == ["region=SA1", "region=SA1"]


def test_a_station_that_left_the_catalogue_leaves_the_address_and_the_reader_hears_of_it():
    store = day_of("A", "B")
    session = Session(store, Look(facility="B"), None)
    store.apply(
        schema.InitialData(seq=2, source="demo", simulated=True, facilities=(facility("A"),), values=values())
    )  # fmt: skip
    session.pull()

    assert session._look == Look()
    entry = session._panes.address.entry
    assert (entry["query"], entry["step"]) == ("", False)
    assert "B" in session._panes.status.notice
    assert session._panes.detail.card == {}


def test_a_reader_at_the_oldest_time_is_moved_on_with_the_day_and_not_thrown_out_of_the_past():
    store = day_of("A")
    session = Session(store, Look(moment=at(0)), None)
    assert session._panes.time.now["moment"] == at(0).timestamp()

    store.apply(charts([at(i) for i in range(20, 290)]))
    session.pull()

    oldest = store.times[0]
    assert oldest > at(0)
    assert session._look.moment == oldest
    now = session._panes.time.now
    assert now["moment"] == now["start"] == oldest.timestamp()
    entry = session._panes.address.entry
    assert (entry["query"], entry["step"]) == (address.to_query(Look(moment=oldest)), False)
    assert session._panes.status.notice == ""


def test_a_step_to_where_the_day_began_a_moment_ago_leads_to_where_it_begins():
    store = day_of("A")
    session = Session(store, Look(), None)
    gone = int(at(0).timestamp())
    store.apply(charts([at(i) for i in range(20, 290)]))
    session.pull()

    session._heard({"do": "time", "moment": gone})

    assert session._look.moment == store.times[0]
    session.pull()
    assert session._look.moment == store.times[0]


def test_an_address_opened_before_anything_came_asks_for_a_time_that_is_not_kept():
    store = Store()
    session = Session(store, Look(moment=at(0) - timedelta(days=3)), None)
    begin(store, "A")
    store.apply(charts([at(i) for i in range(20)]))
    session.pull()

    assert session._look.moment is None
    assert session._panes.address.entry["query"] == ""
    assert session._panes.time.now["moment"] == 0
    assert "not kept" in session._panes.status.notice


def test_a_new_round_takes_a_page_from_a_time_that_has_not_come_in_it():
    store = day_of("A")
    round_of(store, "one", "A")
    store.apply(charts([at(i) for i in range(20)]))
    session = Session(store, Look(moment=at(15)), None)
    round_of(store, "two", "A")
    session.pull()
    store.apply(charts([at(i) for i in range(5)]))
    session.pull()

    assert session._look.moment is None
    assert session._panes.status.shown == ""


def test_what_a_reader_looks_at_stays_while_nothing_is_known_against_it():
    store = Store()
    look = Look(facility="A", moment=at(3))
    session = Session(store, look, None)
    begin(store, "A")
    session.pull()
    store.apply(charts([at(i) for i in range(20)]))
    session.pull()

    assert session._look == look
    assert session._panes.status.notice == ""
