"""What the units made: `/data/facilities/`, where each unit is a series, and `/data/network/`, where they are summed."""

import standin_grid as grid
from standin_rules import refused
from standin_series import shaped

UNIT_NAMES = {"power": "MW", "energy": "MWh", "emissions": "t", "market_value": "$", "storage_battery": "MWh"}  # fmt: skip
_MEANS = ("power", "storage_battery")


class Rows:
    """A unit's rows in a window: the steps at which it has one, and the values of a metric at them."""

    def __init__(self, station, unit, steps, edge):
        self.station, self.unit, self._steps, self._edge = station, unit, steps, edge
        self._powers = grid.powers(unit, steps)
        self._kept = [
            place for place, (n, mw) in enumerate(zip(steps, self._powers, strict=True))
            if mw is not None and not edge.missing(unit["code"], n)
        ]  # fmt: skip
        self.steps = [steps[place] for place in self._kept]

    def values(self, metric):
        every = self._every(metric)
        if self.steps and self._edge.provisional(self.steps[-1]) and metric != "power":
            every[self._kept[-1]] = 0.0 if metric == "emissions" else None
        return [every[place] for place in self._kept]

    def _every(self, metric):
        match metric:
            case "power":
                return self._powers
            case "energy":
                return grid.energies(self.unit, self._steps)
            case "emissions":
                return grid.tonnes(self.unit, self._steps)
            case "market_value":
                return grid.market_values(
                    self.unit, self.station["network_region"], self._steps
                )
        return grid.stored(self.unit, self._steps)


def rows_of(stations, asked, axis, edge, wanted):
    """Give the rows of the wanted units that have any, by station and unit."""
    found = []
    for station in sorted(stations, key=lambda each: each["code"]):
        if asked.network not in {station["network_id"], "AU"}:
            continue
        units = [unit for unit in station["units"] if wanted(station, unit)]
        rows = [
            Rows(station, u, axis.steps, edge) for u in sorted(units, key=lambda u: u["code"])
        ]
        found.extend(each for each in rows if each.steps)
    return found


# --- unit by unit ------------------------------------------------------------------------------------


def by_unit(stations, asked, axis, edge, *, fill, extra_columns):
    """Give `data` of a request for units."""

    def wanted(station, unit):
        by_station = not asked.facilities or station["code"] in asked.facilities
        return by_station and (not asked.units or unit["code"] in asked.units)

    found = rows_of(stations, asked, axis, edge, wanted)
    if not found:
        raise refused(404, f"No data available for facility={asked.facilities or None} in the specified time range")  # fmt: skip
    if not asked.facilities:
        return [_folded(asked, axis, metric, found) for metric in asked.metrics]
    data = []
    for metric in asked.metrics:
        cells = {each.unit["code"]: axis.gather(each.steps, each.values(metric), mean=metric in _MEANS) for each in found}  # fmt: skip
        # In order of first sight among rows of descending time: who is alive in the newest interval leads.
        ordered = sorted(found, key=lambda each: max(cells[each.unit["code"]]), reverse=True)
        results = []
        for each in ordered:
            code = each.unit["code"]
            columns = {"unit_code": code} | ({"facility_code": each.station["code"]} if extra_columns else {})  # fmt: skip
            results.append((f"{metric}_{code}", columns, axis.points(cells[code], fill=fill)))
        data.append(shaped(asked, metric, UNIT_NAMES[metric], results))
    return data


def _folded(asked, axis, metric, found):
    """Fold all units into one series, as the server does without a facility: labels repeat, in the units' order."""
    at = {}
    for each in found:
        for bucket, value in axis.gather(each.steps, each.values(metric), mean=metric in _MEANS).items():  # fmt: skip
            at.setdefault(bucket, []).append(value)
    points = [(axis.text(bucket), value) for bucket in sorted(at) for value in at[bucket]]
    return shaped(asked, metric, UNIT_NAMES[metric], [(f"{metric}_total", {}, points)])


# --- by network --------------------------------------------------------------------------------------


def by_network(stations, asked, axis, edge, query, *, fill):
    """Give `data` of a request for a network: plain sums of all units, battery halves and pumps among them."""
    secondary = (query.all("secondary_grouping")[-1:] or [None])[0]
    fueltechs, groups = query.all("fueltech"), query.all("fueltech_group")
    if fueltechs or groups:
        secondary = "fueltech" if fueltechs else "fueltech_group"
    by_region = asked.primary == "network_region" or asked.region is not None

    def wanted(station, unit):
        fueltech = unit.get("fueltech_id", "")
        return (
            asked.region in {None, station["network_region"]}
            and (not fueltechs or fueltech in fueltechs)
            and (not groups or grid.group_of(fueltech) in groups)
        )

    found = rows_of(stations, asked, axis, edge, wanted)
    if not found:
        raise refused(404, f"No data available for network {asked.network} in the specified time range")  # fmt: skip
    data = []
    for metric in asked.metrics:
        sums = {}
        for each in found:
            columns = {"region": each.station["network_region"]} if by_region else {}
            if secondary:
                columns[secondary] = _group(each.unit, secondary)
            _add(sums.setdefault(tuple(columns.items()), {}), each.steps, each.values(metric))
        results = _summed(axis, metric, sums, fill=fill)
        groupings = (*(["network_region"] if by_region else []), secondary) if secondary else ()
        data.append(shaped(asked, metric, UNIT_NAMES[metric], results, groupings=groupings))
    return data


def _group(unit, secondary):
    fueltech = unit.get("fueltech_id", "")
    match secondary:
        case "fueltech":
            return fueltech
        case "fueltech_group":
            return grid.group_of(fueltech)
        case "status":
            return grid.status_of(unit)
    return grid.is_renewable(fueltech)


def _add(total, steps, values):
    for n, value in zip(steps, values, strict=True):
        before = total.get(n)
        total[n] = before if value is None else value + (before or 0.0)


def _summed(axis, metric, sums, *, fill):
    results = []
    for columns, total in sums.items():
        steps = sorted(total)
        values = [None if total[n] is None else round(total[n], 6) for n in steps]
        cells = axis.gather(steps, values, mean=metric in _MEANS)
        name = "|".join(str(value) for _, value in columns) or "total"
        results.append((max(cells), name, dict(columns), axis.points(cells, fill=fill)))
    results.sort(key=lambda each: each[1])
    results.sort(key=lambda each: each[0], reverse=True)
    return [(f"{metric}_{name}", columns, points) for _, name, columns, points in results]
