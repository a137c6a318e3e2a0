"""Reports to values: what each unit made, what the market paid, what flowed between the regions. Pure."""

from collections.abc import Iterable
from datetime import datetime
from sys import intern

from energydash import nem
from energydash.sources.nemweb import mms
from energydash.sources.nemweb.packing import reports

Units = dict[datetime, dict[str, float]]
"""MW by label and unit (DUID)."""

Series = tuple[str, str]
"""A market metric, and the region or interconnector that it is of."""

Market = dict[datetime, dict[Series, float]]
"""Values by label and series."""

PRICE, DEMAND, ROOFTOP = "price", "demand", "rooftop_solar"

_RUN = ("INTERVENTION", "RUNNO")
_SCADA = {
    ("DISPATCH", "UNIT_SCADA"): mms.Columns(("SETTLEMENTDATE", "DUID", "SCADAVALUE")),
}
_PRICES = ("DISPATCH", "PRICE")
_REGIONS = ("DISPATCH", "REGIONSUM")
_LINKS = ("DISPATCH", "INTERCONNECTORRES")
_DISPATCH = {
    _PRICES: mms.Columns(("SETTLEMENTDATE", "REGIONID", "RRP"), _RUN),
    _REGIONS: mms.Columns(("SETTLEMENTDATE", "REGIONID", "TOTALDEMAND"), _RUN),
    _LINKS: mms.Columns(
        ("SETTLEMENTDATE", "INTERCONNECTORID", "MWFLOW", "IMPORTLIMIT", "EXPORTLIMIT"), _RUN
    ),
}
_ROOFTOP = {
    ("ROOFTOP", "ACTUAL"): mms.Columns(("INTERVAL_DATETIME", "REGIONID", "POWER"), ("TYPE",)),
}
_MEASURED = {"", "MEASUREMENT"}

# The ends of Basslink are registered as units, but make nothing: what they carry is the interconnector's flow.
_NO_UNITS = {"BLNKTAS", "BLNKVIC"}


def read_units(content: bytes) -> Units:
    """Read SCADA reports: what each unit's meter showed when the interval began, signed as AEMO does.

    Raises:
        SourceError: a report is broken.
    """
    found: Units = {}
    for report in reports(content):
        for rows in mms.rows(report, _SCADA).values():
            for label, unit, text in rows:
                power = mms.number(text)
                if power is not None and unit and unit not in _NO_UNITS:
                    found.setdefault(mms.moment(label), {})[intern(unit)] = power
    return found


def read_market(content: bytes) -> Market:
    """Read dispatch reports: price ($/MWh) and demand (MW) by region, flow and limits (MW) by interconnector.

    AEMO's signs: a flow is positive from the first region of the name to the second, which is its export; the limit on
    imports is negative. Where AEMO intervened there are two runs: prices are those of the run without the intervention, as the
    market pays them, and what flows is that of the run with it.

    Raises:
        SourceError: a report is broken.
    """
    found: Market = {}
    for report in reports(content):
        tables = mms.rows(report, _DISPATCH)
        for label, region, price in _chosen(tables[_PRICES], intervened=False):
            _put(found, label, (PRICE, region), price)
        for label, region, demand in _chosen(tables[_REGIONS], intervened=True):
            _put(found, label, (DEMAND, region), demand)
        for label, link, flow, least, most in _chosen(tables[_LINKS], intervened=True):
            _put(found, label, (nem.FLOW, link), flow)
            _put(found, label, (nem.IMPORT_LIMIT, link), least)
            _put(found, label, (nem.EXPORT_LIMIT, link), most)
    return found


def read_rooftop(content: bytes) -> Market:
    """Read AEMO's measured estimates of rooftop solar: MW by region, a value each half-hour, labelled with its end.

    Raises:
        SourceError: a report is broken.
    """
    found: Market = {}
    for report in reports(content):
        for rows in mms.rows(report, _ROOFTOP).values():
            for label, region, power, kind in rows:
                # There are rows for parts of regions too, and a second estimate from satellites.
                if region in nem.NEM_REGIONS and kind in _MEASURED:
                    _put(found, label, (ROOFTOP, region), power)
    return found


def _chosen(rows: Iterable[mms.Row], *, intervened: bool) -> list[mms.Row]:
    """Give the rows without their run, in the order in which a later one replaces an earlier: the run that is wanted is last."""

    def rank(row: mms.Row) -> tuple[float, float]:
        intervention, number = (mms.number(text) or 0.0 for text in row[-len(_RUN) :])
        return (intervention if intervened else -intervention), number

    return [row[: -len(_RUN)] for row in sorted(rows, key=rank)]


def _put(found: Market, label: str, series: Series, text: str) -> None:
    value = mms.number(text)
    if value is not None and series[1]:
        found.setdefault(mms.moment(label), {})[series] = value
