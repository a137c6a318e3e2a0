"""What an examination finds: one line each."""

from typing import Literal

import msgspec


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at: how it is, and what to do where it is not well."""

    name: str
    state: Literal["ok", "warning", "failed"]
    text: str
    advice: str = ""


def ok(name: str, text: str) -> Finding:
    """Say that something is well."""
    return Finding(name, "ok", text)


def warning(name: str, text: str, advice: str) -> Finding:
    """Say that something will do, but not for long or not for all."""
    return Finding(name, "warning", text, advice)


def failed(name: str, text: str, advice: str) -> Finding:
    """Say that something keeps energydash from its work."""
    return Finding(name, "failed", text, advice)


class Report(msgspec.Struct, frozen=True):
    """All findings; `well` says that nothing failed."""

    well: bool
    findings: tuple[Finding, ...]
