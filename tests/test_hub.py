"""The hub and its fan-out, without a socket: what they hold and send depends on the records alone."""

import json
import time
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire import JSON, Pipe, text_of, whole

from energydash import nem, schema
from energydash.server.fanout import Client, Fanout
from energydash.server.framing import Form
from energydash.server.hub import Hub
from energydash.server.view import seen

HISTORY = timedelta(hours=1)
START = datetime(2026, 1, 5, 12, 0, tzinfo=nem.NEM_ZONE)
INFO = {
    code: schema.FacilityInfo(
        code=code, name=code.title(), network="NEM", region=region, fueltech=fuel, status="operating"
    )
    for code, region, fuel in (
        ("COAL", "VIC1", "coal_black"),
        ("FARM", "NSW1", "wind"),
        ("HYBRID", "NSW1", "solar_utility"),
        ("STORE", "SA1", "battery"),
    )
}  # fmt: skip
STRANGER = "STRANGER"
CATALOGUE = schema.Catalogue(source="test", simulated=True, facilities=tuple(INFO.values()))
MARKET_KEYS = [
    ("NEM", metric, region)
    for metric in ("price", "demand")
    for region in (None, "NSW1", "SA1")
] + [("NEM", metric, "V-SA") for metric in (nem.FLOW, nem.EXPORT_LIMIT)]
EVERYTHING = schema.Subscribe()
WISHES = st.builds(
    schema.Subscribe,
    filter=st.builds(
        schema.Filter,
        regions=st.frozensets(st.sampled_from(["NSW1", "SA1", "VIC1", "TAS1", "NEM"])),
        fuels=st.frozensets(st.sampled_from(["wind", "battery", "coal_black", "hydro"])),
        facilities=st.frozensets(st.sampled_from(["FARM", "STORE", "STRANGER"])),
    ),
)


def at(index: int) -> datetime:
    return START + index * nem.INTERVAL


def power(code, index, value, **more):
    return schema.FacilityRecord(
        event_time=at(index), facility_id=code, power=value, emissions=None, **more
    )


def price(index, value, region="NSW1"):
    return schema.MarketRecord(
        network_code="NEM",
        metric="price",
        event_time=at(index),
        value=value,
        network_region=region,
    )


def hub_with(*records) -> Hub:
    hub = Hub(HISTORY)
    hub.catalogue(CATALOGUE)
    for record in records:
        take(hub, [record])
    settle(hub)
    return hub


def take(hub: Hub, batch) -> None:
    """Hand a mixed batch in, as the subscriber does: by kind."""
    stations = [r for r in batch if isinstance(r, schema.FacilityRecord)]
    values = [r for r in batch if isinstance(r, schema.MarketRecord)]
    if stations:
        hub.facilities(stations)
    if values:
        hub.market(values)


def settle(hub: Hub) -> None:
    while hub.tick():
        pass


class Screen:
    """What a reader knows who does as the protocol says, and nothing else."""

    def __init__(self):
        self.seq = -1
        self.facilities = {}
        self.values = {}
        self.market = {}
        self.charts = {}
        self.expected = {}

    def show(self, *texts: str) -> "Screen":
        for text in texts:
            frame = schema.decode_server_frame.decode(text)
            # The frames of a change share a seq; only a status tells that all of it has come.
            self.seq = frame.seq if isinstance(frame, schema.Status) else self.seq
            self._apply(frame)
        return self

    def _apply(self, frame):
        match frame:
            case schema.InitialData():
                self.facilities = {f.code: f for f in frame.facilities}
                self.values = rows(frame.values)
            case schema.FacilityUpdate():
                self.values |= rows(frame.values)
            case schema.InitialMarketData():
                self.market = by_key(frame.values)
            case schema.MarketUpdate():
                self.market |= by_key(frame.values)
            case schema.InitialCharts():
                self.charts = chart_rows(frame)
                self.expected = {scope.scope: scope.expected for scope in frame.scopes}
            case schema.ChartsUpdate():
                self.charts |= chart_rows(frame)
                self.expected |= {scope.scope: scope.expected for scope in frame.scopes}

    def known(self, hub: Hub):
        """All but what is older than the history, or empty: a reader may keep that or not."""
        charts = {m: r for m, r in self.charts.items() if r and m > hub.event_time - HISTORY}
        expected = {scope: count for scope, count in self.expected.items() if count}
        return self.facilities, self.values, self.market, charts, expected


def rows(values: schema.FacilityValues):
    return {
        code: (values.times[at], mw, t, values.by_fuel.get(code))
        for code, at, mw, t in zip(
            values.facility_id, values.at, values.power, values.emissions, strict=True
        )
    }


def by_key(values):
    return {
        (v.network_code, v.metric, v.network_region): (v.event_time, v.value) for v in values
    }


def chart_rows(frame):
    """{time: {scope: what is there}}: a scope without anything in an interval is the same as none."""
    charts = {}
    for index, moment in enumerate(frame.times):
        charts[moment] = {}
        for scope in frame.scopes:
            row = {
                name: getattr(scope, name)[index]
                for name in schema.ScopeSeries.__struct_fields__
                if name not in {"scope", "expected", "fuel"} and getattr(scope, name)
            }
            row |= {f"fuel {group}": column[index] for group, column in scope.fuel.items()}
            there = {name: value for name, value in row.items() if value is not None}
            if there != {"reporting": 0}:
                charts[moment][scope.scope] = there
        for link in frame.links:
            columns = {"flow": link.flow, "least": link.import_limit, "most": link.export_limit}
            there = {name: v[index] for name, v in columns.items() if v[index] is not None}
            if there:
                charts[moment][link.link] = there
    return charts


def fresh(fanout: Fanout, wish: schema.Subscribe = EVERYTHING) -> Screen:
    return Screen().show(*whole(fanout, wish))


def newcomer(
    fanout: Fanout, wish=EVERYTHING, resume=None, form=JSON, room: int = 1 << 60
) -> Client:
    client = Client(Pipe(room), form, wish)
    fanout.join(client, resume)
    return client


def read(client: Client, fanout: Fanout, limit: int = 10_000) -> list[str]:
    """Take what is there, as a reader does; a transport says when there is room again."""
    taken: list[bytes] = []
    while len(taken) < limit:
        was_congested = client.outlet.congested
        frames = client.outlet.take(1)
        if not frames:
            break
        taken += frames
        if was_congested and not client.outlet.congested:
            fanout.drained(client)
    return [text_of(frame) for frame in taken]


def kinds(texts):
    return [json.loads(text)["type"] for text in texts]


numbers = st.none() | st.floats(-900, 900).map(lambda x: round(x, 2))


@st.composite
def histories(draw):
    """Unique records over a little more than the history's length."""
    codes = st.sampled_from([*INFO, STRANGER])
    stations = draw(
        st.dictionaries(
            st.tuples(codes, st.integers(0, 16)), st.tuples(numbers, numbers), max_size=25
        )
    )
    market = draw(
        st.dictionaries(
            st.tuples(st.sampled_from(MARKET_KEYS), st.integers(0, 16)), numbers, max_size=12
        )
    )
    return [
        schema.FacilityRecord(
            event_time=at(index),
            facility_id=code,
            power=mw,
            emissions=t,
            by_fuel={"solar_utility": mw, "battery": 1.5}
            if code == "HYBRID" and mw is not None
            else None,
        )
        for (code, index), (mw, t) in stations.items()
    ] + [
        schema.MarketRecord(
            network_code=network,
            metric=metric,
            network_region=region,
            event_time=at(index),
            value=v,
        )
        for ((network, metric, region), index), v in market.items()
    ]


@st.composite
def deliveries(draw, records):
    """The records in any order, some of them twice, in batches, with the catalogue somewhere between."""
    again = draw(st.lists(st.sampled_from(records), max_size=5)) if records else []
    order = draw(st.permutations([*records, *again, CATALOGUE]))
    cuts = draw(st.lists(st.booleans(), min_size=len(order), max_size=len(order)))
    batches, batch = [], []
    for item, cut in zip(order, cuts, strict=True):
        if item is CATALOGUE:
            batches += [batch, CATALOGUE]
            batch = []
            continue
        batch.append(item)
        if cut:
            batches.append(batch)
            batch = []
    return [each for each in [*batches, batch] if each]


def deliver(hub: Hub, delivery) -> None:
    for each in delivery:
        if each is CATALOGUE:
            hub.catalogue(CATALOGUE)
        else:
            take(hub, each)


def everything_of(hub: Hub):
    """All that anybody can ask a hub for, but for the number of changes that led there."""
    metrics = [hub.market_history("NEM", metric) for metric in ("price", "demand")]
    frames = [hub.initial_data(), hub.initial_market(), hub.initial_charts()]
    stripped = [msgspec.structs.replace(frame, seq=0) for frame in frames]
    return stripped, [hub.facility_history(code) for code in [*INFO, STRANGER]], metrics


@given(st.data())
@settings(deadline=None)
def test_records_in_any_order_duplicated_and_split_give_the_same_state(data):
    records = data.draw(histories())
    first, second = Hub(HISTORY), Hub(HISTORY)
    hub_ticks = data.draw(st.booleans())
    for each in data.draw(deliveries(records)):
        deliver(first, [each])
        if hub_ticks:
            first.tick()
    deliver(second, data.draw(deliveries(records)))
    settle(first)
    settle(second)

    assert everything_of(first) == everything_of(second)


@given(st.data())
@settings(deadline=None)
def test_the_state_is_the_newest_of_each_and_the_history_of_all(data):
    records = data.draw(histories())
    hub = Hub(HISTORY)
    deliver(hub, data.draw(deliveries(records)))
    settle(hub)

    stations = [r for r in records if isinstance(r, schema.FacilityRecord)]
    newest = {
        r.facility_id: (r.event_time, r.power, r.emissions, r.by_fuel)
        for r in sorted(stations, key=lambda r: r.event_time)
    }
    assert rows(hub.initial_data().values) == newest
    last = max((r.event_time for r in records), default=START)
    for code in [*INFO, STRANGER]:
        kept = sorted(
            (r.event_time, r.power, r.emissions)
            for r in stations
            if r.facility_id == code and r.event_time > last - HISTORY
        )
        history = hub.facility_history(code)
        assert (
            list(
                zip(
                    (history.times[i] for i in history.at),
                    history.power,
                    history.emissions,
                    strict=True,
                )
            )
            == kept
        )


@given(histories())
@settings(deadline=None)
def test_a_regions_sums_are_those_of_its_stations(records):
    hub = hub_with(*records)
    charts = chart_rows(hub.initial_charts())
    for moment, scopes in charts.items():
        there = [
            r
            for r in records
            if isinstance(r, schema.FacilityRecord)
            and r.event_time == moment
            and r.facility_id in INFO
        ]
        for region, codes in (
            ("NSW1", {"FARM", "HYBRID"}),
            ("VIC1", {"COAL"}),
            ("NEM", set(INFO)),
        ):
            row = scopes.get(region, {})
            mine = [r for r in there if r.facility_id in codes]
            values = [r for r in mine if r.power is not None]
            assert row.get("reporting", 0) == len(values)
            mix = {}
            for r in values:
                for fuel, mw in (r.by_fuel or {INFO[r.facility_id].fueltech: r.power}).items():
                    group = nem.fueltech(fuel).group
                    mix[group] = mix.get(group, 0.0) + mw
            shown = {k.removeprefix("fuel "): v for k, v in row.items() if k.startswith("fuel")}
            assert shown == pytest.approx(mix, abs=0.002)
            emitted = [r.emissions for r in mine if r.emissions is not None]
            assert row.get("emissions") == (
                pytest.approx(sum(emitted), abs=0.002) if emitted else None
            )


@given(st.data(), WISHES)
@settings(deadline=None)
def test_a_filtered_view_is_the_filter_applied_to_the_whole(data, wish):
    records = data.draw(histories())
    hub = Hub(HISTORY)
    fanout = Fanout(hub)
    client = newcomer(fanout)
    fanout.resubscribe(client, wish)
    texts = []
    for each in data.draw(deliveries(records)):
        deliver(hub, [each])
        fanout.tick(with_status=False)
        texts += read(client, fanout)

    facilities, values, market, charts, expected = fresh(fanout).known(hub)
    regions, fuels, codes = wish.filter.regions, wish.filter.fuels, wish.filter.facilities
    stations = {
        code: facility
        for code, facility in facilities.items()
        if (not regions or facility.region in regions)
        and (not fuels or nem.fueltech(facility.fueltech).group in fuels)
        and (not codes or code in codes)
    }
    narrowed = Screen()
    narrowed.facilities = stations
    narrowed.expected = {s: n for s, n in expected.items() if not regions or s in regions}
    if regions or fuels or codes:
        values = {code: row for code, row in values.items() if code in stations}
    narrowed.values = values
    narrowed.market = {
        k: v for k, v in market.items() if not regions or (k[2] or k[0]) in regions
    }
    narrowed.charts = {
        moment: {
            scope: {
                name: value
                for name, value in row.items()
                if not fuels
                or not name.startswith("fuel ")
                or name.removeprefix("fuel ") in fuels
            }
            for scope, row in scopes.items()
            if not regions
            or scope in regions
            or (scope == "V-SA" and regions & {"VIC1", "SA1"})
        }
        for moment, scopes in charts.items()
    }

    followed = Screen().show(*texts)
    for screen in (fresh(fanout, wish), followed):
        assert screen.known(hub) == narrowed.known(hub)


def round_of(name: str) -> schema.Catalogue:
    return msgspec.structs.replace(CATALOGUE, round_id=name)


@pytest.mark.parametrize("ticks", [True, False])
def test_when_event_time_begins_again_so_does_everybody(ticks):
    """A loop over old tables: the beginning of the next round is older than all that is known."""
    hub = hub_with()
    fanout = Fanout(hub)
    quick, slow, away = newcomer(fanout), newcomer(fanout, room=400), Screen()
    for index in range(12):
        take(hub, [power("FARM", index, 1.0), power("COAL", index, 2.0), price(index, 50.0)])
        fanout.tick(with_status=True)
    away.show(*whole(fanout, EVERYTHING))
    left = schema.Resume(seq=hub.seq, stream=hub.stream)
    here = Screen().show(*read(quick, fanout))

    hub.catalogue(round_of("second"))
    whole(fanout, EVERYTHING)
    assert hub.event_time == at(11)
    for index in range(2):
        take(hub, [power("FARM", index, 7.0), price(index, 60.0)])
        if ticks:
            fanout.tick(with_status=True)
    settle_all(fanout)

    fresh_one = Hub(HISTORY)
    for each in (round_of("second"), *(r for i in range(2) for r in (power("FARM", i, 7.0), price(i, 60.0)))):  # fmt: skip
        fresh_one.catalogue(each) if isinstance(each, schema.Catalogue) else take(fresh_one, [each])  # fmt: skip
    settle(fresh_one)
    assert everything_of(hub) == everything_of(fresh_one)
    known = fresh(fanout).known(hub)
    for screen in (here.show(*read(quick, fanout)), Screen().show(*read(slow, fanout)), away.show(*read(newcomer(fanout, resume=left), fanout))):  # fmt: skip
        assert screen.known(hub) == known


@pytest.mark.parametrize("name", ["", "first"])
def test_a_publisher_that_comes_back_does_not_begin_again(name):
    hub = Hub(HISTORY)
    hub.catalogue(round_of("first"))
    hub.facilities([power("FARM", 5, 1.0)])
    hub.catalogue(round_of(name))
    hub.facilities([power("FARM", 4, 1.0)])
    assert hub.event_time == at(5)


@pytest.mark.parametrize("before", ["", "first"])
def test_a_run_from_the_beginning_begins_again_though_the_one_before_never_ended(before):
    hub = Hub(HISTORY)
    hub.catalogue(round_of(before))
    hub.facilities([power("FARM", 5, 1.0), power("COAL", 5, 2.0)])
    hub.catalogue(round_of("second"))
    # Of the newest interval: the last of the run before may still be on its way.
    hub.facilities([power("COAL", 5, 2.0)])
    hub.facilities([power("FARM", 4, 1.0)])
    assert hub.event_time == at(4)
    assert hub.newest.keys() == {"FARM"}
    assert hub.initial_data().round_id == "second"


def test_a_run_over_later_hours_goes_on_with_what_there_is():
    hub = Hub(HISTORY)
    hub.catalogue(round_of("first"))
    hub.facilities([power("FARM", 5, 1.0)])
    hub.catalogue(round_of("second"))
    hub.facilities([power("FARM", 6, 1.0)])
    # What comes late then is late, and no beginning.
    hub.facilities([power("FARM", 4, 1.0)])
    assert hub.event_time == at(6)
    assert hub.facility_history("FARM").times == (at(4), at(5), at(6))
    assert hub.initial_data().round_id == "first"


def test_two_publishers_that_repeat_themselves_do_not_begin_again_in_turn():
    hub = Hub(HISTORY)
    hub.catalogue(round_of("first"))
    hub.facilities([power("FARM", 5, 1.0)])
    hub.catalogue(round_of("second"))
    hub.facilities([power("FARM", 0, 1.0)])
    for index, name in enumerate(["first", "second", "first"], 1):
        hub.facilities([power("FARM", 5 + index, 1.0)])
        hub.catalogue(round_of(name))
        hub.facilities([power("FARM", index, 1.0)])
    assert hub.event_time == at(8)
    assert hub.facility_history("FARM").times == tuple(map(at, (0, 1, 2, 3, 6, 7, 8)))


def test_a_reader_of_one_channel_hears_of_no_other():
    fanout = Fanout(hub_with(power("FARM", 0, 1.0), price(0, 50.0)))
    client = newcomer(fanout, schema.Subscribe(channels=frozenset({"market"})))
    assert kinds(read(client, fanout)) == ["hello", "initial_market_data", "status"]


def test_an_update_of_which_nothing_is_left_is_not_sent():
    hub = hub_with(power("FARM", 0, 1.0))
    hub.facilities([power("FARM", 1, 2.0)])
    wish = schema.Subscribe(filter=schema.Filter(regions=frozenset({"TAS1"})))
    assert [seen(frame, wish, hub.info) for frame in hub.tick()] == [None, None]


class Wanderer:
    """A reader who reads little, goes away and comes back with what it saw last."""

    def __init__(self, fanout: Fanout, wish: schema.Subscribe, room: int, data) -> None:
        self.fanout, self.wish, self.room, self.data = fanout, wish, room, data
        self.screen = Screen()
        self.client = newcomer(fanout, wish, room=room)

    def leave(self) -> None:
        self.fanout.leave(self.client)

    def read(self, limit: int) -> None:
        self.screen.show(*read(self.client, self.fanout, limit))

    def come_back(self) -> None:
        """Connect again, and name what was seen last at once, later, or not at all."""
        self.leave()
        last = schema.Resume(seq=self.screen.seq, stream=self.fanout.hub.stream)
        match self.data.draw(st.sampled_from(["at once", "later", "never"])):
            case "at once":
                self.client = newcomer(self.fanout, self.wish, last, room=self.room)
            case "later":
                self.client = newcomer(self.fanout, self.wish, room=self.room)
                self.read(self.data.draw(st.integers(0, 4)))
                self.fanout.resume(self.client, last)
            case "never":
                self.client = newcomer(self.fanout, self.wish, room=self.room)

    def act(self) -> None:
        match self.data.draw(st.sampled_from(["tick", "tick", "read", "go", "return", "ask"])):
            case "tick":
                self.fanout.tick(with_status=self.data.draw(st.booleans()))
            case "read":
                self.read(self.data.draw(st.integers(0, 6)))
            case "go":
                self.leave()
            case "return":
                self.come_back()
            case "ask":
                whole(self.fanout, self.wish)


@given(st.data(), WISHES, st.sampled_from([0, 500, 1 << 60]))
@settings(deadline=None)
def test_a_reader_who_is_slow_or_away_ends_where_the_others_are(data, wish, room):
    hub = Hub(HISTORY)
    fanout = Fanout(hub)
    quick = Wanderer(fanout, wish, 1 << 60, data)
    slow = Wanderer(fanout, wish, room, data)
    for each in data.draw(deliveries(data.draw(histories()))):
        deliver(hub, [each])
        quick.read(1000)
        slow.act()
    if slow.client not in fanout.clients:
        slow.come_back()
    settle_all(fanout)
    for reader in (quick, slow):
        reader.read(1000)

    known = fresh(fanout, wish).known(hub)
    assert quick.screen.known(hub) == known
    assert slow.screen.known(hub) == known
    assert quick.screen.seq == slow.screen.seq == hub.seq


def settle_all(fanout: Fanout) -> None:
    seq = -1
    while seq != fanout.hub.seq:
        seq = fanout.hub.seq
        fanout.tick(with_status=True)


def test_what_a_slow_reader_missed_is_folded_into_one_step():
    hub = hub_with()
    fanout = Fanout(hub)
    slow = newcomer(fanout, room=400)
    held = slow.outlet.buffered
    for index in range(500):
        hub.facilities([power("FARM", 0, float(index)), power("COAL", index % 3, 1.0)])
        hub.market([price(0, float(index))])
        fanout.tick(with_status=index % 10 == 0)
    assert slow.outlet.buffered == held
    texts = read(slow, fanout)

    beginning = ["hello", "initial_data", "initial_market_data", "initial_charts", "status"]
    folded = ["facility_update", "market_update", "charts_update", "status"]
    assert kinds(texts) == beginning + folded
    assert Screen().show(*texts).known(hub) == fresh(fanout).known(hub)
    assert fanout.figures.folded == 1


def test_who_reads_again_between_ticks_is_told_nothing_of_hours_that_are_gone():
    hub = hub_with(power("FARM", 0, 1.0), power("FARM", 3, 2.0))
    hub.facilities([power("FARM", 13, 3.0)])

    (told,) = (frame for frame in hub.since(0) if isinstance(frame, schema.ChartsUpdate))
    assert told.times == (at(3),)


def test_a_reader_who_takes_nothing_is_hung_up_on_and_a_slow_one_is_not():
    hub = hub_with()
    fanout = Fanout(hub)
    deaf, slow, fine = newcomer(fanout, room=400), newcomer(fanout, room=400), newcomer(fanout)
    hub.facilities([power("FARM", 0, 1.0)])
    fanout.tick(with_status=True)
    now = time.monotonic()
    for seconds in range(1, 26, 4):
        slow.outlet.data.pop()
        fanout.hang_up_on_stalled(now + seconds)

    assert (deaf.outlet.aborted, slow.outlet.aborted, fine.outlet.aborted) == (True, False, False)  # fmt: skip
    assert fanout.figures.closed == {"stalled": 1}
    fanout.hang_up_on_stalled(now + 121)
    assert slow.outlet.aborted


def test_resume_gives_what_was_missed_and_no_more():
    hub = hub_with(power("FARM", 0, 1.0))
    fanout = Fanout(hub)
    fanout.tick(with_status=False)
    seq = hub.seq
    for value in (2.0, 3.0, 4.0):
        hub.facilities([power("FARM", 1, value)])
        fanout.tick(with_status=False)
    last = schema.Resume(seq=seq + 1, stream=hub.stream)
    texts = read(newcomer(fanout, resume=last), fanout)

    updates = [json.loads(t) for t in texts if json.loads(t)["type"] == "facility_update"]
    assert [update["values"]["power"] for update in updates] == [[3.0], [4.0]]
    assert not any(kind.startswith("initial") for kind in kinds(texts))
    assert kinds(texts)[-1] == "status"


def test_resume_after_too_long_gives_a_snapshot():
    hub = hub_with(power("FARM", 0, 1.0))
    fanout = Fanout(hub)
    last = schema.Resume(seq=hub.seq, stream=hub.stream)
    for index in range(700):
        hub.facilities([power("FARM", 1, float(index))])
        fanout.tick(with_status=False)

    assert "initial_data" in kinds(read(newcomer(fanout, resume=last), fanout))


@pytest.mark.parametrize("stream", ["", "0123456789abcdef"])
def test_a_seq_that_another_server_counted_gives_a_snapshot(stream):
    hub = hub_with(power("FARM", 0, 1.0))
    fanout = Fanout(hub)
    last = schema.Resume(seq=hub.seq, stream=stream)

    assert Hub().stream != hub.stream
    assert "initial_data" in kinds(read(newcomer(fanout, resume=last), fanout))


def test_each_view_is_encoded_once_however_many_ask():
    hub = hub_with(power("FARM", 0, 1.0), price(0, 50.0))
    fanout = Fanout(hub)
    chunks = []
    narrow = schema.Subscribe(filter=schema.Filter(regions=frozenset({"NSW1"})))
    forms = [Form(), Form(msgpack=True), Form(window_bits=15)]
    for number in range(30):
        client = newcomer(fanout, narrow if number % 2 else EVERYTHING, form=forms[number % 3])
        # What ends with a status of its own is not shared.
        client.outlet.put = lambda *more: chunks.extend(more[:3])
        fanout.resubscribe(client, client.wish)
    # Three channels of two views in three forms; the very same bytes, not equal ones.
    assert len(chunks) == 90
    assert len({id(chunk) for chunk in chunks}) == 18
    assert fanout.views.made == 18

    chunks.clear()
    hub.facilities([power("FARM", 1, 2.0)])
    fanout.tick(with_status=False)
    assert len(chunks) == 30
    assert len({id(chunk) for chunk in chunks}) == 6


@pytest.mark.parametrize("form", [Form(msgpack=True), Form(window_bits=15), Form(msgpack=True, window_bits=9)])  # fmt: skip
def test_every_form_says_the_same(form):
    records = [power("FARM", i, 1.0 + i) for i in range(12)] + [price(i, 50.0) for i in range(12)]  # fmt: skip
    fanout = Fanout(hub_with(*records))
    packed = b"".join(fanout.views.snapshot(EVERYTHING, form))

    assert [json.loads(t) for t in whole(fanout, EVERYTHING, form)] == [
        json.loads(t) for t in whole(fanout, EVERYTHING)
    ]
    if form.window_bits:
        assert len(packed) < 0.6 * len(b"".join(fanout.views.snapshot(EVERYTHING, Form())))


def test_who_asks_after_a_tick_gets_what_the_tick_told():
    """A snapshot made between a record and its tick must not be handed out after it."""
    hub = hub_with(power("FARM", 0, 1.0))
    fanout = Fanout(hub)
    hub.facilities([power("FARM", 0, 7.0)])
    whole(fanout, EVERYTHING)
    fanout.tick(with_status=False)

    late = Screen().show(*read(newcomer(fanout), fanout))
    assert late.charts[at(0)]["NSW1"]["generation"] == 7.0
    assert late.seq == hub.seq


def test_a_newcomer_hears_that_the_broker_is_gone():
    hub = hub_with()
    fanout = Fanout(hub)
    hub.broker_state(connected=True)
    newcomer(fanout)
    hub.broker_state(connected=False)

    assert json.loads(read(newcomer(fanout), fanout)[-1])["broker"] == "disconnected"


def test_what_is_known_is_bounded_whatever_arrives():
    hub = hub_with()
    strangers = [power(f"X{n}", 0, 1.0, by_fuel={"wind": 1.0, "gas_ocgt": 2.0, "hydro": 3.0}) for n in range(3000)]  # fmt: skip
    hub.facilities(strangers)
    hub.market([schema.MarketRecord(network_code="NEM", metric=f"m{n}", event_time=at(0), value=1.0) for n in range(800)])  # fmt: skip
    odd = [at(0) + timedelta(seconds=s) for s in range(1, 400)]
    hub.facilities([schema.FacilityRecord(event_time=t, facility_id="X1", power=1.0, emissions=None) for t in odd])  # fmt: skip
    settle(hub)

    assert hub.counts["facility", "too_many"] > 900
    assert hub.counts["market", "too_many"] == 300
    assert len(hub.newest) <= 2000
    assert len(hub.initial_charts().times) <= 64
    assert hub.initial_charts().times[-1] == odd[-1]


def test_how_many_of_how_many_report_is_said_for_each_scope():
    hub = hub_with(power("FARM", 0, 1.0), power("HYBRID", 0, 2.0), power("FARM", 1, 1.0), power("COAL", 1, None))  # fmt: skip
    scopes = {scope.scope: scope for scope in hub.initial_charts().scopes}
    assert (scopes["NSW1"].reporting, scopes["NSW1"].expected) == ((2, 1), 2)
    assert (scopes["NEM"].reporting, scopes["NEM"].expected) == ((2, 1), 2)
    assert scopes["VIC1"].expected == 0
    # An hour later nobody expects the one that has not been heard of since.
    hub.facilities([power("FARM", 12, 1.0)])
    settle(hub)
    assert {s.scope: s.expected for s in hub.initial_charts().scopes}["NSW1"] == 1


def test_the_past_fills_gaps_and_touches_nothing_else():
    hub = hub_with(power("FARM", 5, 50.0), price(5, 10.0))
    heard, event_time = hub.last_record_at, hub.event_time
    hub.past(
        [power("FARM", 4, 4.0), power("FARM", 5, 99.0), power("COAL", 5, 7.0), power("FARM", 6, 6.0)],
        [price(4, 1.0), price(5, 99.0), price(6, 2.0)],
    )  # fmt: skip
    settle(hub)

    assert hub.facility_history("FARM").power == (4.0, 50.0)
    assert hub.facility_history("COAL").power == (7.0,)
    assert [v.value for v in hub.market_history("NEM", "price")] == [1.0, 10.0]
    assert (hub.newest["FARM"].power, hub.newest["COAL"].power) == (50.0, 7.0)
    assert (hub.last_record_at, hub.event_time) == (heard, event_time)


def test_times_are_written_the_same_whoever_said_them_first():
    utc = msgspec.structs.replace(power("FARM", 0, 1.0), event_time=at(0).astimezone(UTC))
    texts = {schema.encode(hub_with(*records).initial_charts().times) for records in ([utc], [power("FARM", 0, 1.0)])}  # fmt: skip
    assert texts == {b'["2026-01-05T12:00:00+10:00"]'}


def test_a_corrected_value_replaces_the_earlier_one_everywhere():
    hub = hub_with(power("FARM", 0, 100.0), power("FARM", 1, 110.0), price(0, 50.0))
    hub.facilities([power("FARM", 0, 90.0)])
    hub.market([price(0, 55.0)])
    frames = {type(frame): frame for frame in hub.tick()}

    # The newest of FARM is unchanged, so that only the charts have news of it.
    assert schema.FacilityUpdate not in frames
    assert chart_rows(frames[schema.ChartsUpdate])[at(0)]["NSW1"]["generation"] == 90.0
    assert hub.facility_history("FARM").power == (90.0, 110.0)
    assert [v.value for v in hub.market_history("NEM", "price")] == [55.0]
    assert hub.newest["FARM"].power == 110.0


def test_what_is_said_twice_is_no_news():
    hub = hub_with(power("FARM", 0, 1.0), price(0, 50.0))
    take(hub, [power("FARM", 0, 1.0), price(0, 50.0)])
    assert hub.tick() == []


def test_no_value_stays_no_value():
    hub = hub_with(power("FARM", 0, 5.0), power("FARM", 1, None), price(1, None))

    assert rows(hub.initial_data().values)["FARM"][1] is None
    assert hub.facility_history("FARM").power == (5.0, None)
    nsw = chart_rows(hub.initial_charts())[at(1)].get("NSW1", {})
    assert nsw.get("generation") is None
    assert nsw.get("price") is None
    assert nsw.get("reporting", 0) == 0
    assert b'"power":[null]' in schema.encode(hub.initial_data())


def test_net_import_needs_both_demand_and_supply():
    demand = schema.MarketRecord(
        network_code="NEM", metric="demand", event_time=at(0), value=500.0, network_region="NSW1"
    )  # fmt: skip
    alone = chart_rows(hub_with(demand).initial_charts())[at(0)]["NSW1"]
    both = chart_rows(hub_with(demand, power("FARM", 0, 120.0)).initial_charts())[at(0)]["NSW1"]

    assert "net_import" not in alone
    assert both["net_import"] == 380.0


def test_batteries_and_pumps_are_left_out_of_generation_and_share():
    hub = hub_with(
        power("FARM", 0, 100.0), power("COAL", 0, 300.0), power("STORE", 0, -50.0),
        power("HYBRID", 0, 40.0, by_fuel={"solar_utility": 100.0, "battery": -60.0}),
    )  # fmt: skip
    nem_row = chart_rows(hub.initial_charts())[at(0)]["NEM"]

    assert nem_row["generation"] == 500.0
    assert nem_row["renewable_share"] == pytest.approx(200 / 500)
    assert nem_row["fuel battery"] == -110.0


@pytest.mark.parametrize(
    ("speed", "seconds"),
    [(None, 15), (600.0, 15), (30.0, 30), (2.0, 450), (1.0, 1200), (0.75, 1200), (0.5, 1800)],
)
def test_silence_is_stale_after_three_intervals_and_of_the_real_grid_after_the_slowest_round(
    speed, seconds
):
    hub = Hub(HISTORY)
    hub.catalogue(msgspec.structs.replace(CATALOGUE, speed=speed))
    assert hub.status().stale_after_s == seconds


def test_a_round_every_quarter_of_an_hour_is_never_stale():
    now = [datetime(2026, 1, 5, tzinfo=UTC)]
    hub = Hub(HISTORY, lambda: now[0])
    hub.catalogue(msgspec.structs.replace(CATALOGUE, speed=1.0))
    for n in range(4):
        hub.facilities([power("FARM", 3 * n, float(n))])
        now[0] += timedelta(minutes=16)
        assert hub.status().publisher == "live"


def test_silence_is_stale_until_there_are_news():
    now = [datetime(2026, 1, 5, tzinfo=UTC)]
    hub = Hub(HISTORY, lambda: now[0])
    assert hub.status().publisher == "waiting"
    hub.catalogue(msgspec.structs.replace(CATALOGUE, speed=1.0))
    hub.facilities([power("FARM", 0, 1.0)])
    now[0] += timedelta(minutes=19)
    assert hub.status().publisher == "live"
    now[0] += timedelta(minutes=2)
    assert hub.status().publisher == "stale"
    # Who only repeats what it said has no news.
    hub.facilities([power("FARM", 0, 1.0)])
    assert hub.status().publisher == "stale"
    hub.facilities([power("FARM", 0, 1.5)])
    assert hub.status().publisher == "live"
    now[0] += timedelta(minutes=21)
    hub.market([price(0, 80.0)])
    assert hub.status().publisher == "live"


def test_a_long_backlog_is_summed_over_several_ticks_and_comes_whole():
    hub = Hub(timedelta(hours=24))
    hub.catalogue(CATALOGUE)
    hub.facilities([power("FARM", index, float(index)) for index in range(200)])
    charts = {}
    ticks = 0
    while frames := hub.tick():
        ticks += 1
        for frame in frames:
            if isinstance(frame, schema.ChartsUpdate):
                charts |= chart_rows(frame)

    assert ticks > 1
    assert [charts[at(i)]["NSW1"]["fuel wind"] for i in range(200)] == list(range(200))


def test_an_interconnector_is_in_the_market_and_no_region_of_the_charts():
    hub = Hub(HISTORY)
    hub.catalogue(CATALOGUE)
    flow = schema.MarketRecord(
        network_code="NEM", metric="flow", event_time=at(0), value=250.0, network_region="V-SA"
    )
    strange = msgspec.structs.replace(flow, network_region="X-Y")
    hub.market([price(0, 80.0), price(1, 81.0), flow, strange])
    charts = hub.initial_charts()

    assert {flow, strange} <= set(hub.initial_market().values)
    assert "V-SA" not in {scope.scope for scope in charts.scopes}
    assert charts.links == (
        schema.LinkSeries(
            link="V-SA", ends=("VIC1", "SA1"), flow=(250.0, None),
            import_limit=(None, None), export_limit=(None, None),
        ),
    )  # fmt: skip
