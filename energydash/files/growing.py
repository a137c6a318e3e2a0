"""A fetched folder that grows: answers are added beside those that are there, and a reader takes the later value."""

from collections.abc import Iterable, Iterator
from datetime import datetime, time, timedelta

import msgspec

from energydash import schema
from energydash.errors import FileError
from energydash.files import compaction, manifest, raw
from energydash.files.folder import DataFolder, batch_name, read, write, write_with
from energydash.files.known import Known

_ADVICE = "run `energydash fetch` first"

# Older than that, a folder is better fetched anew than caught up with.
_CAUGHT_UP_WITHIN = timedelta(days=5)
# Its line in the manifest also says who was asked for, whether there was an answer or not.
_CATALOGUE = "facilities_data.json"

MANY_FILES = 300
"""So many answers that touch the same days are merged."""


class Growing:
    """Adds to a folder that holds a complete fetch.

    Raises:
        FileError: from every method, where the folder cannot be read or written.
    """

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._load()

    def _load(self) -> None:
        self._entries = manifest.load(self._folder.manifest)
        self._number = max(
            map(raw.batch_number, raw.unit_files(self._folder)), default=(0, "")
        )[0]

    def recover(self) -> None:
        """List what a kill or a full disk left without a line of the manifest; the caller keeps others away."""
        paths = {f"batch_data/{path.name}": path for path in raw.unit_files(self._folder)}
        # Files go before the manifest says so.
        self._entries = {
            name: each for name, each in self._entries.items() if each.kind != "units" or name in paths
        }  # fmt: skip
        like = next((each for each in self._entries.values() if each.kind == "units"), None)
        if like is None:
            return
        for name in paths.keys() - self._entries.keys():
            labels = compaction.labels_of(raw.load_answer(paths[name]))
            found = msgspec.structs.replace(
                like, start=min(labels, default=None), facilities=(), points=len(labels),
                first=min(labels, default=None), last=max(labels, default=None),
            )  # fmt: skip
            self._list(_filled(found, name, read(paths[name], _ADVICE)))

    @property
    def newest(self) -> datetime | None:
        """The newest label of any unit."""
        labels = [
            each.last for each in self._entries.values() if each.kind == "units" and each.last
        ]
        return max(labels, default=None)

    @property
    def since(self) -> datetime:
        """The first label that the folder was asked for."""
        return self._provenance().start

    def facilities(self) -> set[str]:
        """Give the codes that were asked for so far."""
        return {code for entry in self._entries.values() for code in entry.facilities}

    def fits(self, *, source: str, network: str, interval: str) -> bool:
        """Whether what is there comes from the same place and is of the same kind."""
        provenance = raw.load_provenance(self._folder)
        kinds = {(each.source, each.network, each.interval) for each in self._entries.values() if each.kind == "units"}  # fmt: skip
        return provenance is not None and kinds == {(source, network, interval)}

    def is_recent(self, now: datetime, *, source: str, network: str, interval: str) -> bool:
        """Whether it `fits`, and its newest values are so young that a follow can go on from them."""
        newest = self.newest
        if newest is None or now - newest > _CAUGHT_UP_WITHIN:
            return False
        return self.fits(source=source, network=network, interval=interval)

    def known(self, reach: timedelta) -> Known:
        """Give the values of the last days, by `reach` before the newest."""
        known = Known()
        newest = self.newest
        if newest is None:
            return known
        since = newest - reach
        for answer in self._recent(since):
            known.learn(answer, since)
        known.learn(raw.load_market(self._folder), since)
        return known

    def _recent(self, since: datetime) -> Iterator[schema.DataAnswer]:
        for path in raw.unit_files(self._folder):
            entry = self._entries.get(path.relative_to(self._folder.root).as_posix())
            if entry is None or entry.last is None or entry.last >= since:
                yield raw.load_answer(path)

    def add_units(self, entry: schema.Kept, answer: schema.DataAnswer) -> None:
        """Keep an answer of units as one more file; `entry` needs no name, size or digest yet."""
        self._number += 1
        content = schema.encode(answer)
        name = f"batch_data/{batch_name(self._number)}"
        write(self._folder.root / name, content)
        self._list(_filled(entry, name, content))

    def add_market(self, entry: schema.Kept, answer: schema.DataAnswer) -> None:
        """Join an answer of the market to what is there."""
        market = self._folder.market
        answers = [read(market, _ADVICE), schema.encode(answer)]
        write_with(market, lambda path: raw.join(path, iter(answers)))
        name = market.name
        before = self._entries.get(name, entry)
        grown = msgspec.structs.replace(
            entry,
            start=before.start,
            by_region=False,
            points=before.points + entry.points if before is not entry else entry.points,
            first=min(filter(None, (before.first, entry.first)), default=None),
            last=max(filter(None, (before.last, entry.last)), default=None),
        )
        self._list(_filled(grown, name, read(market, _ADVICE)))

    def list_catalogue(self, entry: schema.Kept) -> None:
        """Say what the catalogue's file holds by now."""
        before = self._entries.get(_CATALOGUE, entry)
        self._list(msgspec.structs.replace(entry, facilities=before.facilities))

    def asking(self, codes: Iterable[str]) -> None:
        """Say who is asked for from now on: who has no data must count as asked for, too."""
        entry = self._entries.get(_CATALOGUE)
        if entry is not None and not (asked := {*codes}) <= {*entry.facilities}:
            asked.update(entry.facilities)
            self._list(msgspec.structs.replace(entry, facilities=tuple(sorted(asked))))

    def reached(self, end: datetime, moment: datetime) -> None:
        """Say up to when the folder has been asked for by now."""
        grown = msgspec.structs.replace(self._provenance(), end=end, fetched_at=moment)
        write(self._folder.source, schema.encode(grown))

    def _provenance(self) -> schema.Provenance:
        provenance = raw.load_provenance(self._folder)
        if provenance is None:
            raise FileError(f"{self._folder.source} is not there: {_ADVICE}")
        return provenance

    def tidy(self, now: datetime, keep: timedelta | None) -> bool:
        """Merge small answers into one a day where there are many, let go what is older than `keep`; say whether anything was done.

        Days are those of `now`'s zone, and the oldest is kept whole. They are counted back from the newest label, where the clock
        is ahead of it.
        """
        newest = now if self.newest is None else min(now, self.newest.astimezone(now.tzinfo))
        oldest = None if keep is None else (newest - keep).toordinal()
        try:
            self.recover()
            return self._tidy(now, oldest)
        except FileError:
            # Half done: what is there by now says how to go on.
            self._load()
            raise

    def _tidy(self, now: datetime, oldest: int | None) -> bool:
        inventory = compaction.Inventory(self._folder, self._entries, now)
        many = len(inventory.scattered) >= MANY_FILES
        # A file that no manifest knows may hold any day.
        if not inventory.is_known or not (many or inventory.older_than(oldest)):
            return False
        self._entries = compaction.merge(
            self._folder, self._entries, inventory, self._number + 1, oldest, now
        )
        self._number += len(inventory.days)
        self._tidy_market(now, oldest)
        manifest.replace(self._folder.manifest, self._entries.values())
        return True

    def _tidy_market(self, now: datetime, oldest: int | None) -> None:
        market = self._folder.market
        answer = compaction.merged([raw.load_market(self._folder)], oldest or 0, None, now)
        content = schema.encode(answer)
        write(market, content)
        labels = compaction.labels_of(answer)
        if (entry := self._entries.get(market.name)) is not None:
            left = msgspec.structs.replace(
                entry, points=len(labels), first=min(labels, default=None)
            )
            self._entries[market.name] = _filled(left, market.name, content)
        if oldest is None:
            return
        provenance = self._provenance()
        first = datetime.combine(datetime.fromordinal(oldest), time(), now.tzinfo)
        if provenance.start < first:
            cut = msgspec.structs.replace(provenance, start=first)
            write(self._folder.source, schema.encode(cut))

    def settle(self) -> None:
        """Make the joined file of all units' answers anew, and the manifest without lines that later ones replace."""
        paths = raw.unit_files(self._folder)
        write_with(
            self._folder.unit_metrics,
            lambda path: raw.join(path, (read(each, _ADVICE) for each in paths)),
        )
        manifest.replace(self._folder.manifest, self._entries.values())

    def _list(self, entry: schema.Kept) -> None:
        manifest.append(self._folder.manifest, entry)
        self._entries[entry.file] = entry


def _filled(entry: schema.Kept, name: str, content: bytes) -> schema.Kept:
    return msgspec.structs.replace(
        entry, file=name, sha256=manifest.digest(content), size=len(content)
    )
