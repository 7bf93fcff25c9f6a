"""Classifiers of event-driven neurons: inputs become spike times, layers answer with spike times."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rheobase.exact.errors import TooManyEvents
from rheobase.exact.feedforward import spikes
from rheobase.exact.losses import leaky_readout, timed_readout
from rheobase.exact.neuron import Neuron
from rheobase.exact.simulate import Events, simulate
from rheobase.exact.theta import Theta


def latency(images: Tensor, T: float, silent: float = 0.0) -> tuple[Tensor, Tensor]:
    """One spike per pixel, the brighter the earlier.

    Math: t = T (1 - value); a pixel at or below `silent` has no spike.
    Shapes: images [B, ...] with values in [0, 1] -> times and ids [B, K], padded, K the most spikes of a sample.
    Errors: ValueError for values outside [0, 1].
    """
    values = images.flatten(1)
    if bool(((values < 0) | (values > 1) | values.isnan()).any()):
        raise ValueError(f"latency: values must lie in [0, 1]; got {values.min().item()} to {values.max().item()}.")
    sample, pixel = (values > silent).nonzero(as_tuple=True)
    times, ids = _packed(T * (1 - values[sample, pixel]), pixel, sample, len(values))
    order = torch.sort(times, dim=1, stable=True).indices
    return times.gather(1, order), ids.gather(1, order)


def _packed(times: Tensor, ids: Tensor, sample: Tensor, B: int) -> tuple[Tensor, Tensor]:
    """Spikes listed sample after sample, as padded rows [B, K]."""
    counts = torch.bincount(sample, minlength=B)
    place = torch.arange(len(sample), device=sample.device) - (counts.cumsum(0) - counts)[sample]
    rows = times.new_full((B, int(counts.max()) if B else 0), torch.inf)
    numbers = torch.full(rows.shape, -1, device=rows.device)
    rows[sample, place], numbers[sample, place] = times, ids
    return rows, numbers


def frames(x: Tensor, T: float) -> tuple[Tensor, Tensor]:
    """One spike per entry above 0 of a sequence of frames, in the middle of its step.

    Shapes: x [S, B, channels] -> times and ids [B, K] in order of time, padded.
    """
    sample, step, channel = (x > 0).transpose(0, 1).nonzero(as_tuple=True)
    return _packed((step.to(x.dtype) + 0.5) * (T / x.shape[0]), channel, sample, x.shape[1])


def pooled(x: Tensor, steps: int, channels: int) -> Tensor:
    """Frames [S, B, C] with `steps` neighbours in time and `channels` neighbouring channels merged into one entry."""
    S, B, C = x.shape
    x = nn.functional.pad(x, (0, -C % channels, 0, 0, 0, -S % steps))
    return x.reshape(-(-S // steps), steps, B, -(-C // channels), channels).amax(dim=(1, 4))


class EventClassifier(nn.Module):
    """Layers of event-driven neurons, each over the spikes of the one before, and an answer read from spike times.

    Math: first spike: the last layer's neurons are the classes, readout = -time of the first spike; one that does not
        come is a pseudospike, or the constant -T without gradient. Leaky: readout = the discounted mean of leaky
        integrators over the last layer's spikes (`losses.leaky_readout`), times `readout_gain`. Timed: the sum over
        its spikes of weights that change with time (`losses.timed_readout`), which start at 0, times `readout_gain`.
        Dropout: in training a share of the spikes into every layer is lost, and its weights count 1/(1 - share).
        Weights start uniform in ±gain/√fan-in around shift/√fan-in. Theta neurons start at half their period, others
        at rest.
    Shapes: x [1, B, ...], values in [0, 1] for latency coding, or frames [S, B, channels] -> readout [1, B, classes].
    Units: T and the neuron's tau in one unit of time.
    Errors: RuntimeError where a layer fires more than `most_spikes` per neuron in a sample: excitation without end.
    Source: EQUATIONS "Exact spike-based gradients".
    """

    def __init__(
        self,
        neuron: Neuron,
        sizes: Sequence[int],
        T: float,
        *,
        gain: float = 0.5,
        shift: float = 0.0,
        pseudospikes: bool = True,
        recurrent_gain: float | None = None,
        leaky_tau: float | None = None,
        knots: int | None = None,
        readout_gain: float = 1.0,
        merge_steps: int = 1,
        merge_channels: int = 1,
        dropout: float = 0.0,
        most_spikes: int = 200,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if len(sizes) < 2:
            raise ValueError(f"EventClassifier: needs the number of inputs and of each layer; got {list(sizes)}.")
        self.neuron, self.T, self.pseudospikes = neuron, T, pseudospikes
        self.leaky_tau, self.readout_gain = leaky_tau, readout_gain
        self.merge = (merge_steps, merge_channels)
        if not 0 <= dropout < 1:
            raise ValueError(f"EventClassifier: dropout must lie in [0, 1); got {dropout}.")
        self.dropout, self.most_spikes = dropout, most_spikes
        if leaky_tau is not None and knots is not None:
            raise ValueError("EventClassifier: the readout is leaky or timed; give leaky_tau or knots, not both.")
        spiking = sizes if leaky_tau is None and knots is None else sizes[:-1]

        def drawn(post: int, pre: int, gain: float, shift: float = 0.0) -> nn.Parameter:
            uniform = 2 * torch.rand(post, pre, generator=generator) - 1
            return nn.Parameter((gain * uniform + shift) / pre**0.5)

        pairs = [(post, pre) for pre, post in itertools.pairwise(spiking)]
        self.weights = nn.ParameterList(drawn(*pair, gain, shift) for pair in pairs)
        hidden = sizes[1:-1] if recurrent_gain is not None else []
        self.recurrent = nn.ParameterList(drawn(size, size, recurrent_gain or 0.0) for size in hidden)
        self.readout = None if leaky_tau is None else drawn(sizes[-1], sizes[-2], 1.0)
        if knots is not None:
            self.readout = nn.Parameter(torch.zeros(knots, sizes[-1], sizes[-2]))
        for depth, size in enumerate(sizes[1:-1]):
            self.register_buffer(f"spikes{depth}", torch.zeros(size, dtype=torch.long))
            self.register_buffer(f"spikes_before{depth}", torch.full((size,), -1))  # unknown before the first epoch

    def forward(self, x: Tensor) -> Tensor:
        return self.answer(self.events(*self.coded(x)))

    def answer(self, layers: list[Events]) -> Tensor:
        """The readout [1, B, classes] that follows from what happened."""
        if self.readout is not None:
            if self.leaky_tau is None:
                return self.readout_gain * timed_readout(layers[-1], self.readout)[None]
            return self.readout_gain * leaky_readout(layers[-1], self.readout, self.leaky_tau, discount=self.T)[None]
        first = layers[-1].first(range(self.weights[-1].shape[0]), 1)[..., 0]
        return -torch.where(first.isinf(), self.T, first)[None]

    def coded(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Input spikes (times, ids): a single step is an image, several are frames."""
        if len(x) == 1:
            return latency(x[0], self.T)
        return frames(pooled(x.flatten(2), *self.merge), self.T)

    def events(self, times: Tensor, ids: Tensor) -> list[Events]:
        """What happens in every layer, the last one at the end."""
        layers, rates = [], None
        for depth, w in enumerate(self.weights):
            w_net = self.recurrent[depth] if depth < len(self.recurrent) else None
            if self.training and self.dropout:
                (times, ids), w = self._lossy(times, ids), w / (1 - self.dropout)
            limit = times.shape[1] + self.most_spikes * w.shape[0]
            try:
                events = simulate(self.neuron, w, w_net, times, ids, self.T, x0=self.start(w), max_events=limit)
            except TooManyEvents as error:
                raise TooManyEvents(f"{error} Here most_spikes={self.most_spikes} per neuron sets it.") from error
            if self.pseudospikes:
                drive = self._drive(events.state_at_T, w, w_net, rates)
                rates = self.neuron.pseudo_rate(events.state_at_T, drive)
                events = dataclasses.replace(events, drive=drive)
            if self.training and hasattr(self, f"spikes{depth}"):
                self.get_buffer(f"spikes{depth}").add_(events.counts().sum(0))
            layers.append(events)
            times, ids = spikes(events)
        return layers

    def _lossy(self, times: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        """The spikes without a random share of them; where nothing is lost the times keep their gradient."""
        lost = torch.rand(times.shape) < self.dropout
        return torch.where(lost, torch.inf, times), ids.masked_fill(lost, -1)

    def _drive(self, state: Tensor, w: Tensor, w_net: Tensor | None, rates: Tensor | None) -> Tensor:
        """The constant input behind a layer's pseudospikes: from the layer before, and from the layer itself."""
        drive = torch.zeros_like(state[..., 0, :]) if rates is None else rates @ w.T
        if w_net is not None:
            drive = drive + self.neuron.pseudo_rate(state, None) @ (w_net - w_net.diagonal().diag()).T
        return drive

    def hidden_weights(self) -> list[nn.Parameter]:
        """All weights but those of the answer."""
        return [*(self.weights if self.readout is not None else self.weights[:-1]), *self.recurrent]

    def start(self, w: Tensor) -> Tensor | None:
        """The initial state of a layer with these weights."""
        if not isinstance(self.neuron, Theta):
            return None
        return w.new_full((1, w.shape[0]), self.neuron.period / 2)

    @torch.no_grad()
    def epoch_summary(self) -> dict[str, Any]:
        """Per hidden layer, over the training passes since the last call: spikes per neuron, the share of neurons
        that were silent throughout, and how many of those that were silent in the time before have fired again."""
        rows = []
        for depth in itertools.takewhile(lambda depth: hasattr(self, f"spikes{depth}"), itertools.count()):
            now, before = self.get_buffer(f"spikes{depth}"), self.get_buffer(f"spikes_before{depth}")
            silent, returned = (now == 0).double().mean(), ((before == 0) & (now > 0)).sum()
            rows.append({"spikes": float(now.double().mean()), "silent": float(silent), "returned": int(returned)})
            before.copy_(now)
            now.zero_()
        return {"hidden": rows}
