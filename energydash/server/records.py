"""What the hub asks of records: what tells them apart, which is newer, and many of them as columns. Pure."""

from datetime import datetime

from msgspec.structs import replace

from energydash import nem, schema
from energydash.server.history import MarketKey

Timed = schema.FacilityRecord | schema.MarketRecord


def is_news(record: Timed, known: Timed | None) -> bool:
    """Whether a record takes the place of the newest that is known; its age alone does not matter."""
    return known is None or (record.event_time >= known.event_time and record != known)


def nem_time(moment: datetime) -> datetime:
    """Give the moment in NEM time: who came first must not decide how a time is written."""
    return moment.astimezone(nem.NEM_ZONE)


def at[T: Timed](record: T, moment: datetime) -> T:
    """Give the record with its time written as `moment`."""
    same = record.event_time.utcoffset() == moment.utcoffset()
    return record if same else replace(record, event_time=moment)


def key_of(record: schema.MarketRecord) -> MarketKey:
    """Give what tells a series of the market from the others."""
    return record.network_code, record.metric, record.network_region


def columns(records: list[schema.FacilityRecord]) -> schema.FacilityValues:
    """Give records of facilities in columns, in their order."""
    times = sorted({record.event_time for record in records})
    index = {moment: i for i, moment in enumerate(times)}
    return schema.FacilityValues(
        times=tuple(times),
        at=tuple(index[record.event_time] for record in records),
        facility_id=tuple(record.facility_id for record in records),
        power=tuple(record.power for record in records),
        emissions=tuple(record.emissions for record in records),
        by_fuel={r.facility_id: r.by_fuel for r in records if r.by_fuel},
    )
