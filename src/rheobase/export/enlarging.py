"""Adaptive pools that enlarge a map, by repeating its places, as part of the linear layer behind them."""

from __future__ import annotations

import copy

from torch import fx, nn

from rheobase import layers

UNCHANGING = (layers.Flatten, layers.Dropout, nn.Identity)  # in evaluation mode, but for the shape


def fold_enlarging(body: fx.GraphModule) -> None:
    """Where a pool repeats every place of its input and a linear layer alone sees that: a linear layer on the input.

    The weights of places that hold the same number are added up. Needs the shapes that ShapeProp leaves; the traced
    network's own modules stay as they are.
    """
    for pool in body.graph.find_nodes(op="call_module"):
        linear = _linear_behind(body, pool) if isinstance(_module(body, pool), layers.AdaptiveAvgPool2d) else None
        if linear is None:
            continue
        channels, *small = pool.all_input_nodes[0].meta["tensor_meta"].shape[2:]
        large = pool.meta["tensor_meta"].shape[3:]
        if small == list(large) or any(one % other for one, other in zip(large, small, strict=True)):
            continue
        found = copy.copy(_module(body, linear))
        blocks = [size for one, other in zip(large, small, strict=True) for size in (other, one // other)]
        weight = found.weight.detach().view(-1, channels, *blocks).sum((3, 5)).flatten(1)  # type: ignore[operator]
        found._parameters = {**found._parameters, "weight": nn.Parameter(weight)}
        body.set_submodule(str(linear.target), found)
        body.set_submodule(str(pool.target), nn.Identity())


def _module(body: fx.GraphModule, node: fx.Node) -> nn.Module:
    return body.get_submodule(str(node.target))


def _linear_behind(body: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    """The linear layer that alone sees a node's value, flattened at most."""
    while len(node.users) == 1:
        (node,) = node.users
        if node.op != "call_module":
            return None
        if isinstance(_module(body, node), nn.Linear):
            return node
        if not isinstance(_module(body, node), UNCHANGING):
            return None
    return None
