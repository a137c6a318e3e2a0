"""What the dashboard calls its readers' attention to, as `--alerts` says it."""

import math

import msgspec

from energydash.errors import ConfigError

DEFAULT = "price-above=300,price-below=0,trip=200,stale"
"""300 $/MWh is where the market's cap contracts begin to pay; below 0 who generates pays; a large unit has more than 200 MW."""

NONE = "none"


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """Each rule's limit; None, or False, where it is off.

    `price_above` and `price_below` are a region's spot price, $/MWh; `trip` is how much a station's power must fall from one interval to the
    next, MW; `stale` tells when the feed falls silent.
    """

    price_above: float | None = None
    price_below: float | None = None
    trip: float | None = None
    stale: bool = False


def parse(text: str) -> Rules:
    """Read rules parted by commas; "none", or nothing, is no rule.

    Raises:
        ConfigError: a rule is unknown, or its limit is no number.
    """
    given = {}
    for rule in filter(None, (part.strip() for part in text.split(","))):
        name, _, limit = rule.partition("=")
        if rule != NONE:
            given[name.strip().replace("-", "_")] = _limit(rule, name.strip(), limit)
    return msgspec.convert(given, Rules)


def _limit(rule: str, name: str, limit: str) -> float | bool:
    if rule == "stale":
        return True
    try:
        number = float(limit)
    except ValueError:
        number = math.nan
    known = name in {"price-above", "price-below", "trip"}
    if not known or not math.isfinite(number) or (name == "trip" and number <= 0):
        raise ConfigError(f"--alerts {rule} is no rule: give some of {DEFAULT}, or {NONE}")
    return number
