"""A catalogue to structs, whatever it holds that we do not know: no station is lost to one strange word or value."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from energydash import nem, schema
from energydash.errors import SourceError
from energydash.sources.parse import parse_whole_catalogue

STATUSES = frozenset({"operating", "commissioning", "committed", "retired"})
NETWORKS = frozenset({"NEM", "WEM", "AU"})

# What the API documents; we need not use it to know it.
_OF_FACILITY = {
    "code", "code_display", "name", "network_id", "network_region", "description", "npi_id", "osm_way_id", "location", "boundary",
    "units", "created_at", "updated_at",
}  # fmt: skip
_OF_UNIT = {
    "code", "code_display", "fueltech_id", "status_id", "dispatch_type", "capacity_registered", "capacity_maximum",
    "capacity_storage", "emissions_factor_co2", "data_first_seen", "data_last_seen", "max_generation",
    "max_generation_interval", "created_at", "updated_at",
}  # fmt: skip
_DATES = {"commencement_date", "closure_date", "expected_operation_date", "expected_closure_date", "construction_start_date", "project_approval_date"}  # fmt: skip
_OF_UNIT |= _DATES | {f"{date}{end}" for date in _DATES for end in ("_specificity", "_display")}
_OF_UNIT |= {"project_lodgement_date", "project_approval_lodgement_date"}


class Unknowns(msgspec.Struct, frozen=True, kw_only=True):
    """How many units or facilities have a word or a field that this version does not know.

    `fields` are the facilities' by name and the units' as `units.<name>`. `unreadable` counts values that are not
    what they should be, taken for absent, and `nameless` the facilities and units that have no code to go by.
    """

    fueltechs: dict[str, int] = {}
    statuses: dict[str, int] = {}
    networks: dict[str, int] = {}
    fields: dict[str, int] = {}
    unreadable: dict[str, int] = {}
    nameless: int = 0


class _Raw(msgspec.Struct):
    data: list[Any]
    success: bool = True


def parse_facilities(raw: bytes) -> schema.FacilitiesAnswer:
    """Read a catalogue; a value that makes no sense is taken for absent.

    Raises:
        SourceError: the answer is no catalogue at all.
    """
    return _read(raw)[0]


def unknowns(raw: bytes) -> Unknowns:
    """Count what a catalogue holds that this version does not know.

    Raises:
        SourceError: the answer is no catalogue at all.
    """
    answer, mender = _read(raw)
    units = [unit for facility in answer.data for unit in facility.units]
    facilities = _objects(msgspec.json.decode(raw, type=_Raw).data)
    return Unknowns(
        fueltechs=_strange((unit.fueltech_id for unit in units), nem.FUELTECHS.keys()),
        statuses=_strange((unit.status_id for unit in units), STATUSES),
        networks=_strange((each.network_id for each in answer.data), NETWORKS),
        fields=_strange((key for each in facilities for key in each), _OF_FACILITY)
        | _strange(
            (
                f"units.{key}"
                for each in facilities
                for unit in _objects(each.get("units"))
                for key in unit
            ),
            {f"units.{key}" for key in _OF_UNIT},
        ),
        unreadable=dict(sorted(mender.unreadable.items())),
        nameless=mender.nameless,
    )


def _read(raw: bytes) -> tuple[schema.FacilitiesAnswer, "_Mender"]:
    mender = _Mender()
    try:
        return parse_whole_catalogue(raw), mender
    except SourceError:
        facilities = _readable(raw)
        if facilities is None:
            raise
    data = tuple(mender.facility(each) for each in mender.named(facilities))
    return schema.FacilitiesAnswer(data=data), mender


def _readable(raw: bytes) -> list[Any] | None:
    """Give the facilities of what is at least JSON in the form of a catalogue."""
    try:
        answer = msgspec.json.decode(raw, type=_Raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return answer.data if answer.success else None


def _strange(words: Iterable[str], known: Iterable[str]) -> dict[str, int]:
    counts = Counter(words)
    return {word: counts[word] for word in sorted(counts.keys() - set(known))}


def _objects(items: object) -> list[dict[str, Any]]:
    return [each for each in items if isinstance(each, dict)] if isinstance(items, list) else []


class _Mender:
    """Reads field by field what does not read as a whole."""

    def __init__(self) -> None:
        self.unreadable: Counter[str] = Counter()
        self.nameless = 0

    def named(self, items: object) -> list[dict[str, Any]]:
        """Give the objects that have a code."""
        listed = items if isinstance(items, list) else []
        good = [
            each
            for each in _objects(items)
            if each.get("code") and isinstance(each["code"], str)
        ]
        self.nameless += len(listed) - len(good)
        return good

    def facility(self, item: Mapping[str, Any]) -> schema.Facility:
        fields = self._fields(item, schema.Facility, "")
        units = tuple(
            schema.Unit(**self._fields(unit, schema.Unit, "units."))
            for unit in self.named(item.get("units") or [])
        )
        return schema.Facility(**({"name": item["code"]} | fields | {"units": units}))

    def _fields(
        self, item: Mapping[str, Any], kind: type[schema.Record], where: str
    ) -> dict[str, Any]:
        """Give the fields that make sense; null stands for absent."""
        read = {}
        for field in msgspec.structs.fields(kind):
            value = item.get(field.encode_name)
            if value is None or field.name == "units":
                continue
            try:
                read[field.name] = msgspec.convert(value, field.type, strict=False)
            except msgspec.ValidationError:
                self.unreadable[where + field.name] += 1
        return read
