"""The public entry: a network of one neuron kind, from event to event, with exact gradients."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence

import torch

from rheobase.exact import inputs, pseudospikes
from rheobase.exact.neuron import Neuron, whole
from rheobase.exact.operator import run

FLAT = 1e-6  # slope at threshold below which a gradient is called exploding


@dataclasses.dataclass(frozen=True, eq=False)
class Events:
    """What happened in a simulation.

    Shapes: times, ids, is_input [B, E] (events in order, padded with inf, -1, False), state_at_T [B, rows, N]; without
        B if the input had none; smallest_slope [B] or [].
    smallest_slope: of all LIF spikes, τ V'/θ at the threshold. A spike's gradient grows as its inverse, without bound;
        a RuntimeWarning says so below 1e-6. It is inf without spikes and for neurons that never cross flatly.
    """

    times: torch.Tensor
    ids: torch.Tensor
    is_input: torch.Tensor
    state_at_T: torch.Tensor
    smallest_slope: torch.Tensor
    rank: torch.Tensor = dataclasses.field(repr=False)  # how many spikes of its neuron came before
    T: float
    neuron: Neuron
    drive: torch.Tensor | None = dataclasses.field(repr=False)  # [B, N], the input behind pseudospikes

    def first(self, output_ids: Sequence[int] | torch.Tensor, count: int) -> torch.Tensor:
        """The first `count` spike times of some neurons.

        Shapes: [B, outputs, count], or [outputs, count] without a batch.
        Math: a spike that did not come is inf with zero gradient, or a pseudospike where `simulate` was asked for them.
        Errors: ValueError for neurons that do not exist or a count below 1.
        """
        batched = self.times.dim() == 2
        times, state = (self.times, self.state_at_T) if batched else (self.times[None], self.state_at_T[None])
        outputs = self._outputs(output_ids, state.shape[-1], count)
        table = self._table(times, state.shape[-1], count)[:, outputs]
        end = torch.cat([times, times.new_full((len(times), 1), torch.inf)], dim=1)
        found = end.gather(1, table.flatten(1)).view(table.shape)
        if self.drive is not None:
            pseudo, missing = self._pseudo(self.drive, state, outputs, count), table == times.shape[1]
            found = torch.where(missing, pseudo, found)
        return found if batched else found[0]

    def counts(self) -> torch.Tensor:
        """Ordinary spikes per neuron. Shapes: [B, N], or [N]."""
        ids = self.ids if self.ids.dim() == 2 else self.ids[None]
        sample, place = torch.nonzero((ids >= 0) & ~self.is_input.view_as(ids), as_tuple=True)
        total = torch.zeros(len(ids), self.state_at_T.shape[-1], dtype=torch.long, device=ids.device)
        total.index_put_((sample, ids[sample, place]), torch.ones_like(place), accumulate=True)
        return total if self.ids.dim() == 2 else total[0]

    def _outputs(self, output_ids, N: int, count: int) -> torch.Tensor:
        outputs = torch.as_tensor(output_ids, device=self.times.device).reshape(-1)
        if outputs.numel() and (outputs.is_floating_point() or outputs.dtype == torch.bool):
            raise ValueError(f"first: output_ids must be whole numbers; got {outputs.dtype}.")
        outputs = outputs.long()
        if outputs.numel() and bool(((outputs < 0) | (outputs >= N)).any()):
            raise ValueError(f"first: output_ids must lie in 0..{N - 1}; got {outputs.tolist()}.")
        if not whole(count):
            raise ValueError(f"first: count must be a whole number of spikes, at least 1; got {count!r}.")
        return outputs

    def _table(self, times: torch.Tensor, N: int, count: int) -> torch.Tensor:
        """[B, N, count]: where each neuron's k-th spike stands in the events; one past the last if it did not come."""
        B, E = times.shape
        ids, rank = self.ids.view(B, E), self.rank.view(B, E)
        sample, place = torch.nonzero((ids >= 0) & ~self.is_input.view(B, E) & (rank < count), as_tuple=True)
        table = torch.full((B, N, count), E, device=times.device)
        table[sample, ids[sample, place], rank[sample, place]] = place
        return table

    def _pseudo(self, drive: torch.Tensor, state: torch.Tensor, outputs: torch.Tensor, count: int) -> torch.Tensor:
        ordinary = self.counts().view(len(state), state.shape[-1])[:, outputs, None]
        index = (torch.arange(1, count + 1, device=state.device) - ordinary).clamp(min=1).movedim(-1, 0).to(state.dtype)
        later = self.neuron.pseudo_time(state[..., outputs], drive[:, outputs], index)
        return self.T + later.movedim(0, -1)


def simulate(
    neuron: Neuron,
    w_in: torch.Tensor,
    w_net: torch.Tensor | None,
    times: torch.Tensor,
    ids: torch.Tensor,
    T: float,
    x0: torch.Tensor | None = None,
    pseudospikes: bool = False,
    max_events: int | None = None,
    *,
    delays: tuple[torch.Tensor | None, torch.Tensor | None] | None = None,
    layers: Sequence[int] | None = None,
) -> Events:
    """Simulate a network from event to event over [0, T), differentiable to w_in, w_net, x0, times and delays.

    Math: between events every neuron follows its exact solution; an arriving spike changes receivers by w[post, pre].
        Gradients come from the adjoint, one sweep back over the events. At equal times input spikes come first, in the
        order given, then neurons by index. Only events before T happen.
    Shapes: w_in [N, inputs]; w_net [N, N] or None (no coupling; its diagonal is no parameter: not used, gradient 0);
        times and ids [B, K] or [K], in any order, padded with inf and -1; x0 [rows, N] or [B, rows, N], default 0;
        delays a pair of [inputs] and [N], either None: what an input or a neuron sends arrives that much later.
    Units: all times in that of the neuron's tau. float32 and float64; event times are kept in float64 inside.
    Errors: ValueError for anything that is not as above; RuntimeError when a sample has more than max_events (default
        10 million) events, input spikes before T and spikes as in `times` of the result, its state overflows, or the
        backend asked for cannot run here.
    Backends: tensors on the CPU run the C kernel (samples on threads), tensors on a CUDA GPU the Triton kernels (one
        program per sample, per 64 neurons of it without coupling; at most 4096 coupled neurons); all given tensors
        must be on one device. Weight gradients of a GPU are summed in any order. `rb.backend("eager")` runs the
        readable reference.
    pseudospikes: spikes that did not come get times after T (QIF and Theta). `layers`, sizes of consecutive groups of
        neurons, says how w_net is layered for that; by default it is read from the zeros of w_net. A single layer means
        the recurrent rule.
    """
    if layers is not None and not pseudospikes:
        raise ValueError(f"simulate: layers are for pseudospikes only; got {layers}. Pass pseudospikes=True, or none.")
    problem = inputs.check(neuron, w_in, w_net, times, ids, T, x0, delays, max_events)
    happened = run(problem)
    _warn_of_flat_spikes(happened.slope)
    drive = _drive(problem, happened.state, layers) if pseudospikes else None
    fields = happened if problem.batched else happened.single()
    return Events(
        fields.times, fields.ids, fields.is_input, fields.state, fields.slope, fields.rank, problem.T, neuron, drive
    )


def _warn_of_flat_spikes(slope: torch.Tensor) -> None:
    flat = torch.nonzero(slope < FLAT)[:, 0].tolist()
    if flat:
        warnings.warn(
            f"simulate: {len(flat)} samples, the first of them {flat[0]}, have a LIF spike that crosses the threshold "
            f"with slope {slope.min().item():.3g}; its gradient explodes. Clip gradients, or use QIF.",
            RuntimeWarning,
            stacklevel=3,
        )


def _drive(problem: inputs.Problem, state: torch.Tensor, layers: Sequence[int] | None) -> torch.Tensor:
    drive = pseudospikes.drive(problem.neuron, problem.w_net, state, layers)
    problem.neuron.pseudo_time(state[..., :1], drive[:, :1], state.new_ones(1, 1))
    return drive
