"""The files of a loopback NEMWEB: the real URLs, in AEMO's own forms, from real files or made up.

A tree is {path: content}. What is made up follows formulas, so that a test can compute what it expects by itself.
"""

import io
import math
import zipfile
from datetime import datetime, timedelta
from pathlib import Path

from energydash.nem import NEM_REGIONS, NEM_ZONE
from energydash.sources.nemweb.facts import facts

REAL = Path(__file__).resolve().parents[2] / "shared" / "realdata"
STEP = timedelta(minutes=5)
SCADA, DISPATCH, ROOFTOP = "Dispatch_SCADA", "DispatchIS_Reports", "ROOFTOP_PV/ACTUAL"
PREFIXES = {
    SCADA: "PUBLIC_DISPATCHSCADA",
    DISPATCH: "PUBLIC_DISPATCHIS",
    ROOFTOP: "PUBLIC_ROOFTOP_PV_ACTUAL_MEASUREMENT",
}
LIST = "Reports/Current/CDEII/CO2EII_AVAILABLE_GENERATORS.CSV"
LINKS = ("N-Q-MNSP1", "NSW1-QLD1", "T-V-MNSP1", "V-S-MNSP1", "V-SA", "VIC1-NSW1")

# Of each kind something: coal, gas, wind, sun, water, a pump, a signed battery, an older pair.
UNITS = (
    "BW01", "BW02", "LYA1", "LOYYB1", "AGLHAL", "TORRB3", "HDWF1", "HDWF2", "ARWF1", "BERYLSF1", "ALDGASF1",
    "TUMUT3", "SNOWYP", "PUMP1", "W/HOE#1", "BLYTHB1", "KEPBG1", "KEPBL1", "GORDON", "APPIN",
)  # fmt: skip
FACTORS = {"coal_black": 0.9, "coal_brown": 1.2, "gas_ocgt": 0.6, "gas_steam": 0.55, "gas_wcmg": 0.5}  # fmt: skip
SOURCES = {"coal_black": "Black coal", "coal_brown": "Brown coal", "wind": "Wind", "hydro": "Hydro", "solar_utility": "Solar", "battery": "Battery Storage"}  # fmt: skip


def at(text):
    """A moment of NEM time."""
    return datetime.fromisoformat(text).replace(tzinfo=NEM_ZONE)


def labels(start, count):
    return [start + n * STEP for n in range(count)]


def known(units=UNITS):
    return [unit for unit in units if unit in facts()]


def power(unit, label):
    """What a made-up unit's meter shows: MW, as AEMO signs it."""
    turn = int(label.timestamp() // 300) + sum(map(ord, unit))
    fuel = facts()[unit].fueltech if unit in facts() else "other"
    size = 20 + sum(map(ord, unit)) % 80
    wave = math.sin(turn / 17)
    return round(size * (wave if fuel == "battery" else 1 + wave / 2), 3)


def price(region, label):
    return round(60 + 40 * math.sin(label.timestamp() / 7000 + NEM_REGIONS.index(region)), 5)


def demand(region, label):
    return round(3000 + 800 * math.cos(label.timestamp() / 9000 + NEM_REGIONS.index(region)), 2)


def flow(link, label):
    """MW by the link's own sign; import and export limit."""
    return round(200 * math.sin(label.timestamp() / 5000 + LINKS.index(link)), 5), -250.0, 300.0


# --- AEMO's forms ------------------------------------------------------------------------------------


def stamp(label):
    return label.strftime("%Y/%m/%d %H:%M:%S")


def report(*tables, name="REPORT"):
    """A report of (package, table, version, columns, rows)."""
    lines = [
        f"C,NEMP.WORLD,{name},AEMO,PUBLIC,2026/03/01,00:00:15,0000000391234567,{name},0000000391234567"
    ]
    for package, table, version, columns, rows in tables:
        lines.append(f"I,{package},{table},{version},{','.join(columns)}")
        lines += [f"D,{package},{table},{version},{','.join(map(str, row))}" for row in rows]
    lines.append(f'C,"END OF REPORT",{len(lines) + 1}')
    return ("\r\n".join(lines) + "\r\n").encode()


def zipped(members):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return packed.getvalue()


def scada_report(label, units=UNITS, value=power):
    rows = [(f'"{stamp(label)}"', unit, value(unit, label), f'"{stamp(label)}"') for unit in units]  # fmt: skip
    return report(("DISPATCH", "UNIT_SCADA", 1, ("SETTLEMENTDATE", "DUID", "SCADAVALUE", "LASTCHANGED"), rows), name="DISPATCHSCADA")  # fmt: skip


def dispatch_report(label):
    head = ("SETTLEMENTDATE", "RUNNO")
    time = f'"{stamp(label)}"'
    prices = [(time, 1, region, 20260301001, 0, price(region, label), 0) for region in NEM_REGIONS]  # fmt: skip
    demands = [(time, 1, region, 20260301001, 0, demand(region, label), 9000) for region in NEM_REGIONS]  # fmt: skip
    links = []
    for link in LINKS:
        mw, least, most = flow(link, label)
        links.append((time, 1, link, 20260301001, 0, mw + 3, mw, 1.5, 0, most, least))
    return report(
        ("DISPATCH", "CASE_SOLUTION", 2, (*head, "INTERVENTION"), [(time, 1, 0)]),
        ("DISPATCH", "PRICE", 5, (*head, "REGIONID", "DISPATCHINTERVAL", "INTERVENTION", "RRP", "EEP"), prices),
        ("DISPATCH", "REGIONSUM", 9, (*head, "REGIONID", "DISPATCHINTERVAL", "INTERVENTION", "TOTALDEMAND", "AVAILABLEGENERATION"), demands),
        ("DISPATCH", "INTERCONNECTORRES", 3, (*head, "INTERCONNECTORID", "DISPATCHINTERVAL", "INTERVENTION", "METEREDMWFLOW", "MWFLOW", "MWLOSSES", "VIOLATIONDEGREE", "EXPORTLIMIT", "IMPORTLIMIT"), links),
        ("DISPATCH", "CONSTRAINT", 5, (*head, "CONSTRAINTID", "RHS"), [(time, 1, f"C>{n}", n) for n in range(40)]),
        name="DISPATCHIS",
    )  # fmt: skip


def rooftop_report(label):
    rows = [(f'"{stamp(label)}"', region, 100 + n, 1, kind, f'"{stamp(label)}"') for n, region in enumerate((*NEM_REGIONS, "QLDC")) for kind in ("MEASUREMENT", "SATELLITE")]  # fmt: skip
    return report(("ROOFTOP", "ACTUAL", 2, ("INTERVAL_DATETIME", "REGIONID", "POWER", "QI", "TYPE", "LASTCHANGED"), rows))  # fmt: skip


REPORTS = {SCADA: scada_report, DISPATCH: dispatch_report, ROOFTOP: rooftop_report}


def generators(units=UNITS):
    """AEMO's list: loads are not on it, a name in capitals and one with a comma are."""
    columns = ("STATIONNAME", "DUID", "GENSETID", "REGIONID", "CO2E_EMISSIONS_FACTOR", "CO2E_ENERGY_SOURCE", "CO2E_DATA_SOURCE")  # fmt: skip
    rows = [
        (f'"{fact.name.upper()}, UNITS"', unit, unit, fact.region, FACTORS.get(fact.fueltech, 0), f'"{SOURCES.get(fact.fueltech, "Natural Gas (Pipeline)")}"', "ISP2024")
        for unit in units
        if (fact := facts().get(unit)) and fact.dispatch_type != "LOAD"
    ]  # fmt: skip
    return report(("CO2EII", "PUBLISHING", 1, columns, rows), name="CO2EII_AVAILABLE_GENERATORS_WEB")  # fmt: skip


# --- trees -------------------------------------------------------------------------------------------


def name_of(folder, label, serial=0):
    digits = label.strftime("%Y%m%d%H%M" + ("%S" if folder == ROOFTOP else ""))
    return f"{PREFIXES[folder]}_{digits}_{(serial or int(label.timestamp()) // 300):016d}.zip"


def published(folder, label, content=None, serial=0):
    """One interval's file: its path in the current folder, and its bytes."""
    name = name_of(folder, label, serial)
    member = {name.replace(".zip", ".CSV"): content or REPORTS[folder](label)}
    return f"Reports/Current/{folder}/{name}", zipped(member)


def current(start, count, folders=(SCADA, DISPATCH)):
    return dict(published(folder, label) for label in labels(start, count) for folder in folders)  # fmt: skip


def archived(folder, day, content=None):
    """A day's archive: the files of its labels, from 00:05 to midnight, each a zip of its own."""
    inner = (published(folder, label, content and content(label)) for label in labels(day + STEP, 288))  # fmt: skip
    members = {path.rpartition("/")[2]: packed for path, packed in inner}
    return f"Reports/Archive/{folder}/{PREFIXES[folder]}_{day:%Y%m%d}.zip", zipped(members)


def tree(start, count):
    """What a server has of `count` intervals, all of them current."""
    rooftop = (published(ROOFTOP, t) for t in labels(start, count) if t.minute in {0, 30})
    return {LIST: generators(), **current(start, count), **dict(rooftop)}


def real_tables(table, month):
    """The header and the rows of a real archive of a month, by label; None where the files are not there."""
    path = REAL / "nemweb" / f"PUBLIC_ARCHIVE%23{table}%23FILE01%23{month}010000.zip"
    if not path.exists():
        return None
    with zipfile.ZipFile(path) as packed:
        lines = packed.read(packed.namelist()[0]).decode().splitlines()
    header = next(line for line in lines if line.startswith("I,"))
    rows = {}
    for line in lines:
        if line.startswith("D,"):
            rows.setdefault(line.split(",")[4].strip('"'), []).append(line)
    return header, rows


def real_report(label, month, *tables):
    """A real interval in the form of a five-minute file."""
    lines = ["C,NEMP.WORLD,REAL,AEMO,PUBLIC"]
    for table in tables:
        header, rows = real_tables_of(table, month)
        lines += [header, *rows[stamp(label)]]
    return "\n".join([*lines, 'C,"END OF REPORT",9']).encode()


_CACHE = {}


def real_tables_of(table, month):
    if (table, month) not in _CACHE:
        _CACHE[table, month] = real_tables(table, month)
    return _CACHE[table, month]
