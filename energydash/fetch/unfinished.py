"""What an earlier run of a fetch left: taken up where it is the same fetch, else begun anew."""

import shutil
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from energydash import nem
from energydash.config import FetchSettings
from energydash.files import stage as stages
from energydash.files.folder import DataFolder
from energydash.files.stage import Stage, Terms

# The window of an unfinished fetch without ends of its own: after two days, "the last week" means another one.
_TAKEN_UP_WITHIN = timedelta(days=2)
# Where a dry run keeps the catalogue while an unfinished fetch of other terms is to stay.
_APART = ".fetch.dry"

Tell = Callable[[str], None]
"""Told what a user should read now."""


def take_up(
    folder: DataFolder, terms: Terms, settings: FetchSettings, tell: Tell, now: datetime
) -> Stage:
    """Take up what an earlier run left, where that is the same fetch; else begin anew, a dry run apart from it.

    Raises:
        FileError: the folder cannot be written.
    """
    place = DataFolder(folder.root / _APART) if settings.dry_run else folder
    left = stages.find(folder)
    if left is None or not left.kept:
        return stages.begin(folder, terms, now)
    if settings.restart:
        return stages.begin(place, terms, now)
    if left.terms == terms:
        return left
    begun = left.begun.astimezone(nem.NEM_ZONE).isoformat(" ", "minutes")
    moved = msgspec.structs.replace(left.terms, start=terms.start, end=terms.end) == terms
    same_length = left.terms.end - left.terms.start == terms.end - terms.start
    young = now - left.begun < _TAKEN_UP_WITHIN
    if moved and same_length and young and not settings.fixed:
        tell(
            f"going on with the fetch that was begun at {begun}, and its window; --restart begins afresh"
        )
        return left
    fate = "would be" if settings.dry_run else "is"
    tell(f"the unfinished fetch of {begun} asked for something else and {fate} dropped")
    return stages.begin(place, terms, now)


def clear(folder: DataFolder) -> None:
    """Take away what a dry run kept apart."""
    shutil.rmtree(folder.root / _APART, ignore_errors=True)
