"""The record of a run: what was run, on what, by which code, and what came out. One JSON file."""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from rheobase.atomic import write_atomically

RECORD, WEIGHTS = "record.json", "weights.safetensors"  # in the folder of a run
PACKAGES = ("rheobase", "torch", "numpy", "scikit-learn", "h5py")


def circumstances(command: str) -> dict[str, Any]:
    """Command, time, versions, hardware and commit of a run that starts now."""
    return {
        "command": command,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **_versions()},
        "hardware": _hardware(),
        "commit": _commit(Path(__file__).parent),
    }


def write(path: Path, record: dict[str, Any]) -> None:
    """Write a record as JSON; numbers that are not finite become null, which JSON has."""
    write_atomically(path, (json.dumps(_finite(record), indent=1) + "\n").encode())


def read(path: Path) -> dict[str, Any]:
    """Read a record. Errors: ValueError, naming the file, where it is not one."""
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not a record of a run ({error}).") from error
    if not isinstance(found, dict) or "config" not in found:
        raise ValueError(f"{path} is not a record of a run: it has no config.")
    return found


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _hardware() -> dict[str, Any]:
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": gpus,
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        return platform.processor()
    return platform.processor()


def _commit(folder: Path) -> str | None:
    """The commit of the source that runs, with + where files of the package differ from it; None outside of git."""
    try:
        commit = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        package = ["git", "-C", str(folder.parent), "status", "--porcelain", "--", "."]
        changed = subprocess.run(package, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+" if changed else "")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not (-float("inf") < value < float("inf")):
        return None
    return value
