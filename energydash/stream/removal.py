"""Home Assistant's devices taken away again: their retained messages emptied."""

import msgspec

from energydash.config import HomeSettings, PublishSettings
from energydash.stream.client import Client, Outgoing
from energydash.stream.home import Home
from energydash.stream.link import Link
from energydash.stream.tail import Tail


class RemovalSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What was taken away: the retained messages that are empty now."""

    broker: str
    emptied: int


async def run(settings: PublishSettings, connect_timeout_s: float) -> RemovalSummary:
    """Empty every retained message that `publish --home-assistant` left for regions and stations.

    Raises:
        FileError: the catalogue is malformed.
        BrokerError: no broker answers within `connect_timeout_s`, or it refuses us.
    """
    home = Home(settings.home or HomeSettings())
    tail = Tail(settings.facility_csv, settings.market_csv)
    home.catalogue(await tail.catalogue(None))
    removals = [Outgoing(topic, body, retain=True) for topic, body in home.removals()]
    link = Link(settings.broker, "publish", qos=max(settings.qos, 1))

    async def empty(client: Client) -> None:
        for each in removals:
            await client.room()
            client.put(each)
        await client.settled()

    await link.run(empty, connect_timeout_s)
    return RemovalSummary(broker=link.url, emptied=len(removals))
