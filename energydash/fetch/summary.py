"""What a fetch brought, as the command reports it."""

from datetime import datetime

import msgspec


class FetchSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a fetch brought.

    `facilities` and `units` are those asked for. Of the `requests` that it took, `kept` were answered by an earlier run
    and `no_data` found nothing; `sent` counts what went out this time, of it `retries` once more. `points` are the values (null
    included) of all units' metrics, `market_points` those of the market, `files` how many were written. `credits_left` is an
    estimate (None: unknown, or without limit). The `unknown_…` count the units, stations or fields that this version
    does not know, `unreadable` the values taken for absent because they are not what they should be, `nameless` the
    units and stations that have no code.
    """

    source: str
    simulated: bool
    start: datetime
    end: datetime
    facilities: int
    units: int
    requests: int
    kept: int
    sent: int
    retries: int
    no_data: int
    points: int
    market_points: int
    files: int
    seconds: float
    credits_left: int | None
    unknown_fueltechs: dict[str, int]
    unknown_statuses: dict[str, int]
    unknown_networks: dict[str, int]
    unknown_fields: dict[str, int]
    unreadable: dict[str, int]
    nameless: int
    data_dir: str
