"""What calls for attention: limits with hysteresis, trips, a silent feed; what is told once and no more."""

import math
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_selection import plant, store_of
from test_store import at, charts, status, values

from energydash import alerting, nem, schema
from energydash.alerting import Rules
from energydash.errors import ConfigError
from energydash.ui import actions, address, alerts
from energydash.ui.address import Look
from energydash.ui.alerts import News, Watch
from energydash.ui.store import Store

NOW = at(100)
RULES = alerting.parse(alerting.DEFAULT)


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        (alerting.DEFAULT, Rules(price_above=300, price_below=0, trip=200, stale=True)),
        ("none", Rules()),
        ("", Rules()),
        (" trip = 50 , price-below=-100", Rules(trip=50, price_below=-100)),
    ],
)
def test_rules_are_read_from_one_text(text, rules):
    assert alerting.parse(text) == rules


@pytest.mark.parametrize("text", ["trip", "trip=-5", "price-above=many", "price=5", "stale=5", "trip=inf"])  # fmt: skip
def test_a_rule_that_is_none_is_refused_with_those_there_are(text):
    with pytest.raises(ConfigError, match="price-above=300"):
        alerting.parse(f"stale,{text}")


series = st.lists(st.one_of(st.none(), st.integers(-50, 400).map(float)), max_size=80)


@given(series)
def test_between_two_alerts_of_one_thing_it_had_come_back(prices):
    found = alerts.begins(prices, 300.0, 270.0)

    for i in found:
        assert prices[i] > 300.0
        before = [price for price in prices[:i] if price is not None]
        assert before
    for one, other in pairwise(found):
        assert any(price is not None and price <= 270.0 for price in prices[one:other])


@given(series)
def test_who_passes_the_limit_after_having_been_back_is_told(prices):
    found = alerts.begins(prices, 300.0, 270.0)
    back = False
    for i, price in enumerate(prices):
        if price is not None and price > 300.0 and back:
            assert i in found
        if price is not None and price != 300.0:
            back = price <= 270.0 or (back and price <= 300.0)


@given(series, st.integers(0, 80))
def test_what_is_told_stays_the_same_while_the_day_moves_on(prices, cut):
    """A window that begins later tells nothing that was not told before."""
    later = [i + cut for i in alerts.begins(prices[cut:], 300.0, 270.0)]

    assert set(later) <= set(alerts.begins(prices, 300.0, 270.0))


def test_a_price_that_hangs_about_the_limit_is_told_once():
    prices = [100.0, 310.0, 295.0, 305.0, None, 290.0, 320.0, 250.0, 301.0]

    assert alerts.begins(prices, 300.0, 270.0) == [1, 8]


@given(st.lists(st.one_of(st.none(), st.integers(0, 900)), max_size=40))
def test_a_station_trips_where_it_loses_so_much_at_once_and_did_not_just_before(power):
    column = np.array([[math.nan if mw is None else mw] for mw in power]).reshape(-1, 1)
    falls = [
        i
        for i in range(1, len(power))
        if power[i] is not None and power[i - 1] is not None and power[i - 1] - power[i] > 200
    ]

    assert alerts.trips(column, 200.0) == [(i, 0) for i in falls if i - 1 not in falls]


def price_frame(i, price, region="SA1"):
    scopes = tuple(
        schema.ScopeSeries(
            scope=scope, fuel={"wind": (1.0,)}, demand=(5.0,), generation=(1.0,), reporting=(2,),
            price=(price if scope == region else 50.0,),
        )
        for scope in (nem.NETWORK, *nem.NEM_REGIONS)
    )  # fmt: skip
    return schema.ChartsUpdate(seq=1, times=(at(i),), scopes=scopes)


def eventful():
    store = store_of(
        plant("BAYSW", fueltech="coal_black", name="Bayswater"), plant("BAT", fueltech="battery")
    )  # fmt: skip
    store.link(connected=True)
    store.apply(status())
    for i, price in enumerate([50.0, 301.5, 290.0, 305.0, -20.0, 50.0]):
        store.apply(price_frame(i, price))
    store.apply(schema.FacilityUpdate(seq=2, values=values(
        *[("BAYSW", i, mw) for i, mw in enumerate([600.0, 600.0, 130.0, 130.0])],
        *[("BAT", i, mw) for i, mw in enumerate([300.0, -300.0, 300.0, -300.0])],
    )))  # fmt: skip
    return store


def kinds(found):
    return [(each.kind, each.subject, each.at) for each in found]


def test_a_pump_that_starts_trips_nothing():
    assert alerts.trips(np.array([[10.0], [-400.0], [300.0], [-400.0]]), 200.0) == [(3, 0)]


def test_an_alert_of_yesterday_says_so():
    store = eventful()
    store.apply(price_frame(287, 999.0))
    store.apply(price_frame(288, 50.0))
    whens = [
        alerts.told(each, store, RULES)["when"] for each in Watch(store, RULES).alerts(NOW)
    ]

    assert whens[0] == "Sun 23:55"


def test_the_day_is_listed_latest_first_and_a_battery_may_swing():
    found = Watch(eventful(), RULES).alerts(NOW)

    assert kinds(found) == [
        ("price_below", "SA1", at(4)), ("trip", "BAYSW", at(2)), ("price_above", "SA1", at(1)),
    ]  # fmt: skip
    assert found[1].value == -470.0
    assert Watch(eventful(), Rules()).alerts(NOW) == []


def test_what_fell_while_nobody_looked_did_not_trip():
    store = store_of(plant("A"))
    store.apply(charts([at(0), at(5)], demand=1.0))
    store.apply(schema.FacilityUpdate(seq=1, values=values(("A", 0, 900.0), ("A", 5, 0.0))))

    assert Watch(store, RULES).alerts(NOW) == []


def test_a_silent_feed_is_an_alert_after_a_while_and_until_it_is_back():
    store = eventful()
    watch = Watch(store, Rules(stale=True))
    store.apply(status(publisher="stale"))
    assert watch.alerts(NOW) == []
    assert watch.alerts(NOW + timedelta(seconds=9)) == []
    (silent,) = watch.alerts(NOW + timedelta(seconds=11))
    assert (silent.kind, silent.subject) == ("stale", "publisher")
    assert watch.alerts(NOW + timedelta(hours=1)) == [silent]

    store.apply(status())
    assert watch.alerts(NOW + timedelta(hours=1)) == []


def test_news_is_told_once_and_not_to_who_has_just_come():
    store = eventful()
    watch, news = Watch(store, RULES), News()
    assert news.of(watch.alerts(NOW), store.shown_time) == []

    store.apply(price_frame(6, 15_000.0))
    (fresh,) = news.of(watch.alerts(NOW), store.shown_time)
    assert (fresh.kind, fresh.at, fresh.value) == ("price_above", at(6), 15_000.0)
    assert news.of(watch.alerts(NOW), store.shown_time) == []
    # The limit is hung about, values are revised, a page of another reader opens.
    store.apply(price_frame(7, 299.0))
    store.apply(price_frame(8, 310.0))
    store.apply(price_frame(6, 14_000.0))
    assert news.of(watch.alerts(NOW), store.shown_time) == []
    assert News().of(watch.alerts(NOW), store.shown_time) == []


def test_what_a_list_that_is_cut_has_left_out_for_a_while_is_no_news():
    news = News()
    one, other = (
        alerts.Alert(kind="trip", subject=code, at=at(6), value=-500.0) for code in "AB"
    )
    assert news.of([], at(6)) == []
    assert news.of([one], at(6)) == [one]
    assert news.of([other], at(6)) == [other]
    assert news.of([one], at(7)) == []


def test_a_past_that_comes_late_is_listed_and_not_called_out():
    store, news = Store(), News()
    watch = Watch(store, RULES)
    assert news.of(watch.alerts(NOW), store.shown_time) == []
    store = eventful()
    watch = Watch(store, RULES)
    assert news.of(watch.alerts(NOW), store.shown_time) == []
    for i in range(6, 20):
        store.apply(price_frame(i, 50.0))
    assert news.of(watch.alerts(NOW), store.shown_time) == []
    store.apply(schema.FacilityUpdate(seq=3, values=values(("BAYSW", 9, 900.0), ("BAYSW", 10, 0.0))))  # fmt: skip
    assert ("trip", "BAYSW", at(10)) in kinds(watch.alerts(NOW))
    assert news.of(watch.alerts(NOW), store.shown_time) == []


def test_an_alert_says_what_where_and_when_and_a_click_goes_there():
    store = eventful()
    below, trip, above = (alerts.told(each, store, RULES) for each in Watch(store, RULES).alerts(NOW))  # fmt: skip

    assert (above["text"], above["more"], above["when"]) == ("SA: price above $300", "$301.50", "00:05")  # fmt: skip
    assert below["text"] == "SA: price below $0"
    assert trip["text"] == "Bayswater fell within five minutes"
    assert trip["more"] == "\u2212470\u202fMW"
    look = Look(facility="X")
    assert address.to_query(actions.after(look, {"do": "jump", **trip})) == "facility=BAYSW&at=2026-03-01T00:10"  # fmt: skip
    assert address.to_query(actions.after(look, {"do": "jump", **above})) == "region=SA1&at=2026-03-01T00:05"  # fmt: skip
