"""AEMO's public files as a source: every unit, the market and the interconnectors, with no account.

The unit of transport is a file for the whole market, not a question about some stations: `library` gets files and keeps
them as they came, `reading` makes values of them, and `source` answers from those in the form that all sources share.
"""
