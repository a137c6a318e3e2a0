"""The batch job `fetch`: the source's answers onto the disk, complete, within the quota, and never asked for twice."""

from energydash.fetch.follow import follow
from energydash.fetch.job import run
from energydash.fetch.plan import Planned, describe
from energydash.fetch.summary import FetchSummary

__all__ = ["FetchSummary", "Planned", "describe", "follow", "run"]
