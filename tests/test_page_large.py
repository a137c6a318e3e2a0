"""The page with as many stations as Australia's two markets have, in a real browser: what a reader asks for is there at once."""

import asyncio
import math
import random
import threading
import time

import pytest
from browsing import Visit, needs_chromium
from processes import free_port
from test_store import at, charts, status, values

from energydash import nem, schema
from energydash.config import UiSettings
from energydash.ui import page
from energydash.ui.store import Store

pytestmark = needs_chromium

STATIONS = 570
DAY = 288
LIMIT_MS = 300
WITHIN_S = 120
FUELS = ("coal_black", "gas_ocgt", "hydro", "wind", "solar_utility", "battery")


def large_store():
    rng = random.Random(1)
    store = Store()
    plants = tuple(
        schema.FacilityInfo(
            code=f"P{n}", name=f"{rng.choice(('Upper', 'Lower', 'Mount'))} Plant {n}", network="NEM",
            region=nem.NEM_REGIONS[n % 5], fueltech=FUELS[n % len(FUELS)], status="operating",
            capacity=rng.uniform(5, 900), longitude=rng.uniform(138, 153), latitude=rng.uniform(-43, -17),
        )
        for n in range(STATIONS)
    )  # fmt: skip
    store.apply(
        schema.InitialData(seq=0, source="demo", simulated=True, facilities=plants, values=values())
    )  # fmt: skip
    for i in range(DAY):
        store.apply(schema.FacilityUpdate(seq=i, values=schema.FacilityValues(
            times=(at(i),), at=(0,) * STATIONS, facility_id=tuple(each.code for each in plants),
            power=tuple(rng.uniform(1, each.capacity) for each in plants), emissions=(0.0,) * STATIONS,
        )))  # fmt: skip
    store.apply(charts([at(i) for i in range(DAY)], demand=20_000.0, reporting=STATIONS))
    store.link(connected=True)
    store.apply(status())
    return store


@pytest.fixture
def url():
    """The dashboard's own server on a full store, in a thread: Playwright has this one."""
    port = free_port()
    settings = UiSettings(port=port)
    ready, over = threading.Event(), asyncio.Event()
    loops = []

    async def serve():
        loops.append(asyncio.get_running_loop())
        audience = page.Audience()
        server = page._server(settings, large_store(), audience)
        server.start()
        ready.set()
        await over.wait()
        server.stop()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(90)
    yield settings.url
    loops[0].call_soon_threadsafe(over.set)
    thread.join(20)


# What is timed is the whole way: to the session and back, until count, map and numbers show it.
TIMED = """
async ([act, shown]) => {
  const faint = () => grid.column('map', 'fill_alpha', 'size').filter((a) => a > 0.2).length
  const from = performance.now()
  new Function(act)()
  while (!(grid.text('count').startsWith(shown + ' of') && faint() === shown)) {
    if (performance.now() - from > 60000) throw new Error(`${grid.text('count')}, ${faint()} on the map`)
    await new Promise(requestAnimationFrame)
  }
  return performance.now() - from
}
"""


def test_a_search_and_a_filter_among_570_stations_are_there_within_300_ms(browser, url):
    one = Visit(browser, url)
    assert one.text("count") == f"{STATIONS} of {STATIONS} stations"
    found = sum("56" in str(n) for n in range(STATIONS))
    wind = sum(FUELS[n % len(FUELS)] == "wind" for n in range(STATIONS))
    typed = "const i = grid.deep('search'); i.value = '{}'; i.dispatchEvent(new Event('input'))"
    box = "grid.deep('filters').parentElement.querySelector('[data-id=wind] input').click()"
    one.page.get_by_test_id("filters").click()

    def best(*steps):
        """A busy machine may be late often, not each time."""
        least = [math.inf] * len(steps)
        until = time.monotonic() + WITHIN_S
        while max(least) >= LIMIT_MS and time.monotonic() < until:
            least = [min(was, one.page.evaluate(TIMED, step)) for was, step in zip(least, steps, strict=True)]  # fmt: skip
        return least

    searched, cleared = best([typed.format("plant 56"), found], [typed.format(""), STATIONS])
    filtered, unfiltered = best([box, wind], [box, STATIONS])

    print(f"search {searched:.0f} ms, filter {filtered:.0f} ms")
    assert max(searched, cleared, filtered, unfiltered) < LIMIT_MS
    one.close()
