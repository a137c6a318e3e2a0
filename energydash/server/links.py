"""What flowed between the regions: the interconnectors' values of the market, as columns over intervals. Pure."""

from collections.abc import Sequence
from datetime import datetime

from energydash import nem, schema
from energydash.server.history import History

_METRICS = (nem.FLOW, nem.IMPORT_LIMIT, nem.EXPORT_LIMIT)


def links(history: History, times: Sequence[datetime]) -> tuple[schema.LinkSeries, ...]:
    """Give each interconnector that anything is known of in these intervals, by name; one whose name tells no regions is left out."""
    rows = [history.rows[moment].market for moment in times]
    found = {(key[2], key[0]) for row in rows for key in row if key[1] in _METRICS and key[2]}
    series = []
    for link, network in sorted(found):
        ends = nem.interconnector_ends(link)
        if ends is None:
            continue
        flow, least, most = (
            tuple(row.get((network, metric, link)) for row in rows) for metric in _METRICS
        )
        series.append(
            schema.LinkSeries(
                link=link, ends=ends, flow=flow, import_limit=least, export_limit=most
            )
        )
    return tuple(series)
