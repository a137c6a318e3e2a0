"""The way not taken: an app that draws the grid and replaces all data of every session each second. `replacing.py PORT BACKEND`."""

import asyncio
import sys

import panel as pn
from bokeh.models import ColumnDataSource
from bokeh.plotting import figure

from energydash import nem
from energydash.config import UiSettings
from energydash.ui import feed
from energydash.ui.series import wall_ms
from energydash.ui.store import Store

GROUPS = [group.id for group in nem.FUEL_GROUPS]


def columns(store: Store) -> tuple[dict, dict, dict]:
    times = list(store.times)
    t = [wall_ms(moment) for moment in times]
    network = store.rows(nem.NETWORK)
    stack = {"t": t, "demand": [row.demand for row in network]}
    stack |= {group: [row.fuel.get(group) for row in network] for group in GROUPS}
    price = {"t": t} | {code: [row.price for row in store.rows(code)] for code in nem.NEM_REGIONS}  # fmt: skip
    placed = [each for each in store.facilities if each.longitude is not None]
    power = [store.current(each.code) for each in placed]
    stations = {
        "x": [each.longitude for each in placed],
        "y": [each.latitude for each in placed],
        "name": [each.name for each in placed],
        "size": [(abs(value.power or 0) ** 0.5 if value else 0) for value in power],
    }
    return stations, stack, price


def page(store: Store) -> pn.Column:
    sources = [ColumnDataSource(data) for data in columns(store)]
    stations, stack, price = (figure(width=600, height=300) for _ in sources)
    stations.scatter("x", "y", size="size", source=sources[0])
    stack.varea_stack(GROUPS, x="t", source=sources[1])
    stack.line("t", "demand", source=sources[1])
    for code in nem.NEM_REGIONS:
        price.line("t", code, source=sources[2])

    def replace() -> None:
        for source, data in zip(sources, columns(store), strict=True):
            source.data = data

    pn.state.add_periodic_callback(replace, period=1000)
    return pn.Column(stations, stack, price)


async def serve(port: int, backend: str) -> None:
    store = Store()
    server = pn.serve({"/": lambda: page(store)}, port=port, start=False, show=False, threaded=False)  # fmt: skip
    server.start()
    await feed.run(UiSettings(backend=backend), store, lambda: None)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
