"""Units to facilities: the sums that make a table right, on whole matrices. Pure; NaN is no value, never zero."""

import copy
from collections.abc import Iterable

import msgspec
import numpy as np
from numpy.typing import NDArray

from energydash.files.answers import Values
from energydash.files.blocks import METRICS, Block
from energydash.files.clock import Stamps
from energydash.files.roster import Indexes, Roster

POWER, EMISSIONS = range(len(METRICS))

# The API gives four decimals; sums of floats must not show their noise.
_DECIMALS = 6

Mask = NDArray[np.bool_]


class Day:
    """All points of one day: for each metric a matrix of units x times, in which a later value replaces an earlier."""

    def __init__(self, units: int, blocks: Iterable[Block], start: int, end: int) -> None:
        self._bounds = (start, end)
        self.stamps = _axis(blocks, start, end)
        shape = (len(METRICS), units, self.stamps.size)
        self.values: Values = np.full(shape, np.nan)
        self.seen: Mask = np.zeros(shape, dtype=np.bool_)
        self._touched: Mask = np.zeros(shape[:2], dtype=np.bool_)

    def part(self, times: slice) -> "Day":
        """Give some of the times, as they are now."""
        part = copy.copy(self)
        part.stamps, part.values, part.seen = self.stamps[times], self.values[..., times], self.seen[..., times]  # fmt: skip
        return part

    def take(self, block: Block) -> tuple[int, int]:
        """Put what a block has of this day in place; give how many points it replaced, and how many of these differ."""
        low, high = np.searchsorted(block.stamps, self._bounds)
        if low == high:
            return 0, 0
        columns = np.searchsorted(self.stamps, block.stamps[low:high])
        where = np.ix_(block.rows, columns)
        values, seen = self.values[block.metric], self.seen[block.metric]
        new = block.values[:, low:high]
        replaced = revised = 0
        if self._touched[block.metric, block.rows].any():
            was_there, old = seen[where], values[where]
            same = (old == new) | (np.isnan(old) & np.isnan(new))
            replaced = int(np.count_nonzero(was_there))
            revised = int(np.count_nonzero(was_there & ~same))
        values[where] = new
        seen[where] = True
        self._touched[block.metric, block.rows] = True
        return replaced, revised


def _axis(blocks: Iterable[Block], start: int, end: int) -> Stamps:
    axes = {id(block.stamps): block.stamps for block in blocks}
    parts = [stamps[slice(*np.searchsorted(stamps, (start, end)))] for stamps in axes.values()]
    return np.unique(np.concatenate([np.array([], dtype=np.int64), *parts]))


class Net(msgspec.Struct, frozen=True, kw_only=True):
    """What facilities made: power (MW, net) by fuel of the roster, and in all; emissions (t). Rows x times."""

    fuels: Values
    power: Values
    emissions: Values


def net(day: Day, roster: Roster) -> Net:
    """Sum units to facilities, each value counted once and signed.

    A battery is its signed `battery` units at each interval where one has a value, else discharging minus charging; pumps are
    loads. NaN where a fuel has no value at all.
    """
    fuels = _by_fuel(_signed(day.values[POWER], roster), roster)
    emitted = _by_fuel(day.values[EMISSIONS], roster)
    return Net(
        fuels=fuels,
        power=_rounded(_sums(fuels, roster.fuel_starts)),
        emissions=_rounded(_sums(emitted, roster.fuel_starts)),
    )


def _signed(power: Values, roster: Roster) -> Values:
    return np.where(roster.loads[:, None], -np.abs(power), power)


def _by_fuel(values: Values, roster: Roster) -> Values:
    groups = _sums(values, roster.group_starts)
    # What index -1 of the roster means: a group without any value.
    groups = np.vstack([groups, np.full((1, values.shape[1]), np.nan)])
    own = groups[roster.own]
    charging, discharging = (groups[half] for half in roster.halves)
    both = np.where(np.isnan(charging), discharging, charging + np.nan_to_num(discharging))
    return _rounded(np.where(np.isnan(own), both, own))


def _sums(values: Values, starts: Indexes) -> Values:
    """Sum each run of rows; nothing there is NaN, not zero."""
    missing = np.isnan(values)
    sums = np.add.reduceat(np.where(missing, 0.0, values), starts, axis=0)
    return np.where(np.logical_and.reduceat(missing, starts, axis=0), np.nan, sums)


def _rounded(values: Values) -> Values:
    # Adding zero turns -0.0, which a load at rest gives, into 0.0.
    rounded: Values = np.round(values, _DECIMALS) + 0.0
    return rounded
