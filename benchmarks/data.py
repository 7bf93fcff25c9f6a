"""How fast batches are prepared: samples per second of one thread's own time, so that other work does not count.

python -m benchmarks.data       (needs CIFAR-10's part and the ten gestures in RHEOBASE_DATA)
"""

import statistics
import time

import torch

from rheobase import data
from rheobase.data.presets import PRESETS


def rate(batches, wanted: int) -> float:
    """Samples per second of processor time, after the first batch."""
    next(batches)
    start, count = time.process_time(), 0
    for batch in batches:
        count += len(batch.labels)
        if count >= wanted:
            break
    return count / (time.process_time() - start)


def main() -> None:
    torch.set_num_threads(1)
    images = data.load("cifar-10-part")
    for name in PRESETS:
        augment = data.augmentation(name, images)
        order = torch.randperm(len(images.train))
        rates = [
            rate(data.batches(images.train, images.encoding, 128, order, augment=augment, epoch=epoch), 5000)
            for epoch in range(3)
        ]
        print(f"CIFAR-10, batches of 128, {name:14s} {statistics.median(rates):8.0f} images/s")
    frames = data.load("dvs-gesture-10", cache=False)
    many = frames.train[torch.arange(8).repeat(8)]
    rates = [rate(data.batches(many, frames.encoding, 16), 32) for _ in range(3)]
    print(f"DVS128 Gesture, 20 frames of 128x128, batches of 16 {statistics.median(rates):8.0f} recordings/s")


if __name__ == "__main__":
    main()
