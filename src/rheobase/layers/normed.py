"""Spikes of normalised currents, where memory is short: the currents are normalised again in the backward pass."""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rheobase.fuse.once import first_order
from rheobase.fuse.pack import Kept, keep, kept, packing
from rheobase.layers.norms import BatchNorm2d
from rheobase.layers.overtime import repeated


class Recipe(NamedTuple):
    """What normalised currents are made from."""

    x: Tensor
    version: int
    mean: Tensor
    var: Tensor
    weight: Tensor
    bias: Tensor
    eps: float

    def cook(self) -> Tensor:
        """The normalised currents [T, B, C, H, W], bit for bit those of the forward pass."""
        if self.x._version != self.version:
            raise RuntimeError("pack_spikes: the input of a norm was changed in place between forward and backward.")
        flat = F.batch_norm(self.x.flatten(0, 1), self.mean, self.var, self.weight, self.bias, False, 0.0, self.eps)
        return flat.unflatten(0, self.x.shape[:2])


OUTSIDE = "leave out rb.pack_spikes()"


class _Normalise(torch.autograd.Function):
    """Batch normalisation by given statistics of the batch; the gradient knows that they depend on x."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor, recipe: Recipe) -> Tensor:
        ctx.save_for_backward(x, weight, recipe.mean, recipe.var)
        ctx.eps = recipe.eps
        return recipe.cook()

    @staticmethod
    @functools.partial(first_order, what="norms inside rb.pack_spikes()", remedy=OUTSIDE, second=OUTSIDE)
    def backward(ctx, *grads: Tensor):
        x, weight, mean, var = ctx.saved_tensors
        gradient = torch.ops.aten.native_batch_norm_backward(
            grads[0].flatten(0, 1),
            x.flatten(0, 1),
            weight,
            None,
            None,
            mean,
            (var + ctx.eps).rsqrt(),
            True,
            ctx.eps,
            list(ctx.needs_input_grad[:3]),
        )
        to_x = None if gradient[0] is None else gradient[0].unflatten(0, x.shape[:2])
        return to_x, *gradient[1:], None


def normed(norm: nn.Module, neuron: nn.Module, x: Tensor) -> Tensor:
    """`neuron(norm(x))`. Inside `rb.pack_spikes()` its backward pass normalises x again, to the bit.

    Without that a network keeps three tensors of a layer's size: x for the norm, norm(x) for the neuron, and the spikes
    for the convolution after it. With it one remains, and the spikes' bits. Hooks of the norm then do not run.
    """
    saving = packing() and torch.is_grad_enabled() and not torch.compiler.is_compiling()
    if not (saving and norm.training and isinstance(norm, BatchNorm2d)) or repeated(x):
        return neuron(norm(x))
    if "_normalise" in vars(norm):  # its statistics are those of several processes: see training/batchnorm.py
        return neuron(norm(x))
    weight = norm.scaled()
    held = weight.detach().clone(), norm.bias.detach().clone()
    recipe = Recipe(x.detach(), x._version, *norm.statistics(x), *held, norm.eps)
    y = _Normalise.apply(x, weight, norm.bias, recipe)
    place = y.data_ptr(), y.shape, y.stride()  # not y itself: it would live as long as the hook

    def pack(tensor: Tensor) -> Tensor | Kept | Recipe:
        return recipe if (tensor.data_ptr(), tensor.shape, tensor.stride()) == place else keep(tensor)

    with torch.autograd.graph.saved_tensors_hooks(pack, _unpack):
        return neuron(y)


def _unpack(saved: Tensor | Kept | Recipe) -> Tensor:
    return saved.cook() if isinstance(saved, Recipe) else kept(saved)


class SpikingSequential(nn.Sequential):
    """A Sequential in which a norm and the neuron behind it run as `normed`."""

    def forward(self, input: Tensor) -> Tensor:
        layers, x = iter(self), input
        for layer in layers:
            x = normed(layer, next(layers), x) if isinstance(layer, BatchNorm2d) else layer(x)
        return x
