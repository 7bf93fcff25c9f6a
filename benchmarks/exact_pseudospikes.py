"""How much of an answer is pseudospikes: accuracy with them, and where an ordinary spike has to be the first.

    python -m benchmarks.exact_pseudospikes SOURCE [SOURCE ...] [--out results/exact/pseudospikes.json]

SOURCE: runs or records of event-driven networks that answer by their first spike. The test set, once more, without
any choice that depends on it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch

from rheobase import data
from rheobase.training import record, restore_task


@torch.no_grad()
def measure(source: Path) -> dict[str, float]:
    """Shares of the test set."""
    task = restore_task(source)
    model, right, ordinary, decided = task.model.eval(), 0, 0, 0
    for batch in data.batches(task.test, task.encode, 1000):
        times = -model(batch.sequence())[0]
        hit, early = times.argmin(1) == batch.labels, times.amin(1) < model.T
        right, ordinary, decided = right + hit.sum(), ordinary + (hit & early).sum(), decided + early.sum()
    total = len(task.test)
    return {
        "accuracy": float(right) / total,
        "right by an ordinary spike": float(ordinary) / total,
        "answered by an ordinary spike": float(decided) / total,
        "accuracy where an ordinary spike answers": float(ordinary) / max(1.0, float(decided)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("results/exact/pseudospikes.json"))
    args = parser.parse_args()
    found = {source.stem: measure(source) for source in args.sources}
    print(json.dumps(found, indent=1))
    command = f"python -m benchmarks.exact_pseudospikes {' '.join(sys.argv[1:])}"
    record.write(args.out, {**record.circumstances(command), "sources": found})


if __name__ == "__main__":
    main()
