"""What the broker keeps for whoever comes later: who is online, what the codes stand for, the newest of everything."""

import secrets
import time
from collections.abc import Iterator

import aiomqtt
import msgspec

from energydash import schema
from energydash.config import PublishSettings, topic_beside
from energydash.stream.client import Client, Outgoing
from energydash.stream.home import Home
from energydash.stream.ledger import Newest
from energydash.stream.replay import Interval

ONLINE, OFFLINE = b"online", b"offline"

_EVERY_S = 0.5
_REPEAT_S = 20.0


def status_topic(settings: PublishSettings) -> str:
    """Give where it stands whether the publisher is there."""
    return settings.status_topic or topic_beside(settings.facility_topic, "status")


def will(settings: PublishSettings) -> aiomqtt.Will:
    """Give what the broker says in our name when we vanish."""
    return aiomqtt.Will(status_topic(settings), OFFLINE, settings.qos, retain=True)


def _new_round() -> str:
    return secrets.token_hex(4)


class Retained:
    """Keeps the retained messages true: all of them on a new connection, the newest values at most twice a second.

    With `begins`, event time begins with this run; else it goes on with what readers hold.
    """

    def __init__(
        self, settings: PublishSettings, home: Home | None = None, *, begins: bool = False
    ) -> None:
        self._settings = settings
        self._home = home
        self._catalogue: schema.Catalogue | None = None
        self._round_id = _new_round() if begins else ""
        self._newest = Newest()
        self._at = 0.0
        self._due = False
        self._announced_at = 0.0

    @property
    def repeat_in_s(self) -> float:
        """How long it is until all is to be said again: whoever may write to a topic can make a broker forget what it retains."""
        return max(self._announced_at + _REPEAT_S - time.monotonic(), 0.0)

    def catalogue(self, catalogue: schema.Catalogue) -> None:
        """Take what the codes stand for."""
        self._catalogue = catalogue
        if self._home is not None:
            self._home.catalogue(catalogue)

    def take(self, interval: Interval) -> None:
        """Take what was sent."""
        self._newest.take(interval)
        if self._home is not None:
            self._home.take(interval)
        self._due = True

    async def start_over(self, client: Client) -> None:
        """Forget what is newest, and say that event time begins again."""
        self._newest = Newest()
        if self._home is not None:
            self._home.start_over()
        self._round_id = _new_round()
        await self._put_catalogue(client)

    async def announce(self, client: Client) -> None:
        """Say all, which repeats what a broker without a memory has lost."""
        await self._put(client, status_topic(self._settings), ONLINE)
        await self._put_catalogue(client)
        if self._home is not None:
            for topic, body in self._home.announcements(status_topic(self._settings)):
                await self._put(client, topic, body)
        self._due = True
        await self.refresh(client)
        self._announced_at = time.monotonic()

    async def refresh_if_time(self, client: Client) -> None:
        """Do what `refresh` does, unless that was a moment ago."""
        if time.monotonic() - self._at > _EVERY_S:
            await self.refresh(client)

    async def refresh(self, client: Client) -> None:
        """Retain the newest values, where there are newer ones."""
        if not self._due:
            return
        for topic, body in self._values():
            await self._put(client, topic, body)
        self._due = False
        self._at = time.monotonic()

    def farewell(self, client: Client) -> None:
        """Say that we go; whoever goes without a word has its will said."""
        client.put(Outgoing(status_topic(self._settings), OFFLINE, retain=True))

    def _values(self) -> Iterator[tuple[str, bytes]]:
        settings = self._settings
        newest: tuple[tuple[str, msgspec.Struct | None], ...] = (
            (settings.facility_topic, self._newest.facilities()),
            (settings.market_topic, self._newest.market()),
        )
        for topic, latest in newest:
            if latest is not None:
                yield topic_beside(topic, "latest"), schema.encode(latest)
        if self._home is not None:
            yield from self._home.states()

    async def _put_catalogue(self, client: Client) -> None:
        if self._catalogue is not None:
            said = msgspec.structs.replace(self._catalogue, round_id=self._round_id)
            topic = topic_beside(self._settings.facility_topic, "catalogue")
            await self._put(client, topic, schema.encode(said))

    async def _put(self, client: Client, topic: str, body: bytes) -> None:
        await client.room()
        client.put(Outgoing(topic, body, retain=True))
