"""The batch job `convert`: raw answers to exact tables, with a report on their quality."""

from energydash.convert.job import ConvertSummary, run

__all__ = ["ConvertSummary", "run"]
