"""Networks that start without a single hidden spike: who ever speaks?

    python -m benchmarks.exact_silence [--seeds 0,1,2 --epochs 25 --out results/exact --runs runs/silence]

Recipe exact/digits-silent with QIF neurons, with QIF neurons without pseudospikes, and with LIF neurons.
Writes silence.json and silence.png; complete runs are not repeated.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rheobase import plots
from rheobase.plots.figure import save
from rheobase.plots.silence import silent_share
from rheobase.recipes import recipe
from rheobase.training import compare, record

VARIANTS = {
    "QIF": ("qif", {}),
    "QIF without pseudospikes": ("qif", {"pseudospikes": False}),
    "LIF": ("lif", {}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--out", type=Path, default=Path("results/exact"))
    parser.add_argument("--runs", type=Path, default=Path("runs/silence"))
    args = parser.parse_args()
    command = f"python -m benchmarks.exact_silence {' '.join(sys.argv[1:])}".strip()
    start = recipe("exact/digits-silent").but(epochs=args.epochs)
    content, drawn = {**record.circumstances(command), "config": start.as_dict(), "variants": {}}, {}
    for name, (neuron, options) in VARIANTS.items():
        config = start.but(neuron=neuron, model_options={**start.model_options, **options})
        seeds = [int(seed) for seed in args.seeds.split(",")]
        (row,) = compare(config, [neuron], seeds, args.runs / name.replace(" ", "-"), command=command)
        drawn[name] = [found["epochs"] for found in row.records]
        content["variants"][name] = [
            {
                "test_accuracy": found["test"]["accuracy"],
                "silent": [silent_share(epoch) for epoch in found["epochs"]],
                "returned": [sum(layer["returned"] for layer in epoch["hidden"]) for epoch in found["epochs"]],
                "validation_accuracy": [epoch["validation_accuracy"] for epoch in found["epochs"]],
            }
            for found in row.records
        ]
        mean, spread = row.summary("accuracy")
        print(f"{name:26s} test {mean:.2%} ± {spread:.2%}, silent at the end {silent_share(drawn[name][0][-1]):.0%}")
    record.write(args.out / "silence.json", content)
    title = "8x8 digits, 64-50-30-10, started with every hidden neuron silent"
    save(plots.silence(drawn, title), args.out / "silence.png")


if __name__ == "__main__":
    main()
