"""A loopback server that behaves as the OpenElectricity API does, its refusals and their order included.

What it serves is in `standin_grid`. Five-minute intervals only; no plan but the free one; no cache.
"""

import json
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlencode
from zoneinfo import ZoneInfo

import standin_grid as grid
import uvicorn

VERSION = "4.5.11"
KEY = "a-key-of-the-stand-in"
NOW = datetime(2026, 3, 10, 12, 2)
CODES_CAP = 30
HISTORY_DAYS = 730
MAX_DAYS = {"5m": 8, "1h": 32, "1d": 366, "7d": 366, "1M": 732, "3M": 1830, "season": 1830, "1y": 3700, "fy": 7}  # fmt: skip
OFFSETS = {"NEM": "+10:00", "AU": "+10:00", "WEM": "+08:00"}
STATUSES = ("committed", "operating", "commissioning", "retired")
FUELTECHS = (
    "battery", "battery_charging", "battery_discharging", "bioenergy_biogas", "bioenergy_biomass", "coal_black", "coal_brown",
    "distillate", "gas_ccgt", "gas_ocgt", "gas_recip", "gas_steam", "gas_wcmg", "hydro", "pumps", "solar_rooftop",
    "solar_thermal", "solar_utility", "nuclear", "other", "solar", "wind", "wind_offshore", "imports", "exports",
    "interconnector", "aggregator_vpp", "aggregator_dr",
)  # fmt: skip
DATA_METRICS = ("power", "energy", "emissions", "market_value", "storage_battery")
MARKET_METRICS = ("price", "demand", "demand_energy", "curtailment", "renewable_proportion")
METRICS = (*DATA_METRICS, *MARKET_METRICS)
_START_LIMIT_S = 10.0


class Refusal(Exception):  # noqa: N818 (it is an answer, not a failure)
    def __init__(self, status, body, headers=()):
        super().__init__(status)
        self.status, self.body, self.headers = status, body, headers


def refused(status, text):
    """The shape of the application's own errors."""
    return Refusal(status, {"version": VERSION, "response_status": "ERROR", "error": text, "success": False})  # fmt: skip


def unprocessable(*complaints):
    """The shape of the framework's errors."""
    return Refusal(422, {"detail": list(complaints)})


def complaint(kind, field, text, value):
    return {"type": kind, "loc": ["query", field], "msg": text, "input": value}


class StandIn:
    """One API: its clock, its keys, what was asked of it, and the switches a test may turn."""

    def __init__(self, *, now=NOW, fill_gaps=True):
        self.now = now
        self.keys = {KEY}
        self.fill_gaps = fill_gaps
        self.requests = []
        self.url = ""
        self.stations = grid.stations()

    # --- HTTP ----------------------------------------------------------------------------------------

    async def __call__(self, scope, _receive, send):
        if scope["type"] != "http":
            return
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        query = parse_qsl(scope["query_string"].decode(), keep_blank_values=True)
        self.requests.append((scope["path"], query, headers))
        extra = []
        try:
            status, body = 200, self.answer(scope["method"], scope["path"], query, headers)
        except Refusal as refusal:
            status, body, extra = refusal.status, refusal.body, refusal.headers
        content = json.dumps(body, separators=(",", ":")).encode()
        await send({
            "type": "http.response.start", "status": status,
            "headers": [(b"content-type", b"application/json"), *((k, v.encode()) for k, v in extra)],
        })  # fmt: skip
        await send({"type": "http.response.body", "body": content})

    def answer(self, method, path, query, headers):
        local = path.removeprefix("/v4")
        route, network = self.route(local)
        if route is None:
            other = local.rstrip("/") if local.endswith("/") else local + "/"
            if self.route(other)[0] is None:
                raise Refusal(404, {"detail": "Not Found"})
            prefix = path[: len(path) - len(local)]
            raise Refusal(307, None, [(b"location", f"{self.url}{prefix}{other}?{urlencode(query)}")])  # fmt: skip
        if method != "GET":
            raise Refusal(405, {"detail": "Method Not Allowed"})
        self.authorise(headers.get("authorization"), optional=route == self.market)
        return route(network, Query(query))

    def route(self, path):
        parts = path.split("/")[1:]
        match parts:
            case ["facilities", ""]:
                return self.facilities, None
            case ["data", "facilities", network] if network:
                return self.units, network
            case ["market", "network", network] if network:
                return self.market, network
        return None, None

    def authorise(self, header, *, optional):
        scheme, _, key = (header or "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            if optional:
                return
            raise refused(401, "Not authenticated")
        if len(key) < 10:
            raise refused(401, "Invalid API key")
        if key not in self.keys:
            raise refused(401, "Authentication failed")

    def envelope(self, data, **more):
        created = datetime.now(UTC).astimezone(ZoneInfo("Australia/Sydney"))
        return {"version": VERSION, "created_at": created.isoformat(timespec="seconds"), "success": True, "data": data, **more}  # fmt: skip

    # --- /facilities/ --------------------------------------------------------------------------------

    def facilities(self, _network, query):
        query.words("status_id", STATUSES)
        query.words("fueltech_id", FUELTECHS)
        query.check()
        found = [kept for each in self.stations if (kept := matching(each, query)) is not None]
        if not found:
            raise refused(404, f"No facilities found matching filters: {query.filters()}")
        return self.envelope(found, total_records=len(found))

    # --- data ----------------------------------------------------------------------------------------

    def window(self, network, query, allowed):
        """Hold a data request against the rules, in the real order, and give its labels."""
        metrics = query.words("metrics", METRICS, required=True)
        interval = query.words("interval", MAX_DAYS)[-1:] or ["5m"]
        query.capped("facility_code")
        query.capped("unit_code")
        start, end = query.moment("date_start"), query.moment("date_end")
        query.check()
        if network not in OFFSETS:
            raise refused(400, f"Network {network} not supported")
        foreign = [metric for metric in metrics if metric not in allowed]
        if foreign:
            raise refused(400, f"Unsupported metrics: {', '.join(foreign)}")
        start, end = self.bounded(start, end, interval[0])
        if len(set(metrics)) < len(metrics):
            raise refused(400, "zip() argument 2 is shorter than argument 1")
        if interval[0] != "5m":
            raise refused(501, "the stand-in serves five-minute intervals alone")
        return metrics, start, end

    def bounded(self, start, end, interval):
        for name, moment in (("start", start), ("end", end)):
            if moment is not None and moment.tzinfo is not None:
                raise refused(400, f"Date {name} must be timezone naive and in network time")
        days = MAX_DAYS[interval]
        end = end or self.newest()
        start = start or end - timedelta(days=days) / 2
        if (end - start).days > days:
            raise refused(400, f"Date range too large for {interval} interval. Maximum range is {days} days.")  # fmt: skip
        if start < self.now - timedelta(days=HISTORY_DAYS):
            raise refused(400, f"Date start is too far in the past. Your plan allows data from the last {HISTORY_DAYS} days.")  # fmt: skip
        return start, end

    def newest(self):
        """Give the newest label there is; where no end is asked for, it is withheld."""
        return self.now.replace(minute=self.now.minute - self.now.minute % 5, second=0, microsecond=0)  # fmt: skip

    def labels(self, start, end):
        """Yield the labels of the half-open window, whose values exist by now."""
        label = grid.EPOCH + -(-(start - grid.EPOCH) // grid.STEP) * grid.STEP
        while label < end and label <= self.newest():
            yield label
            label += grid.STEP

    def units(self, network, query):
        metrics, start, end = self.window(network, query, DATA_METRICS)
        codes = query.all("facility_code")
        if not codes:
            raise refused(501, "the stand-in does not fold units into a total")
        labels = list(self.labels(start, end))
        rows = {}
        for each in sorted(self.stations, key=lambda s: s["code"]):
            if each["code"] not in codes or network not in {each["network_id"], "AU"}:
                continue
            for unit in sorted(each["units"], key=lambda u: u["code"]):
                own = [label for label in labels if grid.has_row(unit, label)]
                own = [label for label in own if grid.power(unit, label) is not None]
                if own:
                    rows[unit["code"]] = (unit, own)
        if not rows:
            raise refused(404, f"No data available for facility={codes} in the specified time range")  # fmt: skip
        # In order of first sight among rows of descending time: who is alive in the newest interval leads.
        ordered = sorted(rows.values(), key=lambda row: row[1][-1], reverse=True)
        series = []
        for metric in metrics:
            unit_name, value = grid.UNIT_METRICS.get(metric, (metric, lambda _u, _l: None))
            results = [
                (f"{metric}_{unit['code']}", {"unit_code": unit["code"]}, self.points(unit, own, value))
                for unit, own in ordered
            ]  # fmt: skip
            series.append(_metric(network, metric, unit_name, results))
        return self.envelope(series)

    def points(self, unit, own, value):
        """Give a unit's points; a hole between its first and last is null, or left out by older servers."""
        known = set(own)
        inside = self.labels(own[0], own[-1] + grid.STEP) if self.fill_gaps else own
        return [(label, value(unit, label) if label in known else None) for label in inside]

    def market(self, network, query):
        metrics, start, end = self.window(network, query, MARKET_METRICS)
        if start > end:
            raise refused(400, "Date start must be before date end")
        labels = list(self.labels(start, end))
        if not labels or network == "WEM":
            raise refused(404, f"No market data available for network {network} in the specified time range")  # fmt: skip
        by_region = query.all("primary_grouping") == ["network_region"]
        series = []
        for metric in metrics:
            unit_name, whole, of_region = grid.MARKET_METRICS[metric]
            results = [(f"{metric}_total", {}, [(label, whole(label)) for label in labels])]
            if by_region:
                results = [
                    (f"{metric}_{region}", {"region": region}, [(label, of_region(region, label)) for label in labels])
                    for region in grid.REGIONS
                ]  # fmt: skip
            series.append(_metric(network, metric, unit_name, results))
        return self.envelope(series)


def matching(each, query):
    """Give a station with its matching units alone, or None where none is left."""

    def passes(name, value):
        return not query.all(name) or value in query.all(name)

    units = [unit | {"status_id": grid.status_of(unit)} for unit in each["units"]]
    units = [
        u for u in units if passes("status_id", u["status_id"]) and passes("fueltech_id", u["fueltech_id"])
    ]  # fmt: skip
    names = (("facility_code", "code"), ("network_id", "network_id"), ("network_region", "network_region"))  # fmt: skip
    if not units or not all(passes(name, each[field]) for name, field in names):
        return None
    return each | {"units": units}


def _metric(network, metric, unit_name, results):
    offset = OFFSETS[network]
    labels = [label for _, _, points in results for label, _ in points]
    span = {
        "date_start": min(labels).isoformat() + offset,
        "date_end": max(labels).isoformat() + offset,
    }
    return {
        "network_code": network, "metric": metric, "unit": unit_name, "interval": "5m", **span, "groupings": [],
        "results": [
            {"name": name, **span, "columns": columns, "data": [[label.isoformat() + offset, value] for label, value in points]}
            for name, columns, points in results
        ],
        "network_timezone_offset": offset,
    }  # fmt: skip


class Query:
    """A request's parameters; what is wrong with them is gathered and said at once."""

    def __init__(self, pairs):
        self.pairs = pairs
        self.complaints = []

    def all(self, name):
        return [value for key, value in self.pairs if key == name]

    def words(self, name, known, *, required=False):
        values = self.all(name)
        if required and not values:
            self.complaints.append(complaint("missing", name, "Field required", None))
        for value in values:
            if value not in known:
                text = f"Input should be {', '.join(repr(word) for word in known)}"
                self.complaints.append(complaint("enum", name, text, value))
        return values

    def capped(self, name):
        count = len(self.all(name))
        if count > CODES_CAP:
            text = f"List should have at most {CODES_CAP} items after validation, not {count}"
            self.complaints.append(complaint("too_long", name, text, self.all(name)))

    def moment(self, name):
        """Give a date as the framework reads it: numbers are seconds of 1970 in UTC."""
        values = self.all(name)
        if not values:
            return None
        text = values[-1]
        try:
            if text.lstrip("-").isdigit():
                return datetime.fromtimestamp(int(text), UTC)
            return datetime.fromisoformat(text)
        except ValueError:
            self.complaints.append(complaint("datetime_from_date_parsing", name, "Input should be a valid datetime or date, invalid character", text))  # fmt: skip
            return None

    def check(self):
        if self.complaints:
            raise unprocessable(*self.complaints)

    def filters(self):
        shown = []
        for name, label in (("facility_code", "facility_codes"), ("network_id", "network_ids")):
            if self.all(name):
                shown.append(f"{label}=[{', '.join(self.all(name))}]")
        if self.all("status_id"):
            shown.append(f"status_ids=[{', '.join('UnitStatusType.' + s for s in self.all('status_id'))}]")  # fmt: skip
        return ", ".join(shown)


@contextmanager
def serving(standin=None):
    """Serve a stand-in on a free port of this machine for as long as the block runs."""
    standin = standin or StandIn()
    config = uvicorn.Config(standin, host="127.0.0.1", port=0, log_level="error", lifespan="off", ws="none")  # fmt: skip
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
