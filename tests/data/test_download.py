"""Downloads from a server on this machine: verified, resumed, cleaned up."""

import errno
import hashlib
import http.server
import shutil
import threading
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from rheobase.data import catalog, download
from rheobase.data.catalog import Entry, File

CONTENT = bytes(range(256)) * 20000


class Ranged(http.server.SimpleHTTPRequestHandler):
    """A file server that honours `Range: bytes=N-` and notes what it was asked."""

    asked: ClassVar[list] = []
    cut = 0

    def do_GET(self):
        self.asked.append(self.headers.get("Range"))
        content = (self.directory_path / self.path.lstrip("/")).read_bytes()
        start = int(self.headers["Range"].split("=")[1].rstrip("-")) if self.headers["Range"] else 0
        if start and start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : len(content) - self.cut])

    def log_message(self, *_):
        pass


class Quiet(http.server.ThreadingHTTPServer):
    """A server that does not print it when a client hangs up, which is what these tests do."""

    def handle_error(self, request, client_address):
        pass


@pytest.fixture
def served(tmp_path, monkeypatch):
    """(entry name, root of the data, folder of the server): one set of two files, one of them in an archive."""
    source, root = tmp_path / "server", tmp_path / "root"
    source.mkdir()
    (source / "plain.bin").write_bytes(CONTENT)
    with zipfile.ZipFile(source / "packed.zip", "w") as archive:
        archive.writestr("inner.h5", CONTENT)
    handler = type("Handler", (Ranged,), {"directory_path": source, "asked": []})
    server = Quiet(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_address[1]}/"

    def described(name, origin, member=None):
        content = (source / origin).read_bytes()
        return File(name, len(content), hashlib.sha256(content).hexdigest(), base + origin, member)

    files = (described("plain.bin", "plain.bin"), described("inner.h5", "packed.zip", "inner.h5"))
    entry = Entry("local", "test", "none", lambda folder: folder, files, "local")
    monkeypatch.setitem(catalog.ENTRIES, "local", entry)
    yield root, source, handler
    server.shutdown()
    server.server_close()


def test_downloads_verifies_and_unpacks(served):
    root, _, handler = served
    seen = []
    folder = download.get("local", root, lambda *progress: seen.append(progress))
    assert (folder / "plain.bin").read_bytes() == CONTENT and (folder / "inner.h5").read_bytes() == CONTENT
    assert sorted(path.name for path in folder.iterdir()) == ["inner.h5", "plain.bin"]
    assert seen[-1][0] == "inner.h5" and ("plain.bin", len(CONTENT), len(CONTENT)) in seen
    handler.asked.clear()
    download.get("local", root)
    assert handler.asked == [], "what is here is not fetched again"


def test_ctrl_c_keeps_the_part_and_the_next_call_goes_on(served, monkeypatch):
    root, _, handler = served
    monkeypatch.setattr(download, "CHUNK", 100_000)

    def interrupt(name, done, size):
        if done >= 300_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"plain\.bin\.part is kept.*data get local"):
        download.get("local", root, interrupt)
    assert not (root / "local/plain.bin").exists()
    kept = (root / "local/plain.bin.part").stat().st_size
    assert 0 < kept < len(CONTENT)
    download.get("local", root)
    assert f"bytes={kept}-" in handler.asked
    assert (root / "local/plain.bin").read_bytes() == CONTENT


def test_a_broken_connection_keeps_the_part(served):
    root, _, handler = served
    handler.cut = 1000
    with pytest.raises(OSError, match=rf"ended after {len(CONTENT) - 1000} of {len(CONTENT)} bytes.*Try again"):
        download.get("local", root)
    handler.cut = 0
    download.get("local", root)
    assert (root / "local/plain.bin").read_bytes() == CONTENT


def test_a_complete_part_is_used(served):
    root, _, _ = served
    (root / "local").mkdir(parents=True)
    (root / "local/plain.bin.part").write_bytes(CONTENT)
    download.get("local", root)
    assert (root / "local/plain.bin").read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_nothing(served):
    root, source, _ = served
    (source / "plain.bin").write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(ValueError, match=r"does not match its checksum.*data get local"):
        download.get("local", root)
    assert list((root / "local").iterdir()) == []


def test_a_full_disk_leaves_nothing_and_says_so(served):
    root, _, _ = served

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match=r"disk full while writing .*plain\.bin\.part"):
        download.get("local", root, full)
    assert list((root / "local").iterdir()) == []


def test_too_little_space_is_noticed_before_the_download(served, monkeypatch):
    root, _, handler = served
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(OSError, match=r"are needed in .* are free"):
        download.get("local", root)
    assert handler.asked == []


def test_what_cannot_be_downloaded_says_where_it_comes_from(tmp_path):
    with pytest.raises(ValueError, match=r"hd cannot be downloaded.*expand\.py"):
        download.get("hd", tmp_path)


def test_no_network_is_a_clear_error(tmp_path, monkeypatch):
    entry = Entry("gone", "", "", lambda folder: folder, (File("x", 1, None, "http://127.0.0.1:9/x"),), "gone")
    monkeypatch.setitem(catalog.ENTRIES, "gone", entry)
    with pytest.raises(OSError, match=r"gone: cannot reach http://127\.0\.0\.1:9/x"):
        download.get("gone", tmp_path)


@pytest.fixture(params=["zip", "gztar"])
def archived(request, served, monkeypatch):
    """(data root, folder of the server, file): a set that is one archive with a folder `things`, known by its MD5."""
    root, source, handler = served
    (source / "inside/things/deep").mkdir(parents=True)
    (source / "inside/things/deep/a.bin").write_bytes(CONTENT)
    archive = shutil.make_archive(str(source / "whole"), request.param, source / "inside")
    name = Path(archive).name
    url = catalog.entry("local").files[0].url.replace("plain.bin", name)
    md5 = hashlib.md5(Path(archive).read_bytes()).hexdigest()
    entry = Entry("packed", "", "", Path, (File(name, 9, url=url, md5=md5, unpacked="things"),), "packed")
    monkeypatch.setitem(catalog.ENTRIES, "packed", entry)
    return root, Path(archive), handler


def test_an_archive_is_unpacked_and_removed(archived):
    root, _, handler = archived
    download.get("packed", root)
    assert (root / "packed/things/deep/a.bin").read_bytes() == CONTENT
    assert [path.name for path in (root / "packed").iterdir()] == ["things"]
    handler.asked.clear()
    download.get("packed", root)
    assert handler.asked == [], "what is unpacked is not fetched again"


def test_an_archive_that_does_not_match_its_md5_leaves_nothing(archived):
    root, archive, _ = archived
    archive.write_bytes(archive.read_bytes() + b"x")
    with pytest.raises(ValueError, match=r"does not match its checksum \(expected [0-9a-f]{32}, got [0-9a-f]{32}\)"):
        download.get("packed", root)
    assert list((root / "packed").iterdir()) == []


def test_an_archive_without_the_wanted_folder_says_so(archived, monkeypatch):
    root, _, _ = archived
    found = catalog.entry("packed")
    monkeypatch.setitem(catalog.ENTRIES, "packed", replace(found, files=(replace(found.files[0], unpacked="other"),)))
    with pytest.raises(ValueError, match=r"does not hold other: its publisher has changed it"):
        download.get("packed", root)
    assert not (root / "packed/other").exists()


def test_one_complete_layout_is_enough(served, monkeypatch):
    root, _, handler = served
    found = replace(catalog.entry("local"), layouts=(("plain.bin", "inner.h5"), ("other/a", "other/b")))
    monkeypatch.setitem(catalog.ENTRIES, "local", found)
    (root / "local/other").mkdir(parents=True)
    (root / "local/other/a").touch()
    assert not found.is_in(root / "local") and len(found.missing(root / "local")) == 2
    (root / "local/other/b").touch()
    assert found.is_in(root / "local") and found.missing(root / "local") == []
    download.get("local", root)
    assert handler.asked == []


def test_every_set_has_an_address_or_says_how_to_get_it():
    for entry in catalog.ENTRIES.values():
        assert entry.downloadable or entry.origin, entry.name
        for file in entry.files:
            assert not file.url or file.url.startswith(("https://", "http://")), file
            assert not file.sha256 or len(file.sha256) == 64, file
            assert not file.md5 or len(file.md5) == 32, file
