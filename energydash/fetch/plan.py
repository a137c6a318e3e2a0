"""What to ask: from a window and a catalogue to requests that the source answers, before any of them is sent. No I/O."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from energydash import nem, schema
from energydash.errors import ConfigError, QuotaError, SourceError
from energydash.sources.limits import Account, next_reset
from energydash.sources.protocol import BATCH_CODES, Window

_ALL = "all"
# A window is cut where a bucket of the interval begins, or its two halves would each hold a part under one label.
# Weeks and longer buckets fit a request whole, however small the plan.
_BUCKETS = {
    "5m": timedelta(minutes=5),
    "30m": timedelta(minutes=30),
    "1h": timedelta(hours=1),
    "1d": timedelta(days=1),
}
_EPOCH = datetime(2000, 1, 1, tzinfo=nem.NEM_ZONE)


class Request(msgspec.Struct, frozen=True):
    """One request: units of `codes`, or the market (`codes` None) as a whole or `by_region`."""

    window: Window
    codes: tuple[str, ...] | None = None
    by_region: bool = False


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """A plan in numbers.

    `requests` are all that the fetch needs, the catalogue's among them, `kept` those whose answers an earlier run
    left, `to_ask` the others. `credits_left` is what the key has left of the day (None: unknown or without limit),
    `plan` the key's (empty without a key). `at_least_s` is how long the requests take at the pace asked for.
    """

    source: str
    start: datetime
    end: datetime
    facilities: int
    units: int
    requests: int
    kept: int
    to_ask: int
    plan: str
    credits_left: int | None
    enough: bool
    at_least_s: float


def wanted(catalogue: schema.FacilitiesAnswer, status: str) -> list[schema.Facility]:
    """Give the facilities that have a unit of one of the comma-separated `status`, or `all`.

    `operating` takes `commissioning` in: such a unit runs, if not yet at full output.

    Raises:
        ConfigError: no facility has such a unit.
    """
    asked = {word.strip().lower() for word in status.split(",")}
    if "operating" in asked:
        asked.add("commissioning")
    found = [
        facility
        for facility in catalogue.data
        if _ALL in asked or any(unit.status_id in asked for unit in facility.units)
    ]
    if not found:
        known = sorted({unit.status_id for f in catalogue.data for unit in f.units})
        raise ConfigError(
            f"no station has a unit of --status {status}: give some of {', '.join([*known, _ALL])}"
        )
    return found


def check_history(start: datetime, account: Account | None, now: datetime) -> None:
    """Refuse a window that begins before what the key's plan shows.

    Raises:
        ConfigError: it does; the text says from when on there is data.
    """
    history = account.limits.history if account else None
    if account is None or history is None or start >= now - history:
        return
    first = (now - history).astimezone(nem.NEM_ZONE).date() + timedelta(days=1)
    raise ConfigError(
        f"--start {start.isoformat()} is too far back: the {account.limits.plan} plan shows the last "
        f"{history.days} days, so give {first} or later"
    )


def aligned(
    start: datetime, end: datetime, interval: str, network: str
) -> tuple[datetime, datetime]:
    """Give a window that begins and ends where buckets of the interval do, at or before its own ends, in network time.

    Of a bucket that is cut, the API would give a part as if it were the whole. Five minutes are never cut, and longer than a
    day a window may be as it likes.

    Raises:
        ConfigError: no whole bucket lies in it.
    """
    bucket = _BUCKETS.get(interval, timedelta(0))
    if bucket <= _BUCKETS["5m"]:
        return start, end
    zone = nem.network_zone(network)
    epoch = _EPOCH.replace(tzinfo=zone)
    first, last = (
        each.astimezone(zone) - (each.astimezone(zone) - epoch) % bucket
        for each in (start, end)
    )
    if first == last:
        raise ConfigError(
            f"the window holds no whole {interval}: give an --end of {(last + bucket).isoformat()} or later"
        )
    return first, last


def windows(
    start: datetime, end: datetime, interval: str, account: Account | None
) -> list[Window]:
    """Cut a window (in network time) into half-open ones that one request may ask for, touch and do not overlap.

    Raises:
        ConfigError: it is too long for one request, and its interval is one that cannot be cut.
    """
    span = account.limits.span(interval) if account else None
    if span is None or end - start <= span:
        return [Window(start, end)]
    bucket = _BUCKETS.get(interval)
    if bucket is None:
        raise ConfigError(
            f"at --interval {interval} the API answers {span.days} days in one request, and the window has "
            f"{(end - start).days}: give a later --start, or fetch it in parts"
        )
    return _cut(start, end, span, bucket)


def _cut(start: datetime, end: datetime, span: timedelta, bucket: timedelta) -> list[Window]:
    parts = []
    epoch = _EPOCH.replace(tzinfo=start.tzinfo)
    while start < end:
        stop = start + span
        stop = min(end, stop - (stop - epoch) % bucket)
        parts.append(Window(start, stop))
        start = stop
    return parts


def batches(codes: Sequence[str], size: int) -> list[tuple[str, ...]]:
    """Cut codes into runs of at most `size`, in order.

    Raises:
        ConfigError: `size` is less than one or more than the API takes.
    """
    if not 1 <= size <= BATCH_CODES:
        raise ConfigError(f"--batch-size {size} is out of range: give 1 to {BATCH_CODES}")
    return [tuple(codes[i : i + size]) for i in range(0, len(codes), size)]


def requests_of(spans: Sequence[Window], groups: Sequence[tuple[str, ...]]) -> list[Request]:
    """Give the data requests in order: of each window the market, then the groups."""
    requests = []
    for span in spans:
        requests += [Request(span), Request(span, by_region=True)]
        requests += [Request(span, codes) for codes in groups]
    return requests


def describe(planned: Planned, now: datetime) -> str:
    """Say a plan, and what happens where the key's credits do not suffice, in a line or two."""
    text = (
        f"{planned.requests} requests for {planned.facilities} stations from {planned.start.isoformat()} "
        f"to {planned.end.isoformat()}"
    )
    if planned.kept:
        text += f"; {planned.kept} are answered already, {planned.to_ask} to ask"
    if planned.at_least_s:
        text += f"; at least {duration(planned.at_least_s)}"
    if not planned.plan:
        return text
    if planned.credits_left is None:
        return f"{text}\nthe key's plan is {planned.plan}; how many requests it has left, the API does not say"
    text += f"\nthe key ({planned.plan}) has {planned.credits_left} requests left today"
    if planned.enough:
        return text
    return (
        f"{text}: too few. The fetch stops when they are used up and keeps what it has; the same command after "
        f"{until_reset(now)} goes on with the rest"
    )


def when_again(error: SourceError, now: datetime) -> str:
    """Say when a source that wants rest may be asked again: ` in 20 min`, ` after 00:00 UTC …`, or nothing for other errors."""
    if not isinstance(error, QuotaError):
        return ""
    if error.wait_s is not None:
        return f" in {duration(error.wait_s)}"
    return f" after {until_reset(now)}"


def until_reset(now: datetime) -> str:
    """Say when the day's quota is counted anew."""
    return f"00:00 UTC (in {duration((next_reset(now) - now).total_seconds())})"


def duration(seconds: float) -> str:
    """Say a length of time: `40 s`, `12 min`, `3 h 05 min`."""
    minutes = round(seconds / 60)
    if seconds < 100:  # noqa: PLR2004 (up to here, seconds say more)
        return f"{seconds:.0f} s"
    if minutes < 60:  # noqa: PLR2004 (an hour)
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"
