"""Routes of the market and of the charts."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial
from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter
from msgspec.structs import replace

from energydash import nem, schema
from energydash.files.export import Column, Kind
from energydash.server.history import MarketKey
from energydash.server.hub import Hub
from energydash.server.rest import examples
from energydash.server.rest.answers import Charts, MarketValues
from energydash.server.rest.describe import described
from energydash.server.rest.desk import Ask, Desk, Pages
from energydash.server.rest.parameters import (
    Format,
    Window,
    choices,
    words,
)

# The unit that a metric's values have, as a table's header says it.
_UNITS = {
    "price": "aud_per_mwh",
    **dict.fromkeys(("demand", nem.FLOW, nem.IMPORT_LIMIT, nem.EXPORT_LIMIT), "mw"),
}
# What of a scope may be left out, what its column is called, and what that holds.
_SERIES: dict[str, tuple[str, Kind]] = {
    "demand": ("demand_mw", "number"),
    "price": ("price_aud_per_mwh", "number"),
    "generation": ("generation_mw", "number"),
    "emissions": ("emissions_t_co2", "number"),
    "renewable_share": ("renewable_share", "number"),
    "emissions_intensity": ("emissions_intensity_t_co2_per_mwh", "number"),
    "net_import": ("net_import_mw", "number"),
    "reporting": ("reporting", "count"),
}
_CHART_FIELDS = ("fuel", *_SERIES)

_Fields = Annotated[str | None, words("Series to give", "price,demand", known=_CHART_FIELDS)]
Network = Annotated[
    str, PathParameter(description="A network's code", examples=[examples.NETWORK])
]
Metric = Annotated[str, PathParameter(description="A metric", examples=[examples.METRIC])]
_Region = Annotated[
    str | None, words("Codes of regions; a network's own stands for its whole", "NSW1", "NEM")
]


def handlers(desk: Desk) -> list[HTTPRouteHandler]:
    """Give the routes."""
    hub = desk.hub

    def moment() -> Hashable:
        return hub.changes["market"], hub.event_time

    @get(
        "/api/market/latest",
        operation_id="getLatestMarket",
        **described(examples.MARKET, tabular=True),
    )
    async def latest(
        request: Request[Any, Any, Any],
        region: _Region = None,
        format: Format = None,  # noqa: A002 (its name in the address)
    ) -> Response[MarketValues]:
        """Give the newest value of everything in the market."""
        regions = choices("region", region, lambda: _regions(hub.newest_market))

        def make() -> tuple[MarketValues, Pages]:
            kept = _of_regions(hub.initial_market().values, regions)
            return MarketValues(total=len({v.event_time for v in kept}), values=kept), {}

        return await desk.answer(
            request, Ask(moment, make, _market_columns, "market-latest"), format
        )

    @get(
        "/api/market/{network:str}/{metric:str}",
        operation_id="getMarketHistory",
        **described(examples.MARKET_HISTORY, tabular=True, missing=True),
    )
    async def history(
        request: Request[Any, Any, Any],
        network: Network,
        metric: Metric,
        window: NamedDependency[Window],
        region: _Region = None,
        format: Format = None,  # noqa: A002 (its name in the address)
    ) -> Response[MarketValues]:
        """Give the values kept of a metric, of the network and its regions, oldest first."""
        keys = [key for key in hub.newest_market if key[:2] == (network, metric)]
        if not keys:
            raise NotFoundException(f"no value of {metric[:40]} in {network[:40]} is kept")
        regions = choices("region", region, lambda: _regions(keys))
        columns = partial(_history_columns, metric)
        make = partial(_history, hub, network, metric, regions, window)
        return await desk.answer(
            request, Ask(moment, make, columns, f"{network}-{metric}"), format
        )

    return [latest, history, _chart_handler(desk)]


def _chart_handler(desk: Desk) -> HTTPRouteHandler:
    hub = desk.hub

    def moment() -> Hashable:
        # A tick counts too: it sums up anew what an answer before it took as it was.
        return hub.changes["charts"], hub.seq, hub.event_time

    @get(
        "/api/charts/snapshot",
        operation_id="getCharts",
        **described(examples.CHARTS, tabular=True),
    )
    async def charts(
        request: Request[Any, Any, Any],
        window: NamedDependency[Window],
        region: _Region = None,
        fields: _Fields = None,
        format: Format = None,  # noqa: A002 (its name in the address)
    ) -> Response[Charts]:
        """Give the history kept: fuel mix, demand, price and more for each region and network."""
        regions = choices("region", region, partial(_scopes, hub))
        chosen = choices("fields", fields, lambda: _CHART_FIELDS) or _CHART_FIELDS
        make = partial(_charts, hub, regions, chosen, window)
        columns = partial(_chart_columns, chosen)
        return await desk.answer(request, Ask(moment, make, columns, "charts"), format)

    return charts


def _regions(keys: Iterable[MarketKey]) -> list[str]:
    return sorted({region or network for network, _, region in keys})


def _scopes(hub: Hub) -> list[str]:
    facilities = {s for info in hub.info.values() for s in (info.region, info.network)}
    return sorted({*facilities, *_regions(hub.newest_market)})


def _of_regions(
    values: tuple[schema.MarketRecord, ...], regions: tuple[str, ...]
) -> tuple[schema.MarketRecord, ...]:
    if not regions:
        return values
    return tuple(v for v in values if (v.network_region or v.network_code) in regions)


def _history(
    hub: Hub, network: str, metric: str, regions: tuple[str, ...], window: Window
) -> tuple[MarketValues, Pages]:
    values = _of_regions(hub.market_history(network, metric), regions)
    times = list(dict.fromkeys(value.event_time for value in values))
    first, last, total = window.bounds(times)
    shown = set(times[first:last])
    kept = tuple(value for value in values if value.event_time in shown)
    return MarketValues(total=total, values=kept), window.others(times)


def _market_columns(market: MarketValues) -> list[Column]:
    units = [_UNITS.get(value.metric, "") for value in market.values]
    return [*_keys(market), *_values(market, "value"), Column("unit", "text", units)]


def _history_columns(metric: str, market: MarketValues) -> list[Column]:
    unit = _UNITS.get(metric)
    return [*_keys(market), *_values(market, f"{metric}_{unit}" if unit else "value")]


def _keys(market: MarketValues) -> list[Column]:
    values = market.values
    return [
        Column("event_time", "time", [value.event_time for value in values]),
        Column("network_code", "text", [value.network_code for value in values]),
        Column("network_region", "text", [value.network_region for value in values]),
        Column("metric", "text", [value.metric for value in values]),
    ]


def _values(market: MarketValues, name: str) -> list[Column]:
    return [Column(name, "number", [value.value for value in market.values])]


def _charts(
    hub: Hub, regions: tuple[str, ...], fields: tuple[str, ...], window: Window
) -> tuple[Charts, Pages]:
    whole = hub.initial_charts()
    first, last, total = window.bounds(whole.times)
    part = slice(first, last)
    scopes = tuple(
        _part(scope, fields, part)
        for scope in whole.scopes
        if not regions or scope.scope in regions
    )
    charts = Charts(total=total, times=whole.times[part], scopes=scopes)
    return charts, window.others(whole.times)


def _part(
    scope: schema.ScopeSeries, fields: tuple[str, ...], part: slice
) -> schema.ScopeSeries:
    """Give these fields of a scope in a part of its intervals; what is empty is not written."""
    series: dict[str, Any] = {
        name: getattr(scope, name)[part] if name in fields else () for name in _SERIES
    }
    mix = scope.fuel if "fuel" in fields else {}
    return replace(scope, fuel={group: values[part] for group, values in mix.items()}, **series)


def _chart_columns(fields: tuple[str, ...], charts: Charts) -> list[Column]:
    """Give a row for each interval of each scope."""
    scopes, count = charts.scopes, len(charts.times)
    groups = sorted({group for scope in scopes for group in scope.fuel})
    nothing = (None,) * count

    def stacked(of: Callable[[schema.ScopeSeries], Sequence[Any]]) -> list[Any]:
        return [value for scope in scopes for value in of(scope)]

    return [
        Column("event_time", "time", list(charts.times) * len(scopes)),
        Column("scope", "text", stacked(lambda scope: [scope.scope] * count)),
        Column("expected", "count", stacked(lambda scope: [scope.expected] * count)),
        *(
            Column(name, kind, stacked(lambda scope, field=field: getattr(scope, field)))  # type: ignore[misc]
            for field, (name, kind) in _SERIES.items()
            if field in fields
        ),
        *(
            Column(f"{group}_mw", "number", stacked(lambda s, g=group: s.fuel.get(g, nothing)))  # type: ignore[misc]
            for group in groups
        ),
    ]
