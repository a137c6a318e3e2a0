"""What the sources that ask over HTTP have in common: addresses, and what a server says when it refuses."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from energydash.errors import ConfigError

_SHOWN_OF_AN_ERROR = 300


def checked_url(base_url: str, flag: str) -> str:
    """Give an address that ends with a slash; `flag` is the option that it came by.

    Raises:
        ConfigError: it is none, or holds more than an address should.
    """
    try:
        url = httpx.URL(base_url.rstrip("/") + "/")
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in {"http", "https"} or not url.host or url.userinfo or url.query:
        raise ConfigError(f"{flag} is no address of an API: give http(s)://host[:port][/path]")
    return str(url)


def retry_after_s(response: httpx.Response) -> float | None:
    """Give the seconds that `Retry-After` names, as a number or as a date; None where it names none."""
    text = response.headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def one_line(text: str) -> str:
    """Give a text on one line, as long as a line may be."""
    return " ".join(text.split())[:_SHOWN_OF_AN_ERROR]
