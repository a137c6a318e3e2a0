"""A loopback server that behaves as the OpenElectricity API does, its refusals and their order included.

What it serves is in `standin_grid`, `standin_units` and `standin_market`; what may go wrong in `standin_faults`.
"""

import gzip
import threading
import time
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from urllib.parse import parse_qsl, urlencode
from zoneinfo import ZoneInfo

import msgspec
import standin_grid as grid
import standin_market as market
import standin_units as units
import uvicorn
from standin_account import Account, envelope_time, key_of
from standin_cache import Cache
from standin_edge import Edge
from standin_faults import Faults, Reply, send_reply
from standin_rules import (
    DATA_METRICS,
    FUELTECH_GROUPS,
    FUELTECHS,
    MARKET_METRICS,
    PLANS,
    SECONDARY,
    STATUSES,
    VERSION,
    Asked,
    Query,
    Refusal,
    refused,
)
from standin_series import Axis

KEY = "a-key-of-the-stand-in"
NOW = datetime(2026, 3, 10, 12, 2)
_SYDNEY = ZoneInfo("Australia/Sydney")
_WEM_BEHIND = timedelta(hours=2)
_START_LIMIT_S = 60.0
_STOP_LIMIT_S = 2
_FACILITIES_LIFE_S = 900
_DATA_LIFE_S = 300


class StandIn:
    """One API: its clock, its keys, what was asked of it, and the switches a test may turn.

    `now` is naive NEM time and stands still unless a test moves it. `live` gives the data an edge (`standin_edge`),
    `future` what no present client knows, `compress` gzip to those that accept it. A test may set any of them, and
    `credits`, `stations`, `keys`, at any time. As with the real API, a question that was answered within five minutes
    of the clock gets the same bytes, whatever was set since; `cache=False` spares a test that, and the memory of it.
    """

    def __init__(
        self, *, now=NOW, fill_gaps=True, plan="COMMUNITY", live=False, future=False, cache=True, compress=False,
        stations=None,
    ):  # fmt: skip
        self.now = now
        self.keys = {KEY}
        self.fill_gaps, self.live, self.future = fill_gaps, live, future
        self.compress = compress
        self.account = Account(plan)
        self.cache = Cache() if cache else None
        self.faults = Faults()
        self.requests = []
        self.url = ""
        self.stations = grid.stations() if stations is None else stations

    @property
    def credits(self):
        """What the key has left of the day; None is without limit."""
        return self.account.credits

    @credits.setter  # noqa: A003 (a test says what it means)
    def credits(self, left):
        self.account.credits = left

    # --- HTTP ----------------------------------------------------------------------------------------

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        query = parse_qsl(scope["query_string"].decode(), keep_blank_values=True)
        self.requests.append((scope["path"], query, headers))
        fault = self.faults.take(scope["path"].removeprefix("/v4"))
        reply = fault.reply if fault and fault.reply else self.reply(scope["method"], scope["path"], query, headers)  # fmt: skip
        if self.compress and reply.content and "gzip" in headers.get("accept-encoding", ""):
            packed = gzip.compress(reply.content, mtime=0)
            reply = Reply(reply.status, packed, (*reply.headers, ("content-encoding", "gzip"), ("vary", "Accept-Encoding")))  # fmt: skip
        await send_reply(reply, fault, receive, send)

    def reply(self, method, path, query, headers):
        try:
            return self.answer(method, path, query, headers)
        except Refusal as refusal:
            more = [(name.decode(), value) for name, value in refusal.headers]
            return Reply(refusal.status, msgspec.json.encode(refusal.body), (*Reply(0).headers, *more))  # fmt: skip

    def answer(self, method, path, query, headers):
        local = path.removeprefix("/v4")
        route, life_s = self.route(local)
        if route is None:
            other = local.rstrip("/") if local.endswith("/") else local + "/"
            if self.route(other)[0] is None:
                raise Refusal(404, {"detail": "Not Found"})
            prefix = path[: len(path) - len(local)]
            raise Refusal(307, None, [(b"location", f"{self.url}{prefix}{other}?{urlencode(query)}")])  # fmt: skip
        if method != "GET":
            raise Refusal(405, {"detail": "Method Not Allowed"})
        key = self.authorise(local, headers, metered=life_s is not None)
        make = partial(self.made, route, Query(query), key)
        if life_s is None or self.cache is None:
            return Reply(200, make())
        # The server's key is made of the arguments, not of the text: their order does not matter, that of values does.
        question = key, local, tuple(sorted(query, key=lambda pair: pair[0]))
        return self.cache.reply(question, life_s, self.now, headers, make)

    def made(self, route, query, key):
        return msgspec.json.encode(route(query, key))

    def route(self, path):
        """Give who answers a path, and for how long the answer is kept: None where it is not and costs nothing."""
        fixed = {
            "/facilities/": (self.facilities, _FACILITIES_LIFE_S), "/me": (self.me, None), "/plans": (self.plans, None),
            "/metrics": (self.metrics, None), "/health": (self.health, None),
        }  # fmt: skip
        of_network = {"data/facilities": self.units, "data/network": self.network, "market/network": self.market}  # fmt: skip
        kind, _, network = path[1:].rpartition("/")
        if network and kind in of_network:
            return partial(of_network[kind], network), _DATA_LIFE_S
        return fixed.get(path, (None, None))

    def authorise(self, path, headers, *, metered):
        """Give the key of a request, and take what it costs."""
        if path in {"/plans", "/metrics", "/health"}:
            return None
        optional = path.startswith(("/market/", "/data/network/"))
        key = key_of(headers.get("authorization"), self.keys, optional=optional)
        if key is not None:
            self.account.verify(self.now, cost=1 if metered else 0)
        return key

    def envelope(self, data, **more):
        created = envelope_time(self.now, _SYDNEY)
        return {"version": VERSION, "created_at": created, "success": True, "data": data, **more}  # fmt: skip

    # --- the account ---------------------------------------------------------------------------------

    def me(self, _query, _key):
        return self.envelope(self.account.shown(self.now))

    def plans(self, _query, _key):
        return [plan.shown() for plan in PLANS.values() if plan.visible]

    def metrics(self, _query, _key):
        named = {metric: units.UNIT_NAMES[metric] for metric in DATA_METRICS}
        named |= {metric: market.unit_of(metric) for metric in MARKET_METRICS}
        return {"metrics": {metric: {"name": metric, "unit": unit} for metric, unit in named.items()}}  # fmt: skip

    def health(self, _query, _key):
        return "OK"

    # --- the catalogue -------------------------------------------------------------------------------

    def known_stations(self):
        return grid.by_name([*self.stations, *grid.future()]) if self.future else self.stations

    def facilities(self, query, _key):
        query.words("status_id", STATUSES)
        query.words("fueltech_id", FUELTECHS)
        query.words("fueltech_group_id", FUELTECH_GROUPS)
        query.check()
        found = [kept for each in self.known_stations() if (kept := matching(each, query)) is not None]  # fmt: skip
        if not found:
            raise refused(404, f"No facilities found matching filters: {query.filters()}")
        return self.envelope(found, total_records=len(found))

    # --- data ----------------------------------------------------------------------------------------

    def asked(self, network, query, key, allowed):
        clock = self.now - _WEM_BEHIND if network == "WEM" else self.now
        asked = Asked(network, query, allowed, self.account.plan_of(key), clock)
        return asked, Edge(clock, live=self.live)

    def units(self, network, query, key):
        asked, edge = self.asked(network, query, key, DATA_METRICS)
        asked.distinct()
        axis = axis_of(asked, edge.units_newest)
        return self.envelope(
            units.by_unit(self.known_stations(), asked, axis, edge, fill=self.fill_gaps, extra_columns=self.future)
        )  # fmt: skip

    def network(self, network, query, key):
        for name, known in (("secondary_grouping", SECONDARY), ("fueltech", FUELTECHS), ("fueltech_group", FUELTECH_GROUPS)):  # fmt: skip
            query.words(name, known)
        asked, edge = self.asked(network, query, key, DATA_METRICS)
        asked.in_order()
        asked.distinct()
        axis = axis_of(asked, edge.units_newest)
        return self.envelope(units.by_network(self.known_stations(), asked, axis, edge, query, fill=self.fill_gaps))  # fmt: skip

    def market(self, network, query, key):
        metrics = (*MARKET_METRICS, "solar_rooftop_forecast") if self.future else MARKET_METRICS
        asked, edge = self.asked(network, query, key, metrics)
        asked.in_order()
        asked.distinct()
        return self.envelope(market.answer(asked, axis_of(asked, edge.market_newest), edge))


def axis_of(asked, newest):
    """Give the half-open window as far as there is data; without an explicit end, the newest label is withheld."""
    first = -(-(asked.start - grid.EPOCH) // grid.STEP)
    stop = -(-(asked.end - grid.EPOCH) // grid.STEP)
    return Axis(asked, first, min(stop, newest + 1 if asked.explicit_end else newest))


def matching(each, query):
    """Give a station with its matching units alone, or None where none is left."""

    def passes(name, value):
        return not query.all(name) or value in query.all(name)

    kept = []
    for unit in each["units"]:
        status, fueltech = grid.status_of(unit), unit.get("fueltech_id", "")
        asked_for = passes("status_id", status) and passes("fueltech_id", fueltech)
        if asked_for and passes("fueltech_group_id", grid.group_of(fueltech)):
            kept.append(unit | ({"status_id": status} if status else {}))
    names = (("facility_code", "code"), ("network_id", "network_id"), ("network_region", "network_region"))  # fmt: skip
    if not kept or not all(passes(name, each[field]) for name, field in names):
        return None
    return each | {"units": kept}


@contextmanager
def serving(standin=None):
    """Serve a stand-in on a free port of this machine for as long as the block runs."""
    standin = standin or StandIn()
    config = uvicorn.Config(
        standin, host="127.0.0.1", port=0, log_level="error", lifespan="off", ws="none",
        timeout_graceful_shutdown=_STOP_LIMIT_S,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="stand-in", daemon=True)
    thread.start()
    deadline = time.monotonic() + _START_LIMIT_S
    while not server.started:
        if time.monotonic() > deadline or not thread.is_alive():
            raise RuntimeError("the stand-in did not start")
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    standin.url = f"http://127.0.0.1:{port}"
    try:
        yield standin
    finally:
        server.should_exit = True
        thread.join(_START_LIMIT_S)
