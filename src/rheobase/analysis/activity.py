"""What the neurons of a network do while it runs: rates, overactivation, silence, intervals, potentials, memory.

Sums are kept, not the data: a batch is traced layer by layer and forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from rheobase.analysis.potentials import distance, inside, potential
from rheobase.analysis.spike_trains import Products, intervals, products, variation
from rheobase.layers import Recurrent, spiking_layers
from rheobase.neurons import Neuron
from rheobase.surrogate import Surrogate

EDGES = torch.arange(-80, 81, dtype=torch.float64) / 20  # of bins of u − θ; what lies beyond counts in the outermost
NO_SIGNAL = {"threshold", "d"}  # of a trace: what is not a state of the neuron


class LayerActivity:
    """Sums over everything that one layer of neurons did. `add` takes in a trace.

    Rates are spikes per neuron and step; shares lie in 0 to 1.
    """

    def __init__(self, surrogate: Surrogate | None = None, lags: int = 20):
        self.surrogate, self.lags = surrogate, lags
        self._sums: dict[str, Tensor] = {}

    def add(self, record: Mapping[str, Tensor], valid: Tensor | None = None) -> None:
        """Count a trace: states, `s`, `u`, `threshold` [T, B, ...]; steps where valid [T, B] is false do not count."""
        s = record["s"].flatten(2)
        valid = torch.ones(s.shape[:2], dtype=torch.bool, device=s.device) if valid is None else valid
        s = s * valid.unsqueeze(-1)
        by_sample, alive = s.sum(0), valid.sum(0).unsqueeze(-1)
        self._add(
            step_spikes=s.sum((1, 2), dtype=torch.float64),
            step_places=valid.sum(1) * float(s.shape[2]),
            neuron_spikes=by_sample.sum(0, dtype=torch.float64),
            trains=torch.tensor([by_sample.numel()]),
            continuous=(by_sample > alive / 2).sum().view(1),
        )
        self._add_intervals(s)
        self._add_potentials(record, valid)
        for name, signal in record.items():
            if name not in NO_SIGNAL:
                found = products(signal, self.lags, valid)._asdict()
                self._add(**{f"{part} of {name}": value for part, value in found.items()})

    def _add(self, **values: Tensor) -> None:
        for name, value in values.items():
            value, before = value.detach().double().cpu(), self._sums.get(name, torch.zeros(0, dtype=torch.float64))
            size = max(len(value), len(before))
            self._sums[name] = sum(nn.functional.pad(one, (0, size - len(one))) for one in (value, before))  # type: ignore[assignment]

    def _add_intervals(self, s: Tensor) -> None:
        found = intervals(s)
        cv = variation(found)
        self._add(interval_counts=torch.bincount(found.steps), cv=torch.stack([cv.sum(), cv.new_tensor(len(cv))]))

    def _add_potentials(self, record: Mapping[str, Tensor], valid: Tensor) -> None:
        d, over = distance(record).flatten(2), (potential(record) > 2 * record["threshold"]).flatten(2)
        kept = valid.unsqueeze(-1).expand_as(d)
        place = torch.bucketize(d[kept].double(), EDGES.to(d.device)[1:-1], right=True)
        support = torch.zeros(()) if self.surrogate is None else (inside(self.surrogate, d) & kept).sum()
        self._add(
            potential_counts=torch.bincount(place, minlength=len(EDGES) - 1),
            overactive=(over & kept).sum().view(1),
            inside=support.view(1),
        )

    def _share(self, part: str, whole: str) -> float:
        return float(self._sums[part].sum() / self._sums[whole].sum())

    @property
    def neurons(self) -> int:
        return len(self._sums["neuron_spikes"])

    @property
    def spikes(self) -> float:
        return float(self._sums["step_spikes"].sum())

    @property
    def places(self) -> float:
        """Neurons times valid steps, over all samples."""
        return float(self._sums["step_places"].sum())

    @property
    def rate(self) -> float:
        return self._share("step_spikes", "step_places")

    @property
    def rate_by_step(self) -> Tensor:
        """[T], over the samples that last so long."""
        return self._sums["step_spikes"] / self._sums["step_places"]

    @property
    def continuous(self) -> float:
        """Share of (neuron, sample) that spike at more than half of the sample's steps. Source: ILIF, figure 3."""
        return self._share("continuous", "trains")

    @property
    def overactive(self) -> float:
        """Share of (neuron, sample, step) with u above twice the threshold. Source: ILIF, overactivation."""
        return self._share("overactive", "step_places")

    @property
    def silent(self) -> float:
        """Share of neurons that never spike, over everything that was added."""
        return float((self._sums["neuron_spikes"] == 0).double().mean())

    @property
    def inside(self) -> float:
        """Share of (neuron, sample, step) with u in the surrogate's support; not a number without a surrogate."""
        return float("nan") if self.surrogate is None else self._share("inside", "step_places")

    @property
    def potential_counts(self) -> Tensor:
        """How many u − θ fell between neighbours of `EDGES`."""
        return self._sums["potential_counts"]

    @property
    def interval_counts(self) -> Tensor:
        """How many intervals between spikes lasted 0, 1, 2, ... steps."""
        return self._sums["interval_counts"]

    @property
    def mean_interval(self) -> float:
        """In steps; not a number where no neuron spiked twice."""
        counts = self.interval_counts
        return float((counts * torch.arange(len(counts))).sum() / counts.sum())

    @property
    def cv(self) -> float:
        """The mean coefficient of variation of the trains with three spikes or more; not a number without any."""
        return float(self._sums["cv"][0] / self._sums["cv"][1])

    @property
    def autocorrelation(self) -> dict[str, Tensor]:
        """By state, `u`, `s` (and `p`): [lags + 1]."""
        names = [name.removeprefix("both of ") for name in self._sums if name.startswith("both of ")]
        parts = {name: [self._sums[f"{part} of {name}"] for part in Products._fields] for name in names}
        return {name: Products(*found).correlation() for name, found in parts.items()}

    def numbers(self) -> dict[str, Any]:
        """Everything as plain numbers, for records."""
        names = ("neurons", "rate", "continuous", "overactive", "silent", "inside", "mean_interval", "cv")
        arrays = ("rate_by_step", "interval_counts", "potential_counts")
        return {
            **{name: getattr(self, name) for name in names},
            **{name: getattr(self, name).tolist() for name in arrays},
            "autocorrelation": {name: value.tolist() for name, value in self.autocorrelation.items()},
        }


class Recorder:
    """A context in which every spiking layer of a model is traced while the model runs; `layers` holds what they did.

    Set `lengths` before a batch with padding. Whatever the backend, states come from the eager trace of the layer's
    input, with the same random numbers; the model's own output stays as it is. `flips` counts the spikes in which the
    two differ (only exp, σ and tanh may round differently); `spikes` and `places` as in training.FiringRate, so that
    `training.evaluate(task, samples, firing=recorder)` runs and scores the data.
    Errors: ValueError for a model without spiking layers.
    """

    def __init__(self, model: nn.Module, lags: int = 20):
        self.lengths: Tensor | None = None
        self.flips = 0
        self._modules = spiking_layers(model)
        if not self._modules:
            raise ValueError(f"activity: {type(model).__name__} has no spiking layers with time steps.")
        self.layers = {name: LayerActivity(_neuron(layer).surrogate, lags) for name, layer in self._modules.items()}

    def __enter__(self) -> Recorder:
        self._hooks = [layer.register_forward_pre_hook(self._before) for layer in self._modules.values()]
        for name, layer in self._modules.items():
            self._hooks.append(layer.register_forward_hook(partial(self._after, name), with_kwargs=True))
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for hook in self._hooks:
            hook.remove()

    @property
    def spikes(self) -> float:
        return sum(layer.spikes for layer in self.layers.values())

    @property
    def places(self) -> float:
        return sum(layer.places for layer in self.layers.values())

    def _before(self, module: nn.Module, inputs: tuple) -> None:
        self._random = torch.get_rng_state()  # where a fresh call takes its key from

    @torch.no_grad()
    def _after(self, name: str, module: Any, inputs: tuple, options: dict[str, Any], spikes: Tensor) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self._random)
            record = module.trace(*inputs, **options)
        valid = None
        if self.lengths is not None:
            valid = torch.arange(len(spikes), device=spikes.device).unsqueeze(1) < self.lengths.to(spikes.device)
        self.flips += int((record["s"] != spikes).sum())
        self.layers[name].add(record, valid)


def _neuron(layer: Neuron | Recurrent) -> Neuron:
    return layer.neuron if isinstance(layer, Recurrent) else layer


@torch.no_grad()
def weight_norms(model: nn.Module) -> dict[str, float]:
    """The Frobenius norm of every matrix and kernel of a model, by name. Source: ILIF, figure 1c."""
    return {name: float(weight.norm()) for name, weight in model.named_parameters() if weight.dim() > 1}
