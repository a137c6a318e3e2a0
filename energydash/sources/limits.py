"""What a plan of the OpenElectricity API allows: requests in a day, days in a request, days of history.

The figures are those of the server's own code (version 4.5.11, `opennem/users/plans.py`), which `/plans` tells of in
part. Longer than a span means more than that many whole days.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec

_FREE = "COMMUNITY"
_YEARS = 36_500


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """A plan. None is "no limit"; an interval without a span of its own may span `other_span`."""

    plan: str
    credits_a_day: int | None
    history: timedelta | None
    spans: Mapping[str, timedelta]
    other_span: timedelta = timedelta(days=7)

    def span(self, interval: str) -> timedelta:
        """Give the longest window of one request."""
        return self.spans.get(interval, self.other_span)


def _spans(
    five_minutes: int, hour: int, day: int, month: int, season: int, year: int
) -> dict[str, timedelta]:
    days = {
        "5m": five_minutes, "1h": hour, "1d": day, "7d": day, "1M": month, "3M": season, "season": season, "1y": year,
    }  # fmt: skip
    return {interval: timedelta(days=count) for interval, count in days.items()}


_LARGE = _spans(30, 365, 3650, _YEARS, _YEARS, _YEARS)
_PLANS = {
    limits.plan: limits
    for limits in (
        Limits(
            plan=_FREE,
            credits_a_day=500,
            history=timedelta(days=730),
            spans=_spans(8, 32, 366, 732, 1830, 3700),
        ),
        Limits(plan="ACADEMIC", credits_a_day=2000, history=None, spans=_LARGE),
        Limits(plan="PRO", credits_a_day=5000, history=None, spans=_LARGE),
        Limits(plan="ENTERPRISE", credits_a_day=None, history=None, spans=_LARGE),
    )
}

FREE = _PLANS[_FREE]
"""The plan of a key that anybody gets."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What a key may ask for; `credits` is what it has left of the day, None where nobody says.

    The API's own count may be five minutes old. Each request costs one credit, whatever it asks for.
    """

    limits: Limits = FREE
    credits: int | None = None


def limits_of(plan: str) -> Limits:
    """Give the limits of a plan; of one that is unknown, those of the free one."""
    return _PLANS.get(plan.upper(), FREE)


def next_reset(moment: datetime) -> datetime:
    """Give when the day's credits are counted anew: the next midnight UTC."""
    day = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day + timedelta(days=1)
