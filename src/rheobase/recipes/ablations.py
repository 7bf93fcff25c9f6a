"""Studies of neurons and their parts on the embedded digits: the papers' comparisons in minutes of one core."""

from collections.abc import Callable
from typing import Any

from rheobase.recipes.dalif import DECAYS
from rheobase.recipes.gradients import rows
from rheobase.training import Config
from rheobase.training.study import Claim, Study

ABLATION: dict[str, str] = {
    "both": "dalif",
    "alpha only": "dalif:learn_beta=false",
    "beta only": "dalif:learn_alpha=false",
    "neither": "dalif:learn_alpha=false:learn_beta=false",
}


def decays() -> Study:
    """DA-LIF figure 1a in small: accuracy over fixed spatial and temporal decays, and with learned ones."""
    fixed = {
        f"alpha={alpha} beta={beta}": {"neuron": f"dalif:alpha={alpha}:beta={beta}"}
        for alpha in DECAYS
        for beta in DECAYS
    }
    claims = (Claim("learned", "alpha=1.0 beta=1.0", "DA-LIF figure 1a"),)
    base = rows("study/digits-decays")
    variants = {**fixed, "learned": {"neuron": "dalif"}}
    title = "Digits by rows, 64 recurrent neurons, T=8, 20 epochs"
    return Study(title, base, variants, claims, ("alpha", "beta"))


def still(recipe: str) -> Config:
    """The whole digit as the same current at each of T steps, as the papers show images, to the same network."""
    return rows(recipe).but(encoding="direct", loss="mean_readout")


def learned_decays() -> Study:
    """DA-LIF figure 2 in small: learning α, β, both or neither, over T."""
    variants: dict[str, dict[str, Any]] = {
        f"{label} T={steps}": {"neuron": neuron, "steps": steps}
        for label, neuron in ABLATION.items()
        for steps in (1, 2, 4)
    }
    claims = tuple(
        Claim(f"{better} T=4", f"{worse} T=4", "DA-LIF figure 2")
        for better, worse in (("both", "alpha only"), ("alpha only", "beta only"), ("beta only", "neither"))
    )
    title = "Digits, 64 recurrent neurons, 20 epochs"
    return Study(title, still("study/digits-learned-decays"), variants, claims, ("T",))


def over_steps() -> Study:
    """CLIF figures 2b and 3b in small: LIF and CLIF trained with T steps."""
    variants: dict[str, dict[str, Any]] = {
        f"{neuron} T={steps}": {"neuron": f"{neuron}:tau=2", "steps": steps}
        for neuron in ("lif", "clif")
        for steps in (1, 2, 4, 8, 16)
    }
    claims = (
        Claim("clif T=2", "lif T=2", "CLIF figure 3b"),
        Claim("clif T=8", "lif T=8", "CLIF figure 3b"),
        Claim("clif T=16", "clif T=2", "CLIF figure 2b"),
        Claim("lif T=8", "lif T=16", "CLIF figure 2b"),
    )
    title = "Digits, 64 recurrent neurons, 20 epochs"
    return Study(title, still("study/digits-steps"), variants, claims, ("T",))


def neurons() -> Study:
    """CLIF figure 4 in small: its neurons side by side, without the network of ReLUs."""
    kinds = {
        "lif": "lif:tau=2",
        "plif": "plif:variant=soft:tau=2",
        "klif": "klif",
        "glif": "glif",
        "clif": "clif:tau=2",
    }
    claims = tuple(Claim("clif", other, "CLIF figure 4") for other in kinds if other != "clif")
    variants = {label: {"neuron": spec} for label, spec in kinds.items()}
    title = "Digits by rows, 64 recurrent neurons, T=8, 20 epochs"
    return Study(title, rows("study/digits-neurons"), variants, claims)


STUDIES: dict[str, Callable[[], Study]] = {
    "digits-decays": decays,
    "digits-learned-decays": learned_decays,
    "digits-steps": over_steps,
    "digits-neurons": neurons,
}
