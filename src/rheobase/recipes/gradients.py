"""Studies of gradients in time: truncated ones, the surrogate's width, neurons exchanged in the middle of training."""

from collections.abc import Callable
from typing import Any

from rheobase.recipes import clif
from rheobase.training import Config
from rheobase.training.study import Claim, Study

WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)


def truncation() -> Study:
    """CLIF figures 2a and 6 in small: gradients of k steps, for several time constants, and the same with CLIF.

    Its five-layer network at a quarter of the width, T=6, one epoch over the part of CIFAR-10 in batches of 32.
    """
    base = clif.cifar10_cnn5().but(
        recipe="study/cifar10-part-truncation",
        data="cifar-10-part",
        model_options={"width": 0.25},
        augmentation="none",
        epochs=1,
        batch=32,
        select="last",
        seed=0,
        precision="bfloat16",
        workers=0,
    )
    variants: dict[str, dict[str, Any]] = {
        f"tau={tau} k={k}": {"neuron": f"lif:tau={tau}:gradient_steps={k}"}
        for tau in (1.1, 1.5, 2)
        for k in (1, 2, 3, 6)
    }
    variants |= {f"clif k={k}": {"neuron": f"clif:tau=2:gradient_steps={k}"} for k in (1, 2, 3, 6)}
    claims = (
        Claim("tau=2 k=6", "tau=2 k=1", "CLIF figures 2a and 6"),
        Claim("tau=1.1 k=1", "tau=2 k=1", "CLIF figures 2a and 6"),
        Claim("clif k=6", "tau=2 k=6", "CLIF figure 2b"),
    )
    return Study(
        "Part of CIFAR-10, CNN-5 (width 1/4), T=6, 1 epoch, gradients of k steps", base, variants, claims, ("k",)
    )


def rows(recipe: str) -> Config:
    """The embedded digits row by row (T=8) through 64 recurrent neurons, 20 epochs: seconds of one core."""
    return Config(
        recipe=recipe,
        data="digits",
        hidden=(64,),
        readout_tau=3.0,
        readout_tau_std=0.0,
        weight_gain=2.0,
        loss="last_step",
        epochs=20,
        batch=32,
        learning_rate=1e-2,
        select="last",
    )


def width() -> Study:
    """ILIF figures 1 and 5 in small: the width of the surrogate's support, for LIF and ILIF."""
    variants = {
        f"{neuron} width={width}": {"neuron": f"{neuron}:tau=1.1:surrogate=Rectangle(width={width})"}
        for neuron in ("lif", "ilif")
        for width in WIDTHS
    }
    claims = (
        Claim("lif width=1.0", "lif width=4.0", "ILIF figure 5"),
        Claim("ilif width=1.0", "lif width=1.0", "ILIF figure 5"),
        Claim("ilif width=4.0", "lif width=4.0", "ILIF figure 5"),
    )
    return Study("Digits by rows, 64 recurrent neurons, T=8, 20 epochs", rows("study/digits-width"), variants, claims)


def exchanged() -> Study:
    """CLIF figure 3a in small: LIF's network goes on with CLIF after half or a quarter of the epochs."""
    variants: dict[str, dict[str, Any]] = {
        "lif": {"neuron": "lif:tau=2"},
        **{
            f"lif then clif {epoch}": {"neuron": "lif:tau=2", "exchange": "clif:tau=2", "exchange_after": epoch}
            for epoch in (5, 10)
        },
        "clif": {"neuron": "clif:tau=2"},
    }
    claims = (Claim("clif", "lif", "CLIF figure 3a"), Claim("lif then clif 10", "lif", "CLIF figure 3a"))
    return Study(
        "Digits by rows, 64 recurrent neurons, T=8, 20 epochs", rows("study/digits-exchange"), variants, claims
    )


STUDIES: dict[str, Callable[[], Study]] = {
    "cifar10-part-truncation": truncation,
    "digits-width": width,
    "digits-exchange": exchanged,
}
