"""When event time begins again: a publisher that starts its tables anew says so, and its values bear it out. Pure."""

from collections import deque
from collections.abc import Sequence
from datetime import datetime

from energydash.server.records import Timed

_REMEMBERED = 64


class Rounds:
    """Which round of event time the values are of; `name` is that of its catalogue, empty where it has none.

    A word of another round alone forgets nothing: who publishes the next day after this one goes on with it.
    """

    def __init__(self) -> None:
        self.name = ""
        self._is_first = True
        self._next = ""
        # Two publishers on one topic repeat their catalogues in turn: neither is news a second time.
        self._heard: deque[str] = deque(maxlen=_REMEMBERED)

    def hear(self, round_id: str) -> None:
        """Take what a catalogue says; one without a round goes on with whatever there is."""
        if round_id and round_id not in self._heard:
            self._heard.append(round_id)
            self._next = "" if self._is_first else round_id
        if self._is_first:
            self.name, self._is_first = round_id, False

    def begin_with(self, records: Sequence[Timed], newest: datetime | None) -> bool:
        """Whether a round of which a word has come begins with these records; `newest` is the newest interval so far.

        It does with an earlier one. With a later one the round before goes on, and what is of the newest itself may be the last of
        the old round on its way.
        """
        if not self._next or not records:
            return False
        times = [record.event_time for record in records]
        if newest is None or min(times) < newest:
            self.name, self._next = self._next, ""
            return True
        if max(times) > newest:
            self._next = ""
        return False
