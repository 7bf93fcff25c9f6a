"""What is known about a data set: its files, where they come from, and what must be in its folder."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rheobase.data.samples import DataSet


@dataclass(frozen=True)
class File:
    """One download. It is kept as `name`; or it is a zip archive, and `member` of it is kept as `name`; or it is an
    archive that is unpacked, and `unpacked` is a file or folder that is then there.

    `size` (bytes, 0 where nobody says), `sha256` and `md5` are those of the download, as its home or a widely used
    library publishes them.
    """

    name: str
    size: int = 0
    sha256: str | None = None
    url: str | None = None
    member: str | None = None
    md5: str | None = None
    unpacked: str | None = None

    def is_in(self, folder: Path) -> bool:
        """Whether it is there: as downloaded, decompressed (.gz), or unpacked."""
        if self.unpacked is not None:
            return (folder / self.unpacked).exists()
        return (folder / self.name).is_file() or (folder / self.name.removesuffix(".gz")).is_file()

    def mismatch(self, path: Path) -> str:
        """What is wrong with a downloaded file, in words; nothing where it matches or no checksum is known."""
        for kind in ("sha256", "md5"):
            expected = getattr(self, kind)
            if expected is not None:
                with path.open("rb") as opened:
                    got = hashlib.file_digest(opened, kind).hexdigest()
                return "" if got == expected else f"expected {expected}, got {got}"
        return ""


@dataclass(frozen=True)
class Entry:
    """One data set: its files lie in the folder `root/folder`, `load(folder)` reads them.

    `layouts` are the forms in which the reader finds the set, each a tuple of paths in the folder, of which all must
    exist; none: the files as downloaded. `origin` says where a set comes from that cannot be downloaded from here.
    """

    name: str
    title: str
    licence: str
    load: Callable[..., DataSet]
    files: tuple[File, ...] = ()
    folder: str = ""
    origin: str = ""
    layouts: tuple[tuple[str, ...], ...] = ()

    def missing(self, folder: Path) -> list[File]:
        """The downloads that are still to do; none where the set is there."""
        return [] if self.is_in(folder) else [file for file in self.files if not file.is_in(folder)]

    def is_in(self, folder: Path) -> bool:
        """Whether the folder holds the set in a form that its reader finds."""
        if self.layouts:
            return any(all((folder / path).exists() for path in layout) for layout in self.layouts)
        return all(file.is_in(folder) for file in self.files)

    @property
    def downloadable(self) -> bool:
        """Whether every file has an address."""
        return bool(self.files) and all(file.url is not None for file in self.files)
