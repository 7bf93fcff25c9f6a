"""Random networks for the tests of exact simulation."""

from __future__ import annotations

import dataclasses

import torch

from rheobase import exact
from rheobase.exact.neuron import Neuron

NEURONS = {
    "qif": exact.QIF(tau=1.0),
    "lif": exact.LIF(tau=1.0, threshold=1.0),
    "theta": exact.Theta(tau=1.9, i0=1.25),
    "osclif": exact.OscLIF(tau=1.0, i0=1.4, threshold=1.0),
}


@dataclasses.dataclass
class Case:
    """Arguments of `simulate`, and which of them are differentiated."""

    neuron: Neuron
    w_in: torch.Tensor
    w_net: torch.Tensor | None
    times: torch.Tensor
    ids: torch.Tensor
    x0: torch.Tensor
    delays: tuple[torch.Tensor | None, torch.Tensor | None] | None
    T: float = 3.0
    max_events: int = 2000

    def leaves(self) -> list[torch.Tensor]:
        given = [self.w_in, self.w_net, self.times, self.x0, *(self.delays or ())]
        return [value for value in given if value is not None]

    def cast(self, dtype: torch.dtype) -> Case:
        def to(value):
            return None if value is None else value.to(dtype)

        delays = None if self.delays is None else tuple(map(to, self.delays))
        return Case(self.neuron, to(self.w_in), to(self.w_net), to(self.times), self.ids, to(self.x0), delays, self.T)

    def run(self, **options) -> exact.Events:
        return exact.simulate(
            self.neuron,
            self.w_in,
            self.w_net,
            self.times,
            self.ids,
            self.T,
            x0=self.x0,
            delays=self.delays,
            max_events=self.max_events,
            **options,
        )


def random_case(
    kind: str,
    seed: int,
    *,
    N: int = 6,
    inputs: int = 5,
    K: int = 20,
    B: int = 3,
    coupled: bool = True,
    delayed: bool = False,
    scale: float = 1.0,
) -> Case:
    """A network that spikes, with a ragged batch of inputs, in float64."""
    make = torch.Generator().manual_seed(seed)

    def uniform(*shape, low=0.0, high=1.0):
        return low + (high - low) * torch.rand(*shape, generator=make, dtype=torch.float64)

    neuron = NEURONS[kind]
    current = len(neuron.rows) == 2
    w_in = scale * (uniform(N, inputs, low=-0.5, high=4.0) if current else uniform(N, inputs, low=-0.4, high=0.8))
    w_net = scale * (uniform(N, N, low=-1.0, high=1.2) if current else uniform(N, N, low=-0.3, high=0.3))
    times, ids = uniform(B, K, high=3.2), torch.randint(0, inputs, (B, K), generator=make)
    ragged = torch.arange(K) >= torch.randint(K // 2, K + 1, (B, 1), generator=make)
    times, ids = times.masked_fill(ragged, torch.inf), ids.masked_fill(ragged, -1)
    x0 = uniform(B, 2, N, low=-0.5, high=0.9) if current else uniform(B, 1, N, high=0.9 * neuron.period)
    delays = (uniform(inputs, high=0.3), uniform(N, low=0.05, high=0.6)) if delayed else None
    return Case(neuron, w_in, w_net if coupled else None, times, ids, x0, delays)


def weigh(events: exact.Events, seed: int = 0) -> torch.Tensor:
    """A loss that feels every event time, input or spike, and the state at T."""
    make = torch.Generator().manual_seed(seed)
    reported = ~events.times.isinf()
    times = torch.where(reported, events.times, 0.0)
    weights = torch.rand(times.shape, generator=make, dtype=torch.float64).to(times.dtype)
    state = torch.atan(events.state_at_T)
    factors = torch.randn(state.shape, generator=make, dtype=torch.float64).to(times.dtype)
    return (weights * times).sum() + (factors * state).sum()
