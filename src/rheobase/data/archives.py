"""Files of a data set, lying in a folder or still in the archive that was downloaded."""

import shutil
import tarfile
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Member:
    """One file: where it came from, in words, and its content."""

    name: str
    content: bytes


def members(place: Path, names: list[str]) -> list[Member] | None:
    """Read these files from a folder or from a .tar.gz; None where the place or one of them is absent.

    Errors: ValueError, naming the archive, where it is truncated or corrupt.
    """
    if place.is_dir():
        paths = [place / name for name in names]
        return [Member(str(path), path.read_bytes()) for path in paths] if all(p.is_file() for p in paths) else None
    return _from_tar(place, names) if place.is_file() else None


def _from_tar(archive: Path, names: list[str]) -> list[Member] | None:
    found: dict[str, Member] = {}
    try:
        with tarfile.open(archive, "r:*") as opened:
            for entry in opened:
                name = entry.name.removeprefix("./")
                file = opened.extractfile(entry) if name in names else None
                if file is not None:
                    found[name] = Member(f"{archive}:{name}", file.read())
                if len(found) == len(names):
                    break
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        fix = "Delete it and fetch it again."
        raise ValueError(f"{archive} is truncated or corrupt ({error}). {fix}") from error
    return [found[name] for name in names] if len(found) == len(names) else None


def unpack(archive: Path, folder: Path, wanted: str) -> None:
    """Unpack a .zip or .tar.gz so that `wanted`, a folder or file of it, is in `folder` complete or not at all.

    The archive is removed afterwards. Errors: ValueError, naming the archive, where it is corrupt or lacks `wanted`.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix=".unpacking-") as temporary:
        try:
            kind = "zip" if zipfile.is_zipfile(archive) else "gztar"
            shutil.unpack_archive(archive, temporary, kind, filter=None if kind == "zip" else "data")
            Path(temporary, wanted).replace(folder / wanted)
        except (tarfile.TarError, zipfile.BadZipFile, shutil.ReadError, EOFError, zlib.error) as error:
            raise ValueError(f"{archive} is truncated or corrupt ({error}). Delete it and fetch it again.") from error
        except FileNotFoundError as error:
            raise ValueError(f"{archive} does not hold {wanted}: its publisher has changed it.") from error
    archive.unlink()
