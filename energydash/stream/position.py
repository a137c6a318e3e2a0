"""The place in the tables up to which the broker has everything, kept in a file so that a later run goes on there."""

import logging
import time
from datetime import datetime
from pathlib import Path

import msgspec

from energydash.errors import FileError
from energydash.files.folder import read, write
from energydash.stream.client import Mark
from energydash.stream.ledger import sum_of
from energydash.stream.replay import Interval
from energydash.threads import to_its_end

logger = logging.getLogger(__name__)

EVERY_S = 0.25
"""How often the file is written at most: what a kill makes come twice was acknowledged since."""

_ADVICE = "remove it to begin at the beginning"


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    moment: datetime
    key: str = ""
    whole: bool = False
    topics: tuple[str, str]
    sums: dict[str, str] = {}


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Kept).decode


class Position:
    """The file; a disk that is full is said once and tried again, and never ends the stream."""

    def __init__(self, path: Path, topics: tuple[str, str]) -> None:
        self._path = path
        self._topics = topics
        self._kept: Mark | None = None
        self._sums: dict[str, str] = {}
        self._kept_at = 0.0
        self._failed = False

    def load(self) -> Mark | None:
        """Give where an earlier run came to; None where there was none.

        Raises:
            FileError: the file cannot be read, or belongs to another stream.
        """
        if not self._path.exists():
            return None
        try:
            kept = _decode(read(self._path, _ADVICE))
        except msgspec.MsgspecError as exc:
            raise FileError(f"{self._path} is no position ({exc}): {_ADVICE}") from exc
        if kept.topics != self._topics:
            raise FileError(
                f"{self._path} is the position of another stream ({kept.topics[0]}): give another --offset-file"
            )
        self._sums = kept.sums
        self._kept = Mark(kept.moment, kept.key, kept.whole)
        return self._kept

    def has_changed(self, interval: Interval) -> bool:
        """Whether an interval is known to have been other when it was sent."""
        known = self._sums.get(interval.moment.isoformat())
        return known is not None and known != sum_of(interval)

    @property
    def is_time(self) -> bool:
        """Whether the last writing is long enough ago."""
        return time.monotonic() - self._kept_at >= EVERY_S

    async def keep(
        self, mark: Mark | None, sums: dict[str, str] | None = None, *, now: bool = False
    ) -> None:
        """Write down a place; `now` even where the last writing was a moment ago.

        `sums` says what of each late interval has arrived (`Ledger.sums`); None leaves what was said before.
        """
        news = mark != self._kept or (sums is not None and sums != self._sums)
        if mark is None or not news or not (now or self.is_time):
            return
        self._kept_at = time.monotonic()
        self._sums = self._sums if sums is None else sums
        kept = _Kept(
            moment=mark.moment,
            key=mark.key,
            whole=mark.whole,
            topics=self._topics,
            sums=self._sums,
        )
        try:
            # Left behind, it could come after the place that is written at the end.
            await to_its_end(write, self._path, _encode(kept))
        except FileError as exc:
            if not self._failed:
                logger.warning("the position is not kept, the stream goes on: %s", exc)
            self._failed = True
            return
        if self._failed:
            logger.info("the position is kept again in %s", self._path)
        self._failed = False
        self._kept = mark
