"""Routes of the facilities: all of them, one, and one's history."""

from collections.abc import Callable, Hashable
from functools import partial
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter

from energydash import nem, schema
from energydash.files.export import Column, Kind
from energydash.server.hub import Hub
from energydash.server.rest import examples
from energydash.server.rest.answers import (
    HISTORY_FIELDS,
    Facilities,
    FacilityHistory,
    FacilityNow,
)
from energydash.server.rest.describe import described
from energydash.server.rest.desk import Ask, Desk, Pages
from energydash.server.rest.parameters import (
    Format,
    Page,
    Window,
    choices,
    optional,
    words,
)

STALE_AFTER_S = 3 * nem.INTERVAL.total_seconds()
"""A facility whose value lies further behind the grid's newest interval is stale."""

_DIGITS = 4
_FIELDS = FacilityNow.__struct_fields__
# What a column of a table is called, and what it holds.
_COLUMNS: dict[str, tuple[str, Kind]] = {
    "capacity": ("capacity_mw", "number"),
    "longitude": ("longitude_deg", "number"),
    "latitude": ("latitude_deg", "number"),
    "event_time": ("event_time", "time"),
    "power": ("power_mw", "number"),
    "emissions": ("emissions_t_co2", "number"),
    "by_fuel": ("by_fuel_mw", "text"),
    "capacity_factor": ("capacity_factor", "number"),
    "age_s": ("age_s", "number"),
    "stale": ("stale", "flag"),
}

_Fields = Annotated[str | None, words("Fields to give", "code,power", known=_FIELDS)]
_HistoryFields = Annotated[
    str | None, words("Columns to give", "power,emissions", known=HISTORY_FIELDS)
]
Code = Annotated[str, PathParameter(description="A facility's code", examples=[examples.CODE])]


class _Filter(msgspec.Struct, frozen=True, kw_only=True):
    """What facilities have to be; an empty field lets all pass."""

    regions: tuple[str, ...] = ()
    fuels: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    text: str = ""

    def passes(self, info: schema.FacilityInfo) -> bool:
        """Whether a facility is wanted."""
        fuels = {info.fueltech, nem.fueltech(info.fueltech).group}
        return (
            (not self.regions or info.region in self.regions)
            and (not self.fuels or not fuels.isdisjoint(self.fuels))
            and (not self.statuses or info.status in self.statuses)
            and (not self.networks or info.network in self.networks)
            and (self.text in info.name.casefold() or self.text in info.code.casefold())
        )


def handlers(desk: Desk) -> list[HTTPRouteHandler]:
    """Give the routes."""
    hub = desk.hub

    def moment() -> Hashable:
        # The grid's newest interval and a silence make values stale without any change in them.
        return hub.changes["facilities"], hub.event_time, hub.publisher

    @get(
        "/api/facilities",
        operation_id="listFacilities",
        **described(examples.FACILITIES, tabular=True),
    )
    async def facilities(
        request: Request[Any, Any, Any],
        page: NamedDependency[Page],
        region: Annotated[str | None, words("Codes of regions", "NSW1", "VIC1,TAS1")] = None,
        fuel: Annotated[
            str | None,
            words("Ids of fuel groups or of fuel technologies", "wind", "gas_ccgt,gas_ocgt"),
        ] = None,
        status: Annotated[str | None, words("Statuses", "operating")] = None,
        network: Annotated[str | None, words("Codes of networks", "NEM")] = None,
        q: Annotated[
            str | None, optional("A part of the name or the code", "bayswater")
        ] = None,
        fields: _Fields = None,
        format: Format = None,  # noqa: A002 (its name in the address)
    ) -> Response[Facilities]:
        """List facilities by code, with their newest values."""
        infos = hub.info.values()
        wanted = _Filter(
            regions=choices("region", region, partial(_regions, hub)),
            fuels=choices("fuel", fuel, partial(_fuels, hub)),
            statuses=choices("status", status, lambda: sorted({i.status for i in infos})),
            networks=choices("network", network, lambda: sorted({i.network for i in infos})),
            text=(q or "").strip().casefold(),
        )
        chosen = choices("fields", fields, lambda: _FIELDS) or _FIELDS
        make = partial(_listed, hub, wanted, page, chosen)
        ask = Ask(moment, make, partial(_facility_columns, chosen), "facilities")
        return await desk.answer(request, ask, format)

    @get(
        "/api/facilities/{code:str}",
        operation_id="getFacility",
        **described(examples.FACILITY, missing=True),
    )
    async def facility(
        request: Request[Any, Any, Any], code: Code, fields: _Fields = None
    ) -> Response[FacilityNow]:
        """Give a facility and its newest value."""
        _known(hub, code)
        chosen = choices("fields", fields, lambda: _FIELDS) or _FIELDS

        def make() -> tuple[FacilityNow, Pages]:
            # The catalogue may have changed since the question came: the tag is of this moment.
            return _now(hub, _known(hub, code), chosen), {}

        return await desk.answer(request, Ask(moment, make))

    return [facilities, facility, _history_handler(desk)]


def _history_handler(desk: Desk) -> HTTPRouteHandler:
    hub = desk.hub

    def moment() -> Hashable:
        return hub.changes["facilities"], hub.event_time

    @get(
        "/api/facilities/{code:str}/history",
        operation_id="getFacilityHistory",
        **described(examples.FACILITY_HISTORY, tabular=True, missing=True),
    )
    async def history(
        request: Request[Any, Any, Any],
        code: Code,
        window: NamedDependency[Window],
        fields: _HistoryFields = None,
        format: Format = None,  # noqa: A002 (its name in the address)
    ) -> Response[FacilityHistory]:
        """Give the values kept of a facility, oldest first, in columns."""
        _known(hub, code)
        chosen = choices("fields", fields, lambda: HISTORY_FIELDS) or HISTORY_FIELDS

        def make() -> tuple[FacilityHistory, Pages]:
            return _history(hub, _known(hub, code), window, chosen)

        return await desk.answer(
            request, Ask(moment, make, _history_columns, f"{code}-history"), format
        )

    return history


def _known(hub: Hub, code: str) -> schema.FacilityInfo:
    if code not in hub.info:
        raise NotFoundException(f"no facility has the code {code[:40]}")
    return hub.info[code]


def _regions(hub: Hub) -> list[str]:
    return sorted(nem.REGION_BY_CODE.keys() | {info.region for info in hub.info.values()})


def _fuels(hub: Hub) -> list[str]:
    techs = nem.FUELTECHS.keys() | {info.fueltech for info in hub.info.values()}
    return [*nem.FUEL_GROUP_BY_ID, *sorted(techs)]


def _listed(
    hub: Hub, wanted: _Filter, page: Page, fields: tuple[str, ...]
) -> tuple[Facilities, Pages]:
    found = [info for _, info in sorted(hub.info.items()) if wanted.passes(info)]
    shown = found[page.offset : page.offset + page.limit]
    listed = Facilities(
        total=len(found),
        offset=page.offset,
        event_time=hub.event_time,
        publisher=hub.publisher,
        facilities=tuple(_now(hub, info, fields) for info in shown),
    )
    return listed, page.others(len(found))


def _now(hub: Hub, info: schema.FacilityInfo, fields: tuple[str, ...]) -> FacilityNow:
    newest = hub.newest.get(info.code)
    power = newest.power if newest else None
    factor = nem.capacity_factor(power, info.capacity)
    age_s = None
    if newest and hub.event_time:
        age_s = (hub.event_time - newest.event_time).total_seconds()
    values: dict[str, Any] = {
        **{name: getattr(info, name) for name in info.__struct_fields__},
        "fuel": nem.fueltech(info.fueltech).group,
        "event_time": newest.event_time if newest else None,
        "power": power,
        "emissions": newest.emissions if newest else None,
        "by_fuel": newest.by_fuel if newest else None,
        "capacity_factor": None if factor is None else round(factor, _DIGITS),
        "age_s": age_s,
        "stale": age_s is None or age_s > STALE_AFTER_S or hub.publisher != "live",
    }
    return FacilityNow(**{name: values[name] for name in fields})


def _history(
    hub: Hub, info: schema.FacilityInfo, window: Window, fields: tuple[str, ...]
) -> tuple[FacilityHistory, Pages]:
    kept = hub.facility_history(info.code)
    first, last, total = window.bounds(kept.times)
    mixes = hub.facility_mixes(info.code)[first:last]
    power = kept.power[first:last]
    factors = (nem.capacity_factor(mw, info.capacity) for mw in power)
    columns: dict[str, Callable[[], Any]] = {
        "power": lambda: power,
        "emissions": lambda: kept.emissions[first:last],
        "capacity_factor": lambda: tuple(
            None if factor is None else round(factor, _DIGITS) for factor in factors
        ),
        "fuels": lambda: {
            fuel: tuple(mix.get(fuel) for mix in mixes)
            for fuel in sorted({fuel for mix in mixes for fuel in mix})
        },
    }
    history = FacilityHistory(
        total=total,
        times=kept.times[first:last],
        at=kept.at[: last - first],
        facility_id=kept.facility_id[first:last],
        **{name: columns[name]() for name in fields},
    )
    return history, window.others(kept.times)


def _facility_columns(fields: tuple[str, ...], listed: Facilities) -> list[Column]:
    columns = []
    for field in fields:
        name, kind = _COLUMNS.get(field, (field, "text"))
        values = [getattr(each, field) for each in listed.facilities]
        if field in {"units", "by_fuel"}:
            values = [None if v is None else msgspec.json.encode(v).decode() for v in values]
        columns.append(Column(name, kind, values))
    return columns


def _history_columns(history: FacilityHistory) -> list[Column]:
    columns = [
        Column("event_time", "time", history.times),
        Column("facility_code", "text", history.facility_id),
    ]
    for field in ("power", "emissions", "capacity_factor"):
        values = getattr(history, field)
        if values is not msgspec.UNSET:
            columns.append(Column(*_COLUMNS[field], values))
    if history.fuels is not msgspec.UNSET:
        columns += [
            Column(_fuel_column(fuel), "number", values)
            for fuel, values in history.fuels.items()
        ]
    return columns


def _fuel_column(fuel: str) -> str:
    """Name a fuel's column; a name that came from the broker and that nobody knows must not take another column's."""
    return f"{fuel}_mw" if fuel in nem.FUELTECHS else f"fuel_{fuel}_mw"
