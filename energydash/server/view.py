"""What of a frame a client wants to see. Pure: a filtered view is the filter applied to the whole."""

from collections.abc import Mapping

from msgspec.structs import replace

from energydash import nem, schema

Facts = Mapping[str, schema.FacilityInfo]

_ALL = schema.Filter()

_CHANNEL: dict[type, str] = {
    schema.InitialData: "facilities",
    schema.FacilityUpdate: "facilities",
    schema.InitialMarketData: "market",
    schema.MarketUpdate: "market",
    schema.InitialCharts: "charts",
    schema.ChartsUpdate: "charts",
}


def seen(
    frame: schema.ServerFrame, wish: schema.Subscribe, info: Facts
) -> schema.ServerFrame | None:
    """Give the frame as the client wants it, or None where nothing of it is left.

    A snapshot is never left out: an empty one tells that there is nothing.
    """
    channel = _CHANNEL.get(type(frame))
    if channel is not None and channel not in wish.channels:
        return None
    if wish.filter == _ALL:
        return frame
    return _filtered(frame, wish.filter, info)


def _filtered(
    frame: schema.ServerFrame, what: schema.Filter, info: Facts
) -> schema.ServerFrame | None:
    kept: schema.ServerFrame | None = frame
    match frame:
        case schema.InitialData():
            chosen = tuple(f for f in frame.facilities if _wanted(f, what))
            kept = replace(frame, facilities=chosen, values=_rows(frame.values, what, info))
        case schema.FacilityUpdate():
            rows = _rows(frame.values, what, info)
            kept = replace(frame, values=rows) if rows.facility_id else None
        case schema.InitialMarketData():
            kept = replace(frame, values=_market(frame.values, what))
        case schema.MarketUpdate():
            values = _market(frame.values, what)
            kept = replace(frame, values=values) if values else None
        case schema.InitialCharts():
            kept = replace(
                frame, scopes=_scopes(frame.scopes, what), links=_links(frame.links, what)
            )
        case schema.ChartsUpdate():
            scopes, links = _scopes(frame.scopes, what), _links(frame.links, what)
            kept = replace(frame, scopes=scopes, links=links) if scopes or links else None
    return kept


def _wanted(facility: schema.FacilityInfo, what: schema.Filter) -> bool:
    if what.regions and facility.region not in what.regions:
        return False
    if what.facilities and facility.code not in what.facilities:
        return False
    return not what.fuels or nem.fueltech(facility.fueltech).group in what.fuels


def _rows(
    values: schema.FacilityValues, what: schema.Filter, info: Facts
) -> schema.FacilityValues:
    chosen = what.facilities
    keep = [
        i
        for i, code in enumerate(values.facility_id)
        # First the cheapest question: filters that name stations are many, one for each reader perhaps.
        if (not chosen or code in chosen)
        and (facts := info.get(code)) is not None
        and _wanted(facts, what)
    ]
    kept_times = sorted({values.at[i] for i in keep})
    index = {old: new for new, old in enumerate(kept_times)}
    codes = {values.facility_id[i] for i in keep}
    return schema.FacilityValues(
        times=tuple(values.times[i] for i in kept_times),
        at=tuple(index[values.at[i]] for i in keep),
        facility_id=tuple(values.facility_id[i] for i in keep),
        power=tuple(values.power[i] for i in keep),
        emissions=tuple(values.emissions[i] for i in keep),
        by_fuel={code: mix for code, mix in values.by_fuel.items() if code in codes},
    )


def _market(
    values: tuple[schema.MarketRecord, ...], what: schema.Filter
) -> tuple[schema.MarketRecord, ...]:
    if not what.regions:
        return values
    return tuple(v for v in values if (v.network_region or v.network_code) in what.regions)


def _scopes(
    scopes: tuple[schema.ScopeSeries, ...], what: schema.Filter
) -> tuple[schema.ScopeSeries, ...]:
    kept = [s for s in scopes if not what.regions or s.scope in what.regions]
    if what.fuels:
        kept = [
            replace(s, fuel={g: mw for g, mw in s.fuel.items() if g in what.fuels})
            for s in kept
        ]
    return tuple(kept)


def _links(
    links: tuple[schema.LinkSeries, ...], what: schema.Filter
) -> tuple[schema.LinkSeries, ...]:
    if not what.regions:
        return links
    return tuple(link for link in links if not what.regions.isdisjoint(link.ends))
