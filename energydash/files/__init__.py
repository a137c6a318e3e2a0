"""The data folder: names, atomic writes, raw answers, tables."""
