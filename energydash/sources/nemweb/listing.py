"""Directory listings of AEMO's file server, read defensively, and what the names of its files say. Pure."""

import re
from collections.abc import Iterable
from datetime import date, datetime
from html.parser import HTMLParser
from typing import override
from urllib.parse import unquote

import msgspec

from energydash.nem import NEM_ZONE

# A name goes into a path, on the server and on our disk: nothing else may be in it.
_NAME = re.compile(r"[A-Za-z0-9][\w.#-]*\.(?:zip|csv)", re.IGNORECASE | re.ASCII)
_STAMP = re.compile(r"_(\d{12})(?:\d{2})?_(\w+)\.zip", re.IGNORECASE | re.ASCII)
_DAY = re.compile(r"_(\d{8})\.zip", re.IGNORECASE | re.ASCII)


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.targets += [value for name, value in attrs if name == "href" and value]


def file_names(page: str) -> tuple[str, ...]:
    """Give the names of the files that a listing links to, in its order, each once.

    Only names are taken: wherever a link points, a file is asked for in the folder that was listed.
    """
    links = _Links()
    links.feed(page)
    links.close()
    last = (unquote(each.partition("?")[0]).rpartition("/")[2] for each in links.targets)
    return tuple(dict.fromkeys(name for name in last if _NAME.fullmatch(name)))


class Published(msgspec.Struct, frozen=True, order=True):
    """A file of one interval: the label in its name, and the serial that says which of two is the later."""

    label: datetime
    serial: str
    name: str


def published(name: str, prefix: str) -> Published | None:
    """Read the name of an interval's file that begins with `prefix`; None for any other."""
    found = _STAMP.fullmatch(name[len(prefix) :]) if _begins(name, prefix) else None
    if found is None:
        return None
    try:
        # The time is NEM time: the label is the end of the interval.
        label = datetime.strptime(found[1], "%Y%m%d%H%M").replace(tzinfo=NEM_ZONE)
    except ValueError:
        return None
    return Published(label, found[2].rjust(20, "0"), name)


def newest_of_each(names: Iterable[str], prefix: str) -> dict[datetime, str]:
    """Give for each label its file; of several, the one that was published last, which corrects the others."""
    files = sorted(filter(None, (published(name, prefix) for name in names)))
    return {file.label: file.name for file in files}


def within(
    names: Iterable[str], prefix: str, first: datetime, last: datetime | None
) -> list[str]:
    """Give the names whose time lies from `first` to `last` (None: to the end), and the latest of all, unread.

    To read a name costs ten times as much as to compare its digits, and a year has 100,000 of a report.
    """
    time = slice(len(prefix) + 1, len(prefix) + 13)
    dated = [(name[time], name) for name in names if name[time].isdigit()]
    low = first.astimezone(NEM_ZONE).strftime("%Y%m%d%H%M")
    latest = max(dated, default=("", ""))[0]
    high = latest if last is None else last.astimezone(NEM_ZONE).strftime("%Y%m%d%H%M")
    return [name for at, name in dated if low <= at <= high or at == latest]


def archives(names: Iterable[str], prefix: str) -> dict[date, str]:
    """Give the archives by the day in their names."""
    days = {}
    for name in names:
        found = _DAY.fullmatch(name[len(prefix) :]) if _begins(name, prefix) else None
        if found is None:
            continue
        try:
            days[datetime.strptime(found[1], "%Y%m%d").replace(tzinfo=NEM_ZONE).date()] = name
        except ValueError:
            continue
    return days


def _begins(name: str, prefix: str) -> bool:
    return name[: len(prefix)].upper() == prefix.upper()
