"""The batch job `convert`: raw answers to exact tables, with a report on their quality."""

from energydash.convert.job import ConvertSummary, run
from energydash.convert.report import refuse_doubts, report

__all__ = ["ConvertSummary", "refuse_doubts", "report", "run"]
