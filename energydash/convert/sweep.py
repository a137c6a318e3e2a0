"""The sweep over the days: each file decoded once, each day made once, bounded memory at any length."""

from collections import deque
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import msgspec

from energydash.convert.inputs import Reader, learnt
from energydash.convert.quality import DayStats, Overlap, day_stats
from energydash.convert.state import Input
from energydash.errors import FileError
from energydash.files.arithmetic import Day
from energydash.files.blocks import UnitAnswer, mixed
from energydash.files.clock import day_bounds
from energydash.files.daily import Scene, scene_of
from energydash.files.roster import Roster

# Rendering leaves the interpreter to others most of the time; a day on its way takes some 50 MB.
_RENDERERS = 2
# A fetched file spans up to eight days; while they are rendered, the next files can be decoded.
_AHEAD = 8

Renderer = Callable[[Scene], dict[str, list[bytes]]]
"""Gives a day's bytes for each output."""


Gathered = tuple[int, Day, Overlap]


class MadeDay(msgspec.Struct, frozen=True, kw_only=True):
    """A day that is ready to be written."""

    number: int
    parts: dict[str, list[bytes]]
    stats: DayStats


class Sweep:
    """Makes days in their order; `learnt` collects what decoding told about the files."""

    def __init__(
        self, reader: Reader, roster: Roster, interval: str, offset_s: int, render: Renderer
    ) -> None:
        self._reader = reader
        self._roster = roster
        self._interval = interval
        self._offset_s = offset_s
        self._render = render
        self._held: dict[str, UnitAnswer] = {}
        self.learnt: dict[str, Input] = {}

    def days(self, wanted: Mapping[int, list[Input]]) -> Generator[MadeDay]:
        """Yield the wanted days (each from its files), in order; close it when done, for it has threads at work.

        Raises:
            FileError: a file is malformed, of another interval or not what the manifest says.
        """
        rest = iter(wanted.items())
        gathering: deque[Future[Gathered]] = deque()
        making: deque[Future[MadeDay]] = deque()
        with ThreadPoolExecutor(1) as gatherer, ThreadPoolExecutor(_RENDERERS) as renderers:

            def look_ahead() -> None:
                for number, inputs in islice(rest, _AHEAD - len(gathering)):
                    gathering.append(gatherer.submit(self._gathered, number, inputs))

            try:
                look_ahead()
                while gathering or making:
                    while gathering and len(making) < _RENDERERS:
                        making.append(renderers.submit(self._made, gathering.popleft()))
                        look_ahead()
                    yield making.popleft().result()
            finally:
                gatherer.shutdown(cancel_futures=True)
                renderers.shutdown(cancel_futures=True)

    def _gathered(self, number: int, inputs: list[Input]) -> Gathered:
        self._hold(inputs)
        start, end = day_bounds(number, self._offset_s)
        answers = [self._held[each.file] for each in inputs]
        day = Day(
            len(self._roster.units),
            [b for answer in answers for b in answer.blocks],
            start,
            end,
        )
        replaced = revised = disagreeing = 0
        for each, answer in zip(inputs, answers, strict=True):
            for block in answer.blocks:
                again, changed = day.take(block)
                replaced += again
                revised += changed
                disagreeing += 0 if each.vouched_for else changed
        return number, day, Overlap(replaced=replaced, revised=revised, disagreeing=disagreeing)

    def _made(self, gathered: Future[Gathered]) -> MadeDay:
        number, day, overlap = gathered.result()
        scene = scene_of(day, self._roster, self._offset_s)
        return MadeDay(
            number=number, parts=self._render(scene), stats=day_stats(scene, overlap)
        )

    def _hold(self, inputs: list[Input]) -> None:
        """Have these files decoded and no others: a file's days follow each other."""
        held = self._held
        self._held = {}
        for each in inputs:
            known = held.get(each.file)
            self._held[each.file] = self._decoded(each) if known is None else known

    def _decoded(self, each: Input) -> UnitAnswer:
        answer = self._reader.read(each)
        if answer.interval not in {"", self._interval}:
            raise mixed(Path(each.file), answer.interval, self._interval)
        for stamp in (answer.first, answer.last):
            if stamp is not None and not _within(stamp, each):
                raise FileError(
                    f"manifest.jsonl does not tell the span of {each.file}: delete manifest.jsonl and convert again"
                )
        self.learnt[each.file] = learnt(each, answer)
        return answer


def _within(stamp: int, each: Input) -> bool:
    return each.first is not None and each.last is not None and each.first <= stamp <= each.last
