"""Which data sets there are, which files each needs, where they come from, and whether they are here."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rheobase.data.digits import load_digits
from rheobase.data.heidelberg import load_hd, load_shd
from rheobase.data.mnist import load_mnist
from rheobase.data.samples import DataSet
from rheobase.names import unknown


@dataclass(frozen=True)
class File:
    """One file of a data set. Where `member` is given the download is a zip archive, and the file is that member of it.

    `size` and `sha256` are those of the download.
    """

    name: str
    size: int
    sha256: str | None = None
    url: str | None = None
    member: str | None = None


@dataclass(frozen=True)
class Entry:
    """One data set: its files lie in the folder `root/folder`, `load(folder)` reads them."""

    name: str
    title: str
    licence: str
    load: Callable[..., DataSet]
    files: tuple[File, ...] = ()
    folder: str = ""
    origin: str = ""


def _idx(base: str, *files: tuple[str, int, str]) -> tuple[File, ...]:
    return tuple(File(name, size, sha256, base + name) for name, size, sha256 in files)


MNIST = _idx(
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ("train-images-idx3-ubyte.gz", 9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
    ("train-labels-idx1-ubyte.gz", 28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
    ("t10k-images-idx3-ubyte.gz", 1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
    ("t10k-labels-idx1-ubyte.gz", 4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
)
FASHION = _idx(
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ("train-images-idx3-ubyte.gz", 26421880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
    ("train-labels-idx1-ubyte.gz", 29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
    ("t10k-images-idx3-ubyte.gz", 4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
    ("t10k-labels-idx1-ubyte.gz", 5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
)
# The checksums are those that tonic's repository publishes for the archives; the sizes are rounded.
SHD_HOME = "https://zenkelab.org/datasets/"
SHD = (
    File(
        "shd_train.h5",
        131_000_000,
        "d21bf17b71bededa52cc9134717b2bfee25dc4a99a94c1807be9a3c4f9697dc4",
        SHD_HOME + "shd_train.h5.zip",
        member="shd_train.h5",
    ),
    File(
        "shd_test.h5",
        38_000_000,
        "f50b1d1f614ed84ff92f34aa771c33b237944722455b52ce1ccd2eac7903812c",
        SHD_HOME + "shd_test.h5.zip",
        member="shd_test.h5",
    ),
)
HD = (File("hd_train.h5", 460_176_672), File("hd_test.h5", 102_218_976))

ENTRIES = {
    entry.name: entry
    for entry in (
        Entry(
            "digits",
            "8x8 digits, 1,797",
            "CC BY 4.0",
            load_digits,
            origin="comes with scikit-learn (pip install 'rheobase[demo]')",
        ),
        Entry("mnist", "handwritten digits, 70,000", "none stated", load_mnist, MNIST, "mnist"),
        Entry("fashion-mnist", "articles of clothing, 70,000", "MIT", load_mnist, FASHION, "fashion-mnist"),
        Entry("shd", "Spiking Heidelberg Digits, 10,420", "CC BY 4.0", load_shd, SHD, "shd"),
        Entry(
            "hd",
            "Heidelberg Digits through our cochlea model, 10,420",
            "CC BY 4.0",
            load_hd,
            HD,
            "hd-cochlea",
            origin="not published for download; `python expand.py TARGET hd` of the project's shared data unpacks it",
        ),
    )
}


def names() -> list[str]:
    """The names that `load` knows."""
    return list(ENTRIES)


def entry(name: str) -> Entry:
    """What is known about one data set; an unknown name fails with the nearest known one."""
    if name not in ENTRIES:
        raise unknown("data set", name, ENTRIES)
    return ENTRIES[name]


def default_root() -> Path:
    """$RHEOBASE_DATA, or else ~/.cache/rheobase."""
    given = os.environ.get("RHEOBASE_DATA")
    return Path(given).expanduser() if given else Path.home() / ".cache" / "rheobase"


def load(name: str, root: str | os.PathLike | None = None, **options) -> DataSet:
    """Read a data set into memory.

    `root` is the folder that holds one folder per set; default: $RHEOBASE_DATA, or else ~/.cache/rheobase.
    `options` go to its reader (shd and hd: steps, step_ms).
    Errors: FileNotFoundError where files are missing, ValueError where one is damaged; both say what to do.
    """
    found = entry(name)
    folder = (Path(root).expanduser() if root else default_root()) / found.folder
    absent = missing(found, folder)
    if absent:
        fetch = f"`rheobase data get {name}` downloads" if found.files[0].url else f"{found.origin}. It provides"
        raise FileNotFoundError(
            f"{name}: {folder / absent[0].name} is missing. {fetch} {megabytes(absent)}; "
            "or point RHEOBASE_DATA at a folder that has it."
        )
    return found.load(folder, **options)


def missing(found: Entry, folder: Path) -> list[File]:
    """The files that are not in `folder`, neither as downloaded nor (idx) unpacked."""

    def is_here(name: str) -> bool:
        return (folder / name).is_file() or (folder / name.removesuffix(".gz")).is_file()

    return [file for file in found.files if not is_here(file.name)]


def megabytes(files) -> str:
    """The total size of files in words."""
    return f"{sum(file.size for file in files) / 1e6:.1f} MB"


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
