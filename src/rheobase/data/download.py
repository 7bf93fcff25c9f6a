"""Downloads: to a partial file, verified, then renamed. What is interrupted goes on where it stopped."""

import errno
import os
import shutil
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path

from rheobase.data.archives import unpack
from rheobase.data.catalog import default_root, entry
from rheobase.data.entry import Entry, File

CHUNK = 1 << 20


def get(name: str, root: Path | None = None, report: Callable[[str, int, int], None] = lambda *_: None) -> Path:
    """Download what is missing of a data set, verify it, and return its folder.

    `report(file, bytes so far, size)` is called as bytes arrive. On Ctrl-C the partial file stays and the next call
    goes on from it; on a full disk it is removed. A file gets its own name only when it is complete and verified.
    Errors: ValueError for a set that cannot be downloaded or does not match its checksum, OSError for network and disk.
    """
    found = entry(name)
    folder = (root or default_root()) / found.folder
    if found.is_in(folder):
        return folder
    absent = found.missing(folder)
    if not found.downloadable:
        raise ValueError(f"{name} cannot be downloaded: {found.origin}. Put it into {folder}.")
    _check_space(folder, absent)
    for file in absent:
        _fetch(found, file, folder, report)
    return folder


def _check_space(folder: Path, files: list[File]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    needed, free = sum(file.size for file in files), shutil.disk_usage(folder).free
    if free < needed:
        room = f"{needed / 1e6:.0f} MB are needed in {folder}, {free / 1e6:.0f} MB are free. Make room"
        raise OSError(errno.ENOSPC, room)


def _fetch(found: Entry, file: File, folder: Path, report: Callable[[str, int, int], None]) -> None:
    part = folder / f"{file.name}.part"
    try:
        _receive(file, part, report)
        _verify(found, file, part)
        if file.member is not None:
            _take(file.member, part, folder / file.name)
        elif file.unpacked is not None:
            unpack(part, folder, file.unpacked)
        else:
            part.replace(folder / file.name)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{part} is kept; `rheobase data get {found.name}` goes on from there.") from None
    except urllib.error.URLError as error:
        fix = f"Try again, or copy {file.name} into {folder}."
        raise OSError(f"{found.name}: cannot reach {file.url} ({error.reason}). {fix}") from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            part.unlink(missing_ok=True)
            raise OSError(errno.ENOSPC, f"disk full while writing {part} (removed). Make room and try again") from error
        raise


def _receive(file: File, part: Path, report: Callable[[str, int, int], None]) -> None:
    """Append to the partial file what it lacks; a server that ignores ranges sends everything again."""
    done = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(str(file.url), headers={"Range": f"bytes={done}-"} if done else {})
    try:
        answer = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # nothing left to send: the partial file is complete, the checksum decides
            raise
        return
    with answer, part.open("ab" if answer.status == 206 else "wb") as target:
        done = done if answer.status == 206 else 0
        expected = done + int(answer.headers.get("Content-Length") or 0)
        while chunk := answer.read(CHUNK):
            target.write(chunk)
            done += len(chunk)
            report(file.name, done, file.size)
        target.flush()
        os.fsync(target.fileno())
    if done < expected:
        raise OSError(
            f"the connection to {file.url} ended after {done} of {expected} bytes; {part} is kept. Try again."
        )


def _verify(found: Entry, file: File, part: Path) -> None:
    wrong = file.mismatch(part)
    if wrong:
        part.unlink()
        raise ValueError(
            f"{found.name}: {file.url} does not match its checksum ({wrong}); the download "
            f"was removed. Run `rheobase data get {found.name}` again; if it happens twice the source has changed."
        )


def _take(member: str, archive: Path, target: Path) -> None:
    unpacked = target.with_name(target.name + ".unpacking")
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(member) as source, unpacked.open("wb") as file:
            shutil.copyfileobj(source, file, CHUNK)
        unpacked.replace(target)
    finally:
        unpacked.unlink(missing_ok=True)
    archive.unlink()
