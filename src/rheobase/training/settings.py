"""The groups of settings that make up a Config, each a small frozen dataclass; the docstring of a field is its help."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Options = dict[str, int | float | bool | str]


@dataclass(frozen=True)
class DataSettings:
    """Samples, how they become time steps, and what is held out."""

    recipe: str = "digits"
    """Name under which the run is recorded."""
    data: str = "digits"
    """Data set, one of `rheobase data list`."""
    data_options: Options = field(default_factory=dict)
    """Options of the data set's reader, for example `steps 10 size 48` for events."""
    encoding: str | None = None
    """rows, pixels, events, direct, poisson or latency; none: the data set's own."""
    steps: int | None = None
    """Time steps of the encodings direct, poisson and latency; none: the data set's own."""
    augmentation: str = "none"
    """What happens to training samples: none, crop-flip, cifar, cifar-strong, tiny-imagenet, imagenet, events, ..."""
    mask_padding: bool = False
    """Leave the steps after the end of each sequence out of loss, prediction and firing rate."""
    length_pool: int = 1
    """Sort the samples of this many random batches by length before cutting them up: less padding to compute."""
    event_augmentation: dict[str, float] = field(default_factory=dict)
    """Changes of training recordings (shd, hd) and their strengths, as in rheobase.data.augment_events: `shift 20`."""
    validation_fraction: float = 0.1
    """Share of every class of the training set that is held out for validation."""
    validation_speaker: int | None = None
    """Hold out this speaker instead of a fraction."""
    validation_by_group: bool = False
    """Hold out that fraction as whole speakers, subjects or recordings, so that none is on both sides."""


@dataclass(frozen=True)
class NetworkSettings:
    """Architecture and neuron."""

    model: str = "recurrent"
    """Architecture, one of `rb.models.names()`."""
    model_options: Options = field(default_factory=dict)
    """Options of an image or event network, for example `dropout 0.3`."""
    neuron: str = "probplif"
    """Neuron, one of `rb.neurons.names()`."""
    neuron_options: Options = field(default_factory=dict)
    """Options of the neuron, for example `sigma 1.2 tau 20`."""
    exchange: str | None = None
    """Another neuron, as name:option=value, for the same network after the epochs of `exchange_after`."""
    exchange_after: int | None = None
    """Epochs until the exchange, fewer than all of them."""
    hidden: tuple[int, ...] = (128,)
    """Recurrent network: neurons in each hidden layer."""
    feedback: tuple[bool, ...] = (True,)
    """Recurrent network: which hidden layers are recurrent, True or False for each, or one for all."""
    readout_tau: float = 20.0
    """Recurrent network: mean time constant of the readout, in steps."""
    readout_tau_std: float = 5.0
    """Recurrent network: standard deviation of the readout's time constants over the classes."""
    learn_readout_tau: bool = False
    """Recurrent network: learn the time constants of the readout, one per class."""
    weight_gain: float = 1.0
    """Recurrent network: factor on the Xavier-uniform weights."""


@dataclass(frozen=True)
class OptimisationSettings:
    """Loss, optimiser, schedule, and which weights are kept."""

    epochs: int = 40
    """Passes over the training samples."""
    batch: int = 128
    """Samples per step of the optimiser, over all processes."""
    accumulate: int = 1
    """Parts into which each process splits its batch, one after the other: less memory, the same gradient."""
    optimizer: Literal["adam", "adamw", "sgd", "lamb", "adabelief"] = "adam"
    """adam, adamw (decoupled weight decay), sgd (with momentum), lamb or adabelief."""
    learning_rate: float = 3e-3
    """The learning rate after warm-up."""
    tau_learning_rate: float | None = None
    """The same for time constants, which count in steps and so have farther to go than weights; none: as the others."""
    momentum: float = 0.9
    """Momentum of sgd; the others keep their 0.9 and 0.999."""
    weight_decay: float = 0.0
    """On every parameter, as in the papers' scripts."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate falls to 0 over all steps."""
    warmup: float = 0.0
    """Epochs in which the learning rate rises linearly from 0."""
    clip: float | None = 1.0
    """Largest norm of the gradient; none: unlimited."""
    loss: str = "every_step"
    """every_step, last_step, mean_readout, tet or mse; last_step predicts from the last step, others from the mean."""
    loss_options: Options = field(default_factory=dict)
    """Options of the loss: `smoothing 0.1` spreads labels; tet has `weight` (λ, 0.05) and `target` (ones or onehot)."""
    average: float | None = None
    """Decay per step of the moving average of the weights that is evaluated and kept; none: the weights themselves."""
    select: Literal["loss", "accuracy", "last"] = "loss"
    """Epoch whose weights are kept: lowest validation loss, highest validation accuracy, or simply the last."""
    patience: int | None = None
    """Stop after this many epochs without a better one; none: never."""
    seed: int = 0
    """Seed of weights, order, augmentation and noise; the split does not depend on it."""


@dataclass(frozen=True)
class MachineSettings:
    """How the same training is computed: on what, in which precision."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto takes the GPU where there is one."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Type of activations; weights stay float32. float16 scales the loss so that gradients do not vanish."""
    channels_last: bool = False
    """Keep images with the channel as the fastest dimension."""
    compile: bool = False
    """torch.compile for the parts of the network without a neuron in them."""
    evaluation_batch: int = 500
    """Samples per batch in evaluation."""
    workers: int = 0
    """Prepare batches ahead: this many processes for data in files, one thread for data in memory; 0: when needed."""
    log_every: int = 50
    """Steps of the optimiser from one line of the log to the next."""
