"""Facts of the National Electricity Market, without any I/O.

Fuel technologies are those of the OpenElectricity API (`fueltech_id`); groups, colours and order are
what every table, legend and chart of energydash uses.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import msgspec

INTERVAL = timedelta(minutes=5)
"""The NEM settles every five minutes."""

INTERVAL_HOURS = 5 / 60

NEM_ZONE = timezone(timedelta(hours=10), "NEM time")
"""NEM time: UTC+10 all year, without daylight saving."""

WEM_ZONE = timezone(timedelta(hours=8), "WEM time")
"""WEM time: UTC+8 all year."""

NETWORK = "NEM"


class Region(msgspec.Struct, frozen=True, kw_only=True):
    """A market region: its code in the API, its names, and where its label sits, clear of its stations (WGS 84 degrees)."""

    code: str
    label: str
    name: str
    network: str
    latitude: float
    longitude: float


REGIONS: tuple[Region, ...] = (
    Region(
        code="QLD1",
        label="QLD",
        name="Queensland",
        network="NEM",
        latitude=-23.0,
        longitude=145.5,
    ),
    Region(
        code="NSW1",
        label="NSW",
        name="New South Wales",
        network="NEM",
        latitude=-31.3,
        longitude=144.6,
    ),
    Region(
        code="VIC1",
        label="VIC",
        name="Victoria",
        network="NEM",
        latitude=-39.5,
        longitude=141.6,
    ),
    Region(
        code="SA1",
        label="SA",
        name="South Australia",
        network="NEM",
        latitude=-29.6,
        longitude=135.0,
    ),
    Region(
        code="TAS1",
        label="TAS",
        name="Tasmania",
        network="NEM",
        latitude=-43.0,
        longitude=150.4,
    ),
    Region(
        code="WEM",
        label="WA",
        name="Western Australia",
        network="WEM",
        latitude=-27.0,
        longitude=126.0,
    ),
)

REGION_BY_CODE = {region.code: region for region in REGIONS}

NEM_REGIONS = tuple(region.code for region in REGIONS if region.network == NETWORK)


FLOW, IMPORT_LIMIT, EXPORT_LIMIT = "flow", "flow_import_limit", "flow_export_limit"
"""An interconnector's market metrics, MW: positive from the first region of its name to the second."""

# AEMO's names of interconnectors begin with two regions: "V-SA", "T-V-MNSP1", "NSW1-QLD1".
_REGION_BY_WORD = {
    word: region.code
    for region in REGIONS
    if region.network == NETWORK
    for word in (region.code, region.label, region.code[0])
}


def interconnector_ends(name: str) -> tuple[str, str] | None:
    """Give the regions that an interconnector joins, in the order of its name; None where the name does not tell."""
    first, _, rest = name.partition("-")
    second = rest.partition("-")[0]
    ends = _REGION_BY_WORD.get(first), _REGION_BY_WORD.get(second)
    if ends[0] is None or ends[1] is None or ends[0] == ends[1]:
        return None
    return ends[0], ends[1]


class FuelGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A group of fuel technologies as charts stack it; `order` rises from the bottom of the stack."""

    id: str
    label: str
    colour: str
    colour_dark: str
    order: int
    renewable: bool = False
    storage: bool = False
    load: bool = False


FUEL_GROUPS: tuple[FuelGroup, ...] = (
    FuelGroup(
        id="coal_brown", label="Brown coal", colour="#7d5a3c", colour_dark="#a9825f", order=0
    ),
    FuelGroup(
        id="coal_black", label="Black coal", colour="#2b2b2e", colour_dark="#6b6b73", order=1
    ),
    FuelGroup(
        id="bioenergy",
        label="Bioenergy",
        colour="#1d7a7a",
        colour_dark="#3aa6a6",
        order=2,
        renewable=True,
    ),
    FuelGroup(
        id="distillate", label="Distillate", colour="#c8372d", colour_dark="#ec6a60", order=3
    ),
    FuelGroup(id="gas", label="Gas", colour="#ef8f34", colour_dark="#f6a860", order=4),
    FuelGroup(
        id="battery",
        label="Battery",
        colour="#4f5bd5",
        colour_dark="#8f9bff",
        order=5,
        storage=True,
    ),
    FuelGroup(
        id="hydro",
        label="Hydro",
        colour="#3b82c4",
        colour_dark="#62a8e5",
        order=6,
        renewable=True,
    ),
    FuelGroup(
        id="wind",
        label="Wind",
        colour="#3f8f4f",
        colour_dark="#66bd77",
        order=7,
        renewable=True,
    ),
    FuelGroup(
        id="solar",
        label="Solar",
        colour="#f4c82f",
        colour_dark="#ffdc5e",
        order=8,
        renewable=True,
    ),
    FuelGroup(id="other", label="Other", colour="#8a8f98", colour_dark="#a5abb5", order=9),
    FuelGroup(
        id="pumps", label="Pumps", colour="#88b4d8", colour_dark="#a9cdea", order=10, load=True
    ),
)

FUEL_GROUP_BY_ID = {group.id: group for group in FUEL_GROUPS}


class FuelTech(msgspec.Struct, frozen=True, kw_only=True):
    """A fuel technology of the API and the group it is drawn in."""

    id: str
    label: str
    group: str

    @property
    def renewable(self) -> bool:
        """Whether its generation counts as renewable."""
        return FUEL_GROUP_BY_ID[self.group].renewable

    @property
    def storage_or_load(self) -> bool:
        """Whether it is left out of total generation: batteries and pumps store, they do not make."""
        group = FUEL_GROUP_BY_ID[self.group]
        return group.storage or group.load


BATTERY = "battery"
BATTERY_CHARGING = "battery_charging"
BATTERY_DISCHARGING = "battery_discharging"
PUMPS = "pumps"

FUELTECHS: dict[str, FuelTech] = {
    id_: FuelTech(id=id_, label=label, group=group)
    for id_, label, group in (
        ("coal_brown", "Brown coal", "coal_brown"),
        ("coal_black", "Black coal", "coal_black"),
        ("bioenergy_biogas", "Biogas", "bioenergy"),
        ("bioenergy_biomass", "Biomass", "bioenergy"),
        ("distillate", "Distillate", "distillate"),
        ("gas_ccgt", "Gas (combined cycle)", "gas"),
        ("gas_ocgt", "Gas (open cycle)", "gas"),
        ("gas_recip", "Gas (reciprocating)", "gas"),
        ("gas_steam", "Gas (steam)", "gas"),
        ("gas_wcmg", "Gas (waste coal mine)", "gas"),
        ("battery", "Battery", "battery"),
        ("battery_charging", "Battery charging", "battery"),
        ("battery_discharging", "Battery discharging", "battery"),
        ("hydro", "Hydro", "hydro"),
        ("wind", "Wind", "wind"),
        ("wind_offshore", "Wind (offshore)", "wind"),
        ("solar_utility", "Solar (utility)", "solar"),
        ("solar_thermal", "Solar (thermal)", "solar"),
        ("solar_rooftop", "Solar (rooftop)", "solar"),
        ("solar", "Solar", "solar"),
        ("pumps", "Pumps", "pumps"),
        ("nuclear", "Nuclear", "other"),
        ("aggregator_vpp", "Virtual power plant", "other"),
        ("aggregator_dr", "Demand response", "other"),
        ("other", "Other", "other"),
    )
}


def fueltech(id_: str) -> FuelTech:
    """Give the fuel technology for an API id; one that nobody knows yet is drawn as `other`."""
    known = FUELTECHS.get(id_)
    if known is not None:
        return known
    return FuelTech(id=id_, label=id_.replace("_", " ").capitalize(), group="other")


def network_zone(network: str) -> timezone:
    """Give the fixed zone in which a network labels its intervals."""
    return WEM_ZONE if network == "WEM" else NEM_ZONE


def floor_interval(moment: datetime) -> datetime:
    """Give the start of the five-minute interval that holds an aware `moment`, in NEM time."""
    local = moment.astimezone(NEM_ZONE)
    return local.replace(minute=local.minute - local.minute % 5, second=0, microsecond=0)


def intervals(start: datetime, end: datetime) -> Iterator[datetime]:
    """Yield the five-minute labels of the half-open window [start, end), in NEM time."""
    label = floor_interval(start)
    if label < start:
        label += INTERVAL
    while label < end:
        yield label
        label += INTERVAL


def now() -> datetime:
    """Give the present moment in NEM time."""
    return datetime.now(UTC).astimezone(NEM_ZONE)


def renewable_share(by_fueltech: dict[str, float]) -> float | None:
    """Give renewable generation / total generation, 0 to 1, batteries and pumps left out of both.

    `by_fueltech` holds MW by `fueltech_id`; a negative value (a station's own use) counts as none.
    None where nothing generates.
    """
    made = {
        id_: max(power, 0.0)
        for id_, power in by_fueltech.items()
        if not fueltech(id_).storage_or_load
    }
    total = sum(made.values())
    if total <= 0:
        return None
    return sum(power for id_, power in made.items() if fueltech(id_).renewable) / total


def emissions_intensity(emissions_t: float, by_fueltech: dict[str, float]) -> float | None:
    """Give t CO2 per MWh generated over one interval: emissions / (generation MW x 5/60 h).

    Batteries and pumps are left out of the generation. None where nothing generates.
    """
    total_mw = sum(
        max(power, 0.0)
        for id_, power in by_fueltech.items()
        if not fueltech(id_).storage_or_load
    )
    if total_mw <= 0:
        return None
    return emissions_t / (total_mw * INTERVAL_HOURS)


def capacity_factor(power_mw: float | None, capacity_mw: float | None) -> float | None:
    """Give power / registered capacity, negative for a load; None where either is unknown or there is no capacity."""
    if power_mw is None or not capacity_mw or capacity_mw < 0:
        return None
    return power_mw / capacity_mw
