"""The day so far: highs and lows with their times, and what moved."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_selection import plant, store_of
from test_store import at, charts, facility, values

from energydash import nem, schema
from energydash.ui import numbers, today
from energydash.ui.past import Past
from energydash.ui.selection import Choice, Selection
from energydash.ui.store import Row

known = st.one_of(st.none(), st.floats(-1000, 20000))
rows = st.lists(
    st.builds(Row, fuel=st.just({}), demand=known, price=known, renewable_share=known),
    max_size=60,
)


@given(rows)
def test_the_highs_and_lows_are_those_of_the_known_values_at_their_first_time(given_rows):
    times = [at(i) for i in range(len(given_rows))]
    fields = {"demand": "demand", "renewable": "renewable_share", "price": "price"}
    for span in today.spans(times, given_rows):
        series = [getattr(row, fields[span.id]) for row in given_rows]
        there = [value for value in series if value is not None]
        if not there:
            assert (span.low, span.high) == (None, None)
            continue
        assert (span.low.value, span.high.value) == (min(there), max(there))
        assert span.high.at == at(series.index(max(there)))
        assert span.low.at == at(series.index(min(there)))


@given(st.integers(0, 287), st.integers(0, 600))
def test_a_day_begins_at_midnight_of_nem_time_and_ends_at_the_moment(begins, moment):
    times = [at(i) for i in range(begins, begins + 400)]
    day = today.day_of(times, at(moment))

    assert day == [
        each for each in times if each <= at(moment) and each.date() == at(moment).date()
    ]


changes = st.dictionaries(
    st.sampled_from([f"S{n}" for n in range(12)]),
    st.tuples(*[st.one_of(st.none(), st.floats(-500, 500))] * 2),
)


@given(changes)
def test_the_moves_are_the_largest_of_those_whose_both_ends_are_known(by_code):
    past = Past()
    ends = [(code, 6 * n, mw) for code, pair in by_code.items() for n, mw in enumerate(pair)]
    if ends:
        past.put(values(*ends), 1)
    found = today.moves(past, [facility(code) for code in by_code], at(6))
    moved = {
        code: now - before
        for code, (before, now) in by_code.items()
        if before is not None and now is not None and abs(now - before) >= today.LEAST_MOVE_MW
    }

    sizes = [abs(move.change) for move in found]
    assert sizes == sorted(map(abs, moved.values()), reverse=True)[: today.MOST_MOVERS]
    for move in found:
        assert move.change == moved[move.facility.code]
        assert move.power == by_code[move.facility.code][1]


def grid_of_two_regions():
    store = store_of(plant("A"), plant("B", region="SA1", fueltech="solar_utility"))
    for i in range(12):
        store.apply(charts([at(i)], demand=100.0 + i))
    store.apply(schema.FacilityUpdate(seq=1, values=values(
        ("A", 0, 10.0), ("B", 0, 90.0), ("A", 6, 60.0), ("B", 6, 20.0), ("A", 11, 61.0),
    )))  # fmt: skip
    return store


def test_the_panel_follows_the_scope_and_the_moment():
    store = grid_of_two_regions()
    everything = today.told(store, Choice(store, Selection()), at(6))
    south = today.told(store, Choice(store, Selection(region="SA1")), at(6))

    assert [(code, change) for code, _, _, change, _ in everything["moves"]] == [
        ("B", f"{numbers.MINUS}70{numbers.THIN}MW"), ("A", f"+50{numbers.THIN}MW"),
    ]  # fmt: skip
    assert [code for code, *_ in south["moves"]] == ["B"]
    demand = everything["spans"][0]
    assert demand[2:] == [f"106{numbers.THIN}MW", "00:30", f"100{numbers.THIN}MW", "00:00"]
    # Half an hour before the first interval there is nothing to compare with.
    assert today.told(store, Choice(store, Selection()), at(3))["moves"] == []


def test_under_a_filter_what_belongs_to_a_region_is_not_told():
    store = grid_of_two_regions()
    told = today.told(store, Choice(store, Selection(text="b")), at(6))

    assert [row[2] for row in told["spans"]] == [numbers.NONE, f"100.0{numbers.THIN}%", numbers.NONE]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "moment", "newest", "title"),
    [
        (0, 20, 20, "Today"),
        (10, 20, 292, "Sun 01 Mar from 00:50"),
        (1, 20, 287, "Today"),
        (30, 40, 60, "Today from 02:30"),
        (300, 310, 310, "Today from 01:00"),
    ],
)
def test_the_day_is_named_and_where_it_is_not_whole_that_is_said(first, moment, newest, title):
    store = store_of()
    store.apply(charts([at(i) for i in range(first, moment + 1)]))
    store.apply(charts([at(newest)]))

    assert today.told(store, Choice(store, Selection()), at(moment))["title"] == title


def test_lately_is_a_whole_number_of_intervals():
    assert timedelta(0) == today.LATELY % nem.INTERVAL
