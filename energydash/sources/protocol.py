"""What every source of data can do; transports differ, answers do not.

Each source gives raw answers, byte for byte in the form of the OpenElectricity API, so that all of them go through
the same parser and nothing downstream knows the difference.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from energydash.sources.limits import Account

FACILITY_METRICS = ("power", "emissions")
MARKET_METRICS = ("price", "demand")

BATCH_CODES = 30
"""The API takes at most this many facility codes in one request."""


class Window(msgspec.Struct, frozen=True):
    """A half-open window [start, end) of aware times; without an end, up to the newest interval there is."""

    start: datetime
    end: datetime | None


class Source(Protocol):
    """A source of raw answers; None where it holds no data for the request."""

    @property
    def name(self) -> str:
        """The name that `--source` and every screen use."""
        ...

    @property
    def simulated(self) -> bool:
        """Whether the numbers are made up."""
        ...

    @property
    def url(self) -> str:
        """Where the answers come from; empty where nobody is asked."""
        ...

    @property
    def whole(self) -> bool:
        """Whether one question may name any number of facilities, for what it costs does not depend on them."""
        ...

    async def account(self) -> Account | None:
        """Give what the key may ask for; None where nothing is limited."""
        ...

    async def facilities(self, network: str) -> bytes:
        """Give the whole catalogue, whatever the units' status."""
        ...

    async def facility_data(
        self, network: str, facility_codes: Sequence[str], window: Window, interval: str
    ) -> bytes | None:
        """Give power (MW) and emissions (t) of up to `BATCH_CODES` facilities' units."""
        ...

    async def market_data(
        self, network: str, window: Window, interval: str, *, by_region: bool
    ) -> bytes | None:
        """Give price ($/MWh) and demand (MW) of the network, or of each of its regions."""
        ...

    async def news(self) -> timedelta | None:
        """Give zero if there is something that was not there at the last call, else how long to wait before the next.

        None where only a question can tell: a cadence then says when to put it.
        """
        ...

    async def aclose(self) -> None:
        """Let go of connections."""
        ...
