"""Raw files of a source that publishes files: kept as they came, beside a manifest that says from where, and their SHA-256."""

import threading
from datetime import UTC, datetime
from pathlib import Path

from energydash import schema
from energydash.files import manifest
from energydash.files.folder import write
from energydash.sources.nemweb.keeping import Answer

_FOLDER = "nemweb"


class FileShelf:
    """Keeps files in the folder `nemweb` of a data folder, and lists them in the manifest there.

    Raises:
        FileError: from every method, where the folder cannot be read or written.
    """

    def __init__(self, root: Path) -> None:
        self._root = root / _FOLDER
        self._manifest = self._root / "manifest.jsonl"
        self._lock = threading.Lock()
        self._entries: dict[str, schema.Kept] | None = None

    def names(self, folder: str) -> frozenset[str]:
        """Give the names of what is kept of a folder."""
        start = f"{folder}/"
        with self._lock:
            files = [file for file in self._listed() if file.startswith(start)]
        return frozenset(file.removeprefix(start) for file in files)

    def read(self, folder: str, name: str) -> Answer | None:
        """Give a kept file; None where there is none, or where it is not what the manifest says."""
        with self._lock:
            entry = self._listed().get(f"{folder}/{name}")
        if entry is None:
            return None
        try:
            content = (self._root / entry.file).read_bytes()
        except OSError:
            return None
        if manifest.digest(content) != entry.sha256:
            return None
        return Answer(content, entry.etag, entry.modified)

    def keep(self, folder: str, name: str, url: str, answer: Answer) -> None:
        """Keep a file that came from `url`."""
        entry = schema.Kept(
            file=f"{folder}/{name}",
            kind="report",
            source="nemweb",
            url=url,
            fetched_at=datetime.now(UTC),
            sha256=manifest.digest(answer.content),
            size=len(answer.content),
            etag=answer.etag,
            modified=answer.modified,
        )
        write(self._root / entry.file, answer.content)
        with self._lock:
            manifest.append(self._manifest, entry)
            self._listed()[entry.file] = entry

    def _listed(self) -> dict[str, schema.Kept]:
        # Read when first needed: most fetches are of another source.
        if self._entries is None:
            self._entries = manifest.load(self._manifest)
        return self._entries
