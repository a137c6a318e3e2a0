"""Many pages of one process: none is kept once it has been closed, and none sees the grid while it is being written."""

import asyncio
import gc
import threading
import weakref

import pytest
from bare_pages import open_and_close
from processes import free_port
from test_store import at, begin, charts, values

from energydash import nem, schema
from energydash.config import UiSettings
from energydash.ui import page
from energydash.ui.store import Store

PAGES = 6
READS = 200


class Watched(page.Audience):
    """Remembers who was there, without holding anybody."""

    def __init__(self):
        super().__init__()
        self.were = []

    def join(self, document, session):
        self.were += [weakref.ref(document), weakref.ref(session)]
        super().join(document, session)

    @property
    def left(self):
        return [each() for each in self.were if each() is not None]


def tell(store, i):
    store.apply(
        schema.FacilityUpdate(seq=1, values=values(("A", i, float(i)), ("B", i, 400.0)))
    )
    store.apply(charts([at(i)]))


@pytest.fixture
async def audience():
    """A served dashboard whose grid moves on all the time."""
    store, audience = Store(), Watched()
    begin(store, "A", "B")
    tell(store, 0)
    audience.port = free_port()
    audience.server = page._server(UiSettings(port=audience.port), store, audience)

    async def move():
        i = 0
        while True:
            tell(store, i := i + 1)
            audience.wake()
            await asyncio.sleep(0.1)

    audience.server.start()
    tasks = [asyncio.create_task(move()), asyncio.create_task(audience.run())]
    yield audience
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await audience.server.stop_async()


async def test_of_closed_pages_nothing_is_left(audience):
    await open_and_close(audience.port, PAGES)

    assert len(audience.were) == 2 * PAGES
    audience.server._tornado._unused_session_lifetime_milliseconds = 1
    async with asyncio.timeout(30):
        while audience.left:
            # Bokeh does this by itself, every 17 seconds.
            await audience.server._tornado._cleanup_sessions()
            gc.collect()
            await asyncio.sleep(0.05)


def test_who_reads_in_another_thread_sees_whole_frames_and_misses_none():
    store = Store()
    codes = [f"S{n}" for n in range(200)]
    begin(store, *codes)
    torn, seen, known, done = [], -1, {}, threading.Event()

    def read():
        nonlocal seen
        while True:
            last, seen_before, seen = done.is_set(), seen, store.version
            for moment in store.times_changed(seen_before):
                known[moment] = store.row(moment, nem.NETWORK).demand
            newest = store.past.newest
            if newest is not None:
                instant = store.instant(newest)
                powers = {reading.power for code in codes if (reading := instant.of(code))}
                if len(powers) > 1:
                    torn.append(powers)
            if last:
                return

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(READS):
        store.apply(
            schema.FacilityUpdate(
                seq=1, values=values(*[(code, i, float(i)) for code in codes])
            )
        )
        store.apply(charts([at(i)], demand=float(i)))
    done.set()
    reader.join(30)

    assert not torn
    assert known == {at(i): float(i) for i in range(READS)}
