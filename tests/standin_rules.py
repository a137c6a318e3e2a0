"""What the API accepts and in which words it refuses: vocabularies, plans, and the reading of a query."""

from datetime import UTC, datetime, timedelta

VERSION = "4.5.11"
CODES_CAP = 30
OFFSETS = {"NEM": "+10:00", "AU": "+10:00", "WEM": "+08:00"}
STATUSES = ("committed", "operating", "commissioning", "retired")
FUELTECHS = (
    "battery", "battery_charging", "battery_discharging", "bioenergy_biogas", "bioenergy_biomass", "coal_black", "coal_brown",
    "distillate", "gas_ccgt", "gas_ocgt", "gas_recip", "gas_steam", "gas_wcmg", "hydro", "pumps", "solar_rooftop",
    "solar_thermal", "solar_utility", "nuclear", "other", "solar", "wind", "wind_offshore", "imports", "exports",
    "interconnector", "aggregator_vpp", "aggregator_dr",
)  # fmt: skip
FUELTECH_GROUPS = (
    "solar", "wind", "hydro", "biomass", "coal", "gas", "battery", "battery_charging", "battery_discharging", "distillate",
    "bioenergy", "pumps",
)  # fmt: skip
PRIMARY = ("network", "network_region")
SECONDARY = ("fueltech", "fueltech_group", "status", "renewable")
DATA_METRICS = ("power", "energy", "emissions", "market_value", "storage_battery")
MARKET_METRICS = (
    "price", "demand", "demand_energy", "demand_gross", "demand_gross_energy", "generation_renewable",
    "generation_renewable_energy", "generation_renewable_with_storage", "generation_renewable_with_storage_energy",
    "renewable_proportion", "renewable_with_storage_proportion", "curtailment", "curtailment_energy",
    "curtailment_solar_utility", "curtailment_solar_utility_energy", "curtailment_wind", "curtailment_wind_energy",
    "flow_imports", "flow_imports_energy", "flow_exports", "flow_exports_energy",
)  # fmt: skip
METRICS = (*DATA_METRICS, *MARKET_METRICS)

_FREE_DAYS = {"5m": 8, "1h": 32, "1d": 366, "7d": 366, "1M": 732, "3M": 1830, "season": 1830, "1y": 3700}  # fmt: skip
_PAID_DAYS = {"5m": 30, "1h": 365, "1d": 3650, "7d": 3650, "1M": 36500, "3M": 36500, "season": 36500, "1y": 36500}  # fmt: skip
_DAYS_OF_NO_ENTRY = 7
INTERVALS = (*_FREE_DAYS, "fy")


class Plan:
    """What a key may do: `credits` a day and `history_days` are None where there is no limit."""

    def __init__(self, code, credits_, burst, keys, history_days, days, *, visible=True):
        self.code, self.credits, self.burst, self.keys = code, credits_, burst, keys
        self.history_days, self.days, self.visible = history_days, days, visible

    def max_days(self, interval):
        return self.days.get(interval, _DAYS_OF_NO_ENTRY)

    def shown(self):
        return {
            "code": self.code, "name": self.code.title(), "daily_credits": _or_unlimited(self.credits),
            "burst_rate_limit": f"{self.burst}/s", "key_limit": _or_unlimited(self.keys), "bucket_limits": self.days,
            "period_limit_days": _or_unlimited(self.history_days),
            "historical_data": "Full" if self.history_days is None else "2 years", "visible": self.visible,
        }  # fmt: skip


def _or_unlimited(limit):
    return -1 if limit is None else limit


PLANS = {
    plan.code: plan
    for plan in (
        Plan("COMMUNITY", 500, 2, 1, 730, _FREE_DAYS),
        Plan("PRO", 5000, 5, 10, None, _PAID_DAYS, visible=False),
        Plan("ACADEMIC", 2000, 2, 5, None, _PAID_DAYS),
        Plan("ENTERPRISE", None, 10, None, None, _PAID_DAYS),
    )
}


class Refusal(Exception):  # noqa: N818 (it is an answer, not a failure)
    def __init__(self, status, body, headers=()):
        super().__init__(status)
        self.status, self.body, self.headers = status, body, headers


def error_body(text):
    """The shape of the application's own errors."""
    return {"version": VERSION, "response_status": "ERROR", "error": text, "success": False}


def refused(status, text):
    return Refusal(status, error_body(text))


def unprocessable(*complaints):
    """The shape of the framework's errors."""
    return Refusal(422, {"detail": list(complaints)})


def complaint(kind, field, text, value):
    return {"type": kind, "loc": ["query", field], "msg": text, "input": value}


class Query:
    """A request's parameters; what is wrong with them is gathered and said at once."""

    def __init__(self, pairs):
        self.pairs = pairs
        self.complaints = []

    def all(self, name):
        return [value for key, value in self.pairs if key == name]

    def one(self, name, known):
        """Give the last value of a parameter that the server takes once, or None."""
        return (self.words(name, known)[-1:] or [None])[0]

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
        codes = self.all(name)
        if len(codes) > CODES_CAP:
            text = (
                f"List should have at most {CODES_CAP} items after validation, not {len(codes)}"
            )
            self.complaints.append(complaint("too_long", name, text, codes))
        return codes

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


class Asked:
    """A data request that passed the rules: `start` and `end` are naive network time, `end` None where it was left out."""

    def __init__(self, network, query, allowed, plan, clock):
        """Hold a request against the rules in the real order.

        `clock` is the network's naive wall clock.
        """
        self.network = network
        known = tuple(dict.fromkeys((*METRICS, *allowed)))
        self.metrics = query.words("metrics", known, required=True)
        self.interval = query.one("interval", INTERVALS) or "5m"
        self.facilities, self.units = query.capped("facility_code"), query.capped("unit_code")
        self.region = (query.all("network_region")[-1:] or [None])[0]
        self.primary = query.one("primary_grouping", PRIMARY)
        self.start, self.end = query.moment("date_start"), query.moment("date_end")
        query.check()
        if network not in OFFSETS:
            raise refused(400, f"Network {network} not supported")
        foreign = [metric for metric in self.metrics if metric not in allowed]
        if foreign:
            raise refused(400, f"Unsupported metrics: {', '.join(foreign)}")
        self.explicit_end = self.end is not None
        self._bound(plan, clock)

    def _bound(self, plan, clock):
        for name, moment in (("start", self.start), ("end", self.end)):
            if moment is not None and moment.tzinfo is not None:
                raise refused(400, f"Date {name} must be timezone naive and in network time")
        self.end = self.end or floor_to_step(clock)
        # The default is half of what the free plan allows, whatever the plan.
        self.start = self.start or self.end - timedelta(days=PLANS["COMMUNITY"].max_days(self.interval)) / 2  # fmt: skip
        days = plan.max_days(self.interval)
        if (self.end - self.start).days > days:
            raise refused(400, f"Date range too large for {self.interval} interval. Maximum range is {days} days.")  # fmt: skip
        if plan.history_days is not None and self.start < clock - timedelta(days=plan.history_days):  # fmt: skip
            raise refused(400, f"Date start is too far in the past. Your plan allows data from the last {plan.history_days} days.")  # fmt: skip

    def in_order(self):
        """Refuse a window that ends before it starts: the routes of whole networks look, that of units does not."""
        if self.start > self.end:
            raise refused(400, "Date start must be before date end")

    def distinct(self):
        """Refuse a metric asked twice, as the server trips over its own columns."""
        if len(set(self.metrics)) < len(self.metrics):
            raise refused(400, "zip() argument 2 is shorter than argument 1")


def floor_to_step(moment):
    return moment.replace(minute=moment.minute - moment.minute % 5, second=0, microsecond=0)
