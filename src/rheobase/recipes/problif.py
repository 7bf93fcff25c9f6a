"""Probabilistic LIF neurons (Higuchi et al., AIROV 2026) on SHD and HD; S-MNIST has its own file.

The structure is fixed by the published parameter counts. Batch sizes, Adam, the linear schedule, clipping and
τ ~ N(20, 5) are the likely settings of the lab's public code; number of epochs and learning rate are ours.
"""

from rheobase.training import Config


def shd() -> Config:
    """ProbLIF, σ=1, (700, 128 recurrent, 20), 108,544 weights, readout fixed. Published: 79.99 %."""
    return Config(
        recipe="problif/shd",
        data="shd",
        hidden=(128,),
        neuron="problif",
        neuron_options={"sigma": 1.0},
        epochs=100,
        batch=32,
        learning_rate=1e-3,
        evaluation_batch=256,
    )


def shd_plif() -> Config:
    """ProbPLIF, σ=1.3, 108,692 parameters. Published: 87.72 %."""
    options: dict[str, float | bool | str] = {"sigma": 1.3, "tau_std": 5.0}
    return shd().but(recipe="problif/shd-plif", neuron="probplif", neuron_options=options, learn_readout_tau=True)


# Chosen on speakers 3 and 8, held out together, 5 epochs each (results/hd/search.jsonl).
HD_NEURON: dict[str, float | bool | str] = {"sigma": 0.3, "mix": 0.2, "tau": 4.0}


def hd() -> Config:
    """ProbLIF in SHD's network on HD, speaker 3 held out. Another task than SHD: every test speaker is unknown.

    Neighbouring channels are heard up to 180 ms apart (a delay line without a parameter), recordings are shifted,
    stretched, warped and blended; time constants are short. σ and the mixture are smaller than the paper's.
    """
    return shd().but(
        recipe="problif/hd",
        data="hd",
        data_options={"taps": 10, "tap_steps": 5},
        event_augmentation={"shift": 25.0, "stretch": 0.03, "warp": 0.1, "blend": 0.5},
        validation_speaker=3,
        mask_padding=True,
        length_pool=8,
        neuron_options=HD_NEURON,
        model_options={"input_gain": 5.0, "readout_gain": 5.0},
        loss="mean_readout",
        epochs=12,
        batch=64,
        learning_rate=0.015,
        precision="bfloat16",
    )


def hd_plif() -> Config:
    """ProbPLIF under the same protocol: its time constants and the readout's are learnt."""
    options = {**HD_NEURON, "tau_std": 2.0}
    return hd().but(recipe="problif/hd-plif", neuron="probplif", neuron_options=options, learn_readout_tau=True)


def hd_baseline() -> Config:
    """The deterministic twin of `hd`, the paper's LIF: σ = 0."""
    return hd().but(recipe="problif/hd/baseline", neuron_options={**HD_NEURON, "sigma": 0.0})


def hd_plif_baseline() -> Config:
    """The deterministic twin of `hd_plif`, the paper's PLIF: σ = 0."""
    return hd_plif().but(recipe="problif/hd-plif/baseline", neuron_options={**hd_plif().neuron_options, "sigma": 0.0})
