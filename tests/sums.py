"""What the tables must hold, worked out from the raw points one at a time, in code that shares nothing with `convert`."""

import json
import math
from collections import defaultdict
from datetime import datetime, timedelta

import pytest

from energydash import nem

START = datetime(2025, 10, 7, 18, tzinfo=nem.NEM_ZONE)


def label(n):
    return (START + n * timedelta(minutes=5)).isoformat()


def answer_of(**by_metric):
    """An answer in the API's form, of {unit: {interval: value}} for each metric."""
    return {
        "success": True,
        "data": [
            {
                "network_code": "NEM", "metric": metric, "unit": "x", "interval": "5m",
                "results": [
                    {
                        "name": f"{metric}_{unit}",
                        "columns": {"unit_code": unit},
                        "data": [[label(n), rows[n]] for n in sorted(rows)],
                    }
                    for unit, rows in units.items()
                ],
            }
            for metric, units in by_metric.items()
        ],
    }  # fmt: skip


def signed(metric, fuel, value):
    is_load = metric == "power" and fuel in {"pumps", "battery_charging"}
    return -abs(value) if is_load else value


def by_fuel(units):
    """{fuel: sum}; a battery is its signed unit where that has a value, else its halves."""
    fuels = defaultdict(list)
    for fuel, value in units:
        fuels[fuel].append(value)
    halves = fuels.pop("battery_charging", []) + fuels.pop("battery_discharging", [])
    if halves and "battery" not in fuels:
        fuels["battery"] = halves
    return {fuel: math.fsum(values) for fuel, values in fuels.items()}


def expected(answers, units):
    """{(time, facility): (MW, t, MW by fuel)} from decoded JSON answers."""
    points = {}
    for answer in answers:
        for metric in answer["data"]:
            for series in metric["results"]:
                for time, value in series["data"]:
                    points[metric["metric"], series["columns"]["unit_code"], time] = value
    rows = defaultdict(lambda: {"power": [], "emissions": []})
    for (metric, unit, time), value in points.items():
        if value is not None:
            facility, fuel = units[unit]
            rows[time, facility][metric].append((fuel, signed(metric, fuel, value)))
    return {
        key: (by_fuel(row["power"]), by_fuel(row["emissions"])) for key, row in rows.items()
    }


def mixed(units):
    """The facilities whose units burn more than one fuel; a battery's three units are one."""
    fuels = defaultdict(set)
    for facility, fuel in units.values():
        fuels[facility].add("battery" if fuel.startswith("battery") else fuel)
    return {facility for facility, kinds in fuels.items() if len(kinds) > 1}


def assert_table(table, wanted, several):
    """The table holds exactly these rows, and these numbers but for the noise of a sum.

    `by_fuel` is there for a facility of `several` fuels that has any power, and for no other.
    """
    got = {(row["timestamp"], row["facility_code"]): row for row in table.iter_rows(named=True)}
    assert got.keys() == wanted.keys()
    assert table.height == len(got)
    for key, (power, emissions) in wanted.items():
        row = got[key]
        assert_value(row["power"], power, key)
        assert_value(row["emissions"], emissions, key)
        mix = json.loads(row["by_fuel"] or "{}")
        wanted_mix = power if key[1] in several else {}
        assert mix == pytest.approx(wanted_mix, abs=2e-6), key


def assert_value(value, fuels, key):
    if not fuels:
        assert value is None, key
    else:
        assert value == pytest.approx(math.fsum(fuels.values()), abs=2e-5), key
