"""What a conversion remembers for the next: what it read and what it wrote, so that only what changed is made again.

A memory that does not match the folder to the letter counts for nothing: then everything is converted from nothing.
"""

from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from energydash import __version__
from energydash.convert.output import Range, Stat, stat_of
from energydash.convert.quality import DayStats
from energydash.errors import FileError
from energydash.files.folder import read, write

# Other versions may write the same numbers in other bytes.
_VERSION = f"2 energydash {__version__} polars {pl.__version__} numpy {np.__version__}"


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """A raw file as it was read; `file` is relative to the data folder.

    `first` and `last` are its outermost stamps, None where it has no point. `listed` is the manifest's SHA-256 of it, empty
    where the manifest does not know it, and `altered` says that the content is another. `unknown` are the units
    that no catalogue knows; None until the file is decoded, and then `interval` and `offset_s` are its own.
    """

    file: str
    stat: Stat
    listed: str
    altered: bool
    first: int | None
    last: int | None
    interval: str
    offset_s: int = 0
    unknown: tuple[str, ...] | None = None

    @property
    def vouched_for(self) -> bool:
        """Whether it is what a fetch left, so that a value it changes is a revision."""
        return bool(self.listed) and not self.altered


class DayState(msgspec.Struct, frozen=True, kw_only=True):
    """A day as it was made: from which files, in their order, and where its bytes stand in each output."""

    inputs: tuple[tuple[str, Stat], ...]
    ranges: dict[str, Range]
    stats: DayStats


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The memory of one output folder and format; days are numbered since 1970."""

    catalogue: str
    interval: str
    offset_s: int
    inputs: dict[str, Input]
    days: dict[int, DayState]
    outputs: dict[str, Stat]
    version: str = _VERSION


_decode = msgspec.json.Decoder(State).decode


def load(path: Path, catalogue: str) -> State | None:
    """Read the memory; None where there is none that this version, this catalogue and the outputs bear out."""
    try:
        state = _decode(read(path, ""))
    except (FileError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    sound = state.version == _VERSION and state.catalogue == catalogue
    written = all(stat_of(Path(name)) == stat for name, stat in state.outputs.items())
    return state if sound and written else None


def save(path: Path, state: State) -> None:
    """Replace the memory.

    Raises:
        FileError: it cannot be written.
    """
    write(path, msgspec.json.encode(state))
