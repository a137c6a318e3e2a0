"""The zip files in which reports come, zips within zips too. Pure; what comes from elsewhere may be broken or too large."""

import io
import logging
import zipfile
import zlib
from collections.abc import Iterator

from energydash.errors import SourceError

logger = logging.getLogger(__name__)

_MOST_BYTES = 64 * 2**20
"""The largest report that is taken is a few megabytes."""

_MOST_MEMBERS = 2_000
"""An archive of a day has 288 files, one of a week of half-hours 336."""

_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError)


def reports(content: bytes) -> Iterator[bytes]:
    """Yield the reports in a file, by name: itself if it is none, or those of the zip and of the zips in that.

    A broken zip within a zip is said in the log and left out: the others are good.

    Raises:
        SourceError: the file itself is broken, or larger than any that AEMO publishes.
    """
    if not content.startswith(b"PK"):
        yield content
        return
    for name, member in _members(content):
        if not name.lower().endswith(".zip"):
            yield member
            continue
        try:
            yield from [inner for _, inner in _members(member)]
        except SourceError as exc:
            logger.warning("%s in an archive is left out: %s", name, exc)


def _members(content: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            members = sorted(packed.infolist(), key=lambda member: member.filename)
            if len(members) > _MOST_MEMBERS or any(m.file_size > _MOST_BYTES for m in members):
                raise SourceError("a zip is larger than any that AEMO publishes")
            for member in members:
                if not member.is_dir():
                    yield member.filename, packed.read(member)
    except _BROKEN as exc:
        raise SourceError(f"a zip is broken ({exc})") from exc
