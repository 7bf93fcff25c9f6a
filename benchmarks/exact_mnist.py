"""Latency-coded MNIST with theta neurons (784-100-100-10): does it learn, how fast, with and without pseudospikes?

    python benchmarks/exact_mnist.py FOLDER_WITH_THE_IDX_FILES [--images 60000 --epochs 20 --seconds 600]
"""

from __future__ import annotations

import argparse
import math
import pathlib
import time

import torch

from rheobase import exact
from rheobase.data.mnist import load_mnist
from rheobase.exact.adabelief import AdaBelief
from rheobase.exact.classifier import FirstSpike, accuracy, train_epoch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    for field, default in (("images", 60_000), ("epochs", 20), ("batch", 1000), ("seed", 0), ("seconds", 10**6)):
        parser.add_argument(f"--{field}", type=int, default=default)
    parser.add_argument("--lr", type=float, default=4e-3)
    parser.add_argument("--cosine", action="store_true", help="learning rate falls to 0 over the epochs")
    parser.add_argument("--no-pseudospikes", action="store_true")
    args = parser.parse_args()
    data = load_mnist(args.folder)
    (x, y), (x_test, y_test) = ((part.values * part.scale, part.labels) for part in (data.train, data.test))
    torch.manual_seed(args.seed)
    neuron = exact.Theta(tau=6 / math.pi, i0=1.25)
    model = FirstSpike(neuron, (784, 100, 100, 10), T=2.0, pseudospikes=not args.no_pseudospikes)
    optimizer = AdaBelief(model.parameters(), lr=args.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs)
    start = time.perf_counter()
    for epoch in range(1, args.epochs + 1):
        loss = train_epoch(model, optimizer, x[: args.images], y[: args.images], args.batch)
        test, ordinary = accuracy(model, x_test, y_test)
        if args.cosine:
            schedule.step()
        spent = time.perf_counter() - start
        shares = f"test {test:.4f}, by ordinary spikes {ordinary:.4f}"
        print(f"epoch {epoch}: loss {loss:.4f}, {shares}, {spent:.0f} s", flush=True)
        if spent > args.seconds:
            break


if __name__ == "__main__":
    main()
