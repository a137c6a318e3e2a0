"""What was made of the hub's state, kept while that state lasts: for all who ask the same."""

from collections import OrderedDict
from collections.abc import Hashable


class Kept[T]:
    """Values by key, each good at one moment of what it was made of; the longest unused go first."""

    def __init__(self, most_bytes: int, most: int) -> None:
        self._most_bytes = most_bytes
        self._most = most
        self._kept: OrderedDict[Hashable, tuple[Hashable, T, int]] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable, moment: Hashable) -> T | None:
        """Give what was made at this moment, or None."""
        kept = self._kept.get(key)
        if kept is None or kept[0] != moment:
            return None
        self._kept.move_to_end(key)
        return kept[1]

    def put(self, key: Hashable, moment: Hashable, value: T, size: int) -> None:
        """Keep a value of so many bytes in place of what the key had."""
        self._forget(key)
        self._kept[key] = (moment, value, size)
        self._bytes += size
        while len(self._kept) > 1 and (
            self._bytes > self._most_bytes or len(self._kept) > self._most
        ):
            self._forget(next(iter(self._kept)))

    def _forget(self, key: Hashable) -> None:
        gone = self._kept.pop(key, None)
        if gone is not None:
            self._bytes -= gone[2]
