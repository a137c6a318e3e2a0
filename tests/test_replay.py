"""Event time to wall time, and what is sent again: no clock, no network."""

from datetime import timedelta

from stream_tables import at

from energydash.schema import FacilityRecord, MarketRecord
from energydash.stream.ledger import Ledger, Newest
from energydash.stream.replay import Interval, Pacer, merged


def station(index, power=1.0, code="A"):
    return FacilityRecord(event_time=at(index), facility_id=code, power=power, emissions=None)


def price(index, value=1.0):
    return MarketRecord(network_code="NEM", metric="price", event_time=at(index), value=value)


def test_all_of_an_interval_comes_before_any_of_the_next():
    facilities = [(at(0), [station(0)]), (at(2), [station(2)])]
    market = [(at(0), [price(0)]), (at(1), [price(1)])]

    got = list(merged(facilities, market))

    assert [interval.moment for interval in got] == [at(0), at(1), at(2)]
    assert got[0] == Interval(at(0), [station(0)], [price(0)])
    assert got[1].facilities == []


def test_an_event_is_due_on_an_absolute_clock():
    pacer = Pacer(60.0, 1000.0, at(0))
    assert [pacer.due(at(i)) for i in (0, 1, 2, 1000)] == [1000, 1005, 1010, 6000]


def test_the_past_is_due_at_once_and_at_most_speed_so_is_everything():
    assert Pacer(60.0, 1000.0, at(5)).due(at(0)) == 1000
    assert Pacer(None, 1000.0, at(0)).due(at(500)) == 1000


def test_tables_read_again_give_only_what_is_new_or_revised():
    ledger = Ledger()
    ledger.sent(Interval(at(0), [station(0), station(0, code="B")], [price(0)]))

    again = Interval(
        at(0), [station(0), station(0, 2.0, "B"), station(0, code="C")], [price(0)]
    )
    news = ledger.news(again)

    assert news.facilities == [station(0, 2.0, "B"), station(0, code="C")]
    assert news.market == []
    ledger.sent(news)
    assert ledger.news(again) is None


def test_the_ledger_knows_two_days_and_forgets_what_is_too_old_to_be_revised():
    ledger = Ledger()
    for index in range(1000):
        ledger.sent(Interval(at(index), [station(index)], []))

    assert ledger.facilities_after == at(999) - timedelta(hours=48)
    assert ledger.market_after is None
    assert ledger.news(Interval(at(999 - 575), [station(999 - 575)], [])) is None
    assert ledger.news(Interval(at(999 - 576), [station(999 - 576)], [])) is not None


def test_the_newest_of_every_station_is_kept_whatever_comes_late():
    newest = Newest()
    assert newest.facilities() is None
    newest.take(Interval(at(1), [station(1, 5.0)], [price(1)]))
    newest.take(Interval(at(0), [station(0, 9.0), station(0, 3.0, "B")], []))

    latest = newest.facilities()

    assert latest.event_time == at(1)
    assert latest.facilities == (station(1, 5.0), station(0, 3.0, "B"))
    assert newest.market().values == (price(1),)
