"""Scaled-down twins: a published recipe on a part of real data, with a narrow network, for two cores."""

from rheobase.training import Config

IMAGES, EVENTS = "cifar-10-part", "n-mnist-part"
WIDTH = 0.125
SMALLEST = {"spike_transformer": 0.25}  # eight heads need four channels each


def twin(full: Config) -> Config:
    """The same loss, optimiser, schedule, weight decay, dropout and network, with less of everything.

    Images: the part of CIFAR-10 that is here, T at most 4, 8 epochs. Events: the part of N-MNIST, T at most 8, 20
    epochs. An eighth of the width, bfloat16; weights of the last epoch, so that validation only watches.
    """
    width = {"width": SMALLEST.get(full.model, WIDTH)}
    shared = full.but(
        recipe=f"{full.recipe}-small",
        model_options={**full.model_options, **width},
        validation_fraction=0.05,
        select="last",
        precision="bfloat16",
        workers=0,
        seed=0,
    )
    if full.encoding == "direct":
        steps = min(full.steps or 4, 4)
        return shared.but(data=IMAGES, data_options={}, steps=steps, augmentation="crop-flip", epochs=8, batch=128)
    steps = min(int(full.data_options["steps"]), 8)
    return shared.but(data=EVENTS, data_options={"steps": steps}, augmentation="none", epochs=20, batch=32)
