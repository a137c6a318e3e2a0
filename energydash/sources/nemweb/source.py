"""AEMO's public files as a `Source`."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from energydash import nem, schema
from energydash.errors import ConfigError, SourceError
from energydash.sources.limits import Account, Limits
from energydash.sources.nemweb import answers
from energydash.sources.nemweb.catalogue import catalogue, encoded, parse_list
from energydash.sources.nemweb.facts import facts
from energydash.sources.nemweb.keeping import Shelf
from energydash.sources.nemweb.library import (
    DISPATCH,
    ROOFTOP,
    SCADA,
    Library,
    Report,
    Values,
)
from energydash.sources.nemweb.timing import Awaited
from energydash.sources.nemweb.transport import AbsentError, Transport
from energydash.sources.protocol import Window

logger = logging.getLogger(__name__)

_INTERVAL = "5m"
_LIST_FOLDER, _LIST_NAME = "CDEII", "CO2EII_AVAILABLE_GENERATORS.CSV"
# A question about more would hold too much in memory at once; nothing is limited otherwise.
_ONE_DAY = Account(
    limits=Limits(
        plan="", credits_a_day=None, history=None, spans={_INTERVAL: timedelta(days=1)}
    )
)
# Who reported when the window begins: a single file may be missing.
_LOOK = timedelta(minutes=30)


class NemwebSource:
    """A `Source` that reads AEMO's public files, which tell of the whole market at once.

    `since` is the begin of the window that will be asked for: units that reported then are in the catalogue, too.
    """

    name = "nemweb"
    simulated = False
    whole = True

    def __init__(
        self,
        transport: Transport,
        shelf: Shelf,
        since: datetime | None = None,
        clock: Callable[[], datetime] = nem.now,
    ) -> None:
        self._transport = transport
        self._library = Library(transport, shelf)
        self._since = since
        self._clock = clock
        self._stations: dict[str, schema.Facility] = {}
        self._told = False
        self._seen: dict[str, frozenset[str]] = dict.fromkeys(
            (SCADA.folder, DISPATCH.folder), frozenset()
        )
        self._awaited = {SCADA.folder: Awaited(), DISPATCH.folder: Awaited()}

    @property
    def url(self) -> str:
        """The address of the file server."""
        return self._transport.url

    async def account(self) -> Account:
        """Give the longest window of one question; nothing else is limited."""
        return _ONE_DAY

    async def facilities(self, network: str) -> bytes:
        """Give every unit that AEMO lists or that reports.

        Raises:
            ConfigError: the network is not the NEM.
            SourceError: the server fails or refuses, or its list makes no sense.
        """
        _check(network)
        answer = await self._catalogue()
        unplaced = sorted(each.code for each in answer.data if each.location is None)
        if unplaced:
            logger.info(
                "%d stations have no known place: %s", len(unplaced), ", ".join(unplaced)
            )
        return encoded(answer)

    async def facility_data(
        self, network: str, facility_codes: Sequence[str], window: Window, interval: str
    ) -> bytes | None:
        """Give power (MW) and emissions (t) of any number of facilities' units.

        Raises:
            ConfigError: the network is not the NEM, or the interval not five minutes.
            SourceError: the server fails or refuses.
        """
        _check(network, interval)
        if not self._stations:
            await self._catalogue()
        values = await self._values(SCADA, window)
        units = [
            unit
            for code in facility_codes
            if code in self._stations
            for unit in self._stations[code].units
        ]
        return await asyncio.to_thread(answers.unit_answer, units, values, interval)

    async def market_data(
        self, network: str, window: Window, interval: str, *, by_region: bool
    ) -> bytes | None:
        """Give price ($/MWh) and demand (MW) of the network; or by region, with what else AEMO tells of them.

        That is rooftop solar (`rooftop_solar`, MW, each half-hour), and of each interconnector `flow`, `flow_import_limit` and
        `flow_export_limit` (MW), in whose series the interconnector's name stands for a region.

        Raises:
            ConfigError: the network is not the NEM, or the interval not five minutes.
            SourceError: the server fails or refuses.
        """
        _check(network, interval)
        values = await self._values(DISPATCH, window)
        if not by_region:
            return await asyncio.to_thread(answers.network_answer, values, interval)
        for label, here in (await self._rooftop(window)).items():
            values[label] = values.get(label, {}) | here
        return await asyncio.to_thread(
            answers.region_answer, dict(sorted(values.items())), interval
        )

    async def news(self) -> timedelta:
        """Look for files that were not there before, where they are due; give zero if there are, else when to look again.

        Raises:
            SourceError: the server fails or refuses.
        """
        found = False
        for report in (SCADA, DISPATCH):
            if not self._awaited[report.folder].until_due(self._clock()):
                found |= await self._has_come(report)
        if found:
            return timedelta(0)
        now = self._clock()
        return min(each.next_look(now) for each in self._awaited.values())

    async def aclose(self) -> None:
        """Let go of connections."""
        await self._transport.aclose()
        logger.info(
            "%d requests to %s, %d bytes received",
            self._transport.requests,
            self._transport.url,
            self._transport.received,
        )

    async def _has_come(self, report: Report) -> bool:
        """Whether a file is listed that was not: of a new interval, or one that was late or corrects another."""
        names = frozenset(await self._library.current(report, anew=True))
        if names <= self._seen[report.folder]:
            return False
        self._seen[report.folder] = names
        newest = await self._library.newest(report)
        if newest is not None:
            self._awaited[report.folder].came(newest, self._clock())
        return True

    async def _values(self, report: Report, window: Window) -> Values:
        try:
            return await self._library.values(report, window.start, window.end)
        except SourceError:
            # What could not be read is news still.
            self._seen[report.folder] = frozenset()
            self._awaited[report.folder].newest = None
            raise

    async def _rooftop(self, window: Window) -> Values:
        try:
            return await self._library.values(ROOFTOP, window.start, window.end)
        except AbsentError as exc:
            # It stands apart from dispatch, and nothing depends on it.
            if not self._told:
                logger.warning("rooftop solar is left out: %s", exc)
            self._told = True
            return {}

    async def _catalogue(self) -> schema.FacilitiesAnswer:
        listed = parse_list(await self._list())
        answer = catalogue(listed, await self._reporting(), facts())
        self._stations = {each.code: each for each in answer.data}
        return answer

    async def _list(self) -> bytes:
        """Give AEMO's list of units; where it has another name today, the last of those with its beginning."""
        try:
            return await self._library.document(_LIST_FOLDER, _LIST_NAME)
        except AbsentError:
            stem = _LIST_NAME.partition(".")[0]
            names = await self._library.documents(_LIST_FOLDER)
            others = sorted(name for name in names if name.upper().startswith(stem))
            if not others:
                raise
        return await self._library.document(_LIST_FOLDER, others[-1])

    async def _reporting(self) -> set[str]:
        """Give the units that report now, and those that did when the window begins."""
        newest = await self._library.newest(SCADA)
        spans = [(newest, newest + nem.INTERVAL)] if newest else []
        if self._since is not None:
            spans.append((self._since, self._since + _LOOK))
        units: set[str] = set()
        for start, end in spans:
            units.update(*(await self._library.values(SCADA, start, end)).values())
        return units


def _check(network: str, interval: str = _INTERVAL) -> None:
    if network != nem.NETWORK:
        raise ConfigError(f"--network {network}: AEMO's public files are of the NEM")
    if interval != _INTERVAL:
        raise ConfigError(f"--interval {interval}: AEMO's public files have {_INTERVAL}")
