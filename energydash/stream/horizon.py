"""How far ahead a record's time may lie. Pure: the clock is handed in.

A live stream keeps to the clock; one that is replayed or simulated faster than time passes runs ahead of it, and is known by many that
say the same. One broken sender must not decide what the newest interval is: beyond the clock and beyond what is known already it is
believed where others bear it out.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from energydash.schema import FacilityRecord, MarketRecord
from energydash.stream.replay import market_key

AHEAD = timedelta(hours=1)
"""How far beyond the clock, or the newest that is known, a record may lie on its own word."""

WITNESSES = 3
"""How many stations or market values have to say the same moment for one that lies further ahead."""

_MOST_HELD = 512

_Record = FacilityRecord | MarketRecord
_Series = str | tuple[str, str, str | None]


def _wall() -> datetime:
    return datetime.now(UTC)


class Horizon:
    """Lets records through whose time can be, and holds the others until enough of them say the same.

    What has passed in the end does not depend on the order in which it came. Of what never passes the oldest moments are forgotten.
    """

    def __init__(self, clock: Callable[[], datetime] = _wall) -> None:
        self._clock = clock
        self._newest: datetime | None = None
        self._held: dict[datetime, dict[_Series, _Record]] = {}
        self._count = 0

    def admit(self, records: Sequence[_Record]) -> tuple[list[_Record], int]:
        """Give what may pass now, also of what came before, and how many of `records` may not (yet)."""
        passed: list[_Record] = []
        held: list[_Record] = []
        for record in records:
            known = self._newest
            if known is not None and record.event_time <= known:
                passed.append(record)
                continue
            if record.event_time <= self._limit():
                self._newest = record.event_time
                passed.append(record)
            else:
                self._hold(record)
                held.append(record)
            if self._newest != known:
                passed.extend(self._released())
        if not held:
            return passed, 0
        limit = self._limit()
        return passed, sum(record.event_time > limit for record in held)

    def _limit(self) -> datetime:
        now = self._clock()
        return (now if self._newest is None else max(now, self._newest)) + AHEAD

    def _hold(self, record: _Record) -> None:
        said = self._held.setdefault(record.event_time, {})
        self._count += _series(record) not in said
        said[_series(record)] = record
        if len(said) >= WITNESSES:
            self._newest = record.event_time
        elif self._count > _MOST_HELD:
            self._count -= len(self._held.pop(next(iter(self._held))))

    def _released(self) -> Iterator[_Record]:
        """Take out what is within reach now, earliest first: each may bring the next within reach."""
        while self._held and (earliest := min(self._held)) <= self._limit():
            self._newest = max(self._newest or earliest, earliest)
            said = self._held.pop(earliest)
            self._count -= len(said)
            yield from said.values()


def _series(record: _Record) -> _Series:
    return record.facility_id if isinstance(record, FacilityRecord) else market_key(record)
