"""What is on its way to the broker: in order, each message until its answer, through any number of connections."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime
from itertools import islice

from energydash import schema
from energydash.schema import FacilityRecord, MarketRecord
from energydash.stream.client import Client, Mark, Outgoing
from energydash.stream.replay import Interval, market_key

_LOOK_UP_S = 0.25


def key_of(record: FacilityRecord | MarketRecord) -> str:
    """Give what tells a record from the others of its interval, as a text."""
    if isinstance(record, FacilityRecord):
        return record.facility_id
    return " ".join(each or "-" for each in market_key(record))


class Outbox:
    """Records in their order. It holds one interval and what is under way: `Client.room` bounds it.

    `delay_s` is the least time between two messages.
    """

    def __init__(
        self, topics: tuple[str, str], delay_s: float = 0.0, mark: Mark | None = None
    ) -> None:
        self._facility_topic, self._market_topic = topics
        self._delay_s = delay_s
        self._sent_at = 0.0
        self._waiting: deque[Outgoing] = deque()
        self._client: Client | None = None
        self._mark = mark
        self.records = 0

    def start_over(self) -> None:
        """Let the place begin again with the tables."""
        self._mark = None

    def add(self, interval: Interval, moment: datetime) -> int:
        """Take an interval whose place in the tables is `moment`; give the number of its records."""
        front = self._mark
        for record in interval.facilities:
            self._add(self._facility_topic, record, Mark(moment, key_of(record)), front)
        for value in interval.market:
            self._add(self._market_topic, value, Mark(moment, key_of(value)), front)
        whole = Mark(moment, whole=True)
        # What comes late or is revised lies behind, and leaves the place where it is.
        self._mark = whole if _advances(front, whole) else front
        count = len(interval.facilities) + len(interval.market)
        self.records += count
        return count

    def _add(
        self,
        topic: str,
        record: FacilityRecord | MarketRecord,
        mark: Mark,
        front: Mark | None,
    ) -> None:
        self._waiting.append(Outgoing(topic, schema.encode(record), before=self._mark))
        if _advances(front, mark):
            self._mark = mark

    async def send(self, client: Client, meanwhile: Callable[[], Awaitable[None]]) -> None:
        """Hand on what waits, and do `meanwhile` now and then between messages that are `delay_s` apart.

        Raises:
            MqttError: the connection was lost; what has no answer is sent again by the next `send`, first.
            BrokerError: the broker refuses a message.
        """
        self._client = client
        while self._waiting:
            if self._delay_s:
                await self._keep_distance(meanwhile)
            await client.room()
            client.put(self._waiting[0])
            self._waiting.popleft()

    async def _keep_distance(self, meanwhile: Callable[[], Awaitable[None]]) -> None:
        due = self._sent_at + self._delay_s
        while (wait_s := due - time.monotonic()) > 0:
            await asyncio.sleep(min(wait_s, _LOOK_UP_S))
            await meanwhile()
        self._sent_at = time.monotonic()

    def take_back(self) -> None:
        """Put what the lost connection has no answer for before what waits."""
        if self._client is not None:
            self._waiting.extendleft(reversed(self._unanswered()))
            self._client = None

    @property
    def acknowledged(self) -> int:
        """How many records have arrived: at QoS 0, how many the system took."""
        return self.records - len(self._waiting) - len(self._unanswered())

    @property
    def place(self) -> Mark | None:
        """The place in the tables up to which all have arrived; None before the first."""
        for message in (*self._unanswered()[:1], *islice(self._waiting, 1)):
            return message.before
        return self._mark

    def _unanswered(self) -> list[Outgoing]:
        if self._client is None:
            return []
        return [message for message in self._client.under_way if not message.retain]


def _advances(front: Mark | None, mark: Mark) -> bool:
    """Whether a mark of an interval lies after those of the intervals before."""
    return (
        front is None
        or mark.moment > front.moment
        or (mark.moment == front.moment and not front.whole)
    )


def after(interval: Interval, mark: Mark) -> Interval | None:
    """Give what of an interval lies after a mark: at least that, where the interval has changed since."""
    if interval.moment > mark.moment:
        return interval
    if interval.moment < mark.moment or mark.whole:
        return None
    keys = [*map(key_of, interval.facilities), *map(key_of, interval.market)]
    done = keys.index(mark.key) + 1 if mark.key in keys else 0
    stations = len(interval.facilities)
    rest = Interval(interval.moment, interval.facilities[done:], interval.market[max(done - stations, 0) :])  # fmt: skip
    return rest if rest.facilities or rest.market else None
