"""What every neuron promises, whatever runs it: shapes, states, types, gradients. One function per promise."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

import torch
from torch import Tensor

from rheobase import surrogate as surrogates
from rheobase.checks.subject import CHANNELS, WIDTH, Subject, equal, firing, outcome, require, start
from rheobase.fuse import operator
from rheobase.neurons import Neuron


def backends(subject: Subject) -> list[str]:
    """What can run this neuron here."""
    return ["eager", "cpu"] if subject.can_fuse else ["eager"]


def drawn(subject: Subject, x: Tensor, seed: int = 5) -> dict[str, Tensor]:
    """`uniform=` for random neurons, nothing for the others."""
    if not subject.random:
        return {}
    return {"uniform": torch.rand(x.shape, generator=torch.Generator().manual_seed(seed)).to(x.dtype)}


def differentiate(neuron: Neuron, x: Tensor, state: dict | None, where: str) -> None:
    """Gradients of the smooth neuron to x, first states and parameters against finite differences."""
    state = state or {}
    first = [state[name].double().requires_grad_() for name in neuron.states if name in state]
    clock = {name: state[name] for name in state if name not in neuron.states}
    x = x.double().requires_grad_()
    weights = [value for value in neuron.parameters() if value.requires_grad]

    def run(x: Tensor, *rest: Tensor):
        held = dict(zip(neuron.states, rest[: len(first)], strict=False)) | clock
        spikes, last = neuron.scan(x, held or None)
        return (spikes, *(last[name] for name in neuron.states))

    with surrogates.smooth():
        try:
            torch.autograd.gradcheck(run, (x, *first, *weights), eps=1e-6, atol=1e-6, rtol=1e-5)
        except RuntimeError as error:
            learned = [name for name, value in neuron.named_parameters() if value.requires_grad]
            names = ["x", *(f"the first {name}" for name in neuron.states if name in state), *learned]
            place = re.search(r"respect to input (\d+)", str(error))
            to = names[int(place[1])] if place else "an input"
            require(False, f"{where}: the gradient to {to} differs from finite differences. {str(error)[:600]}")


def gradients(subject: Subject) -> None:
    """Eager in float64 inside `surrogate.smooth()` against finite differences, for every option, nothing detached."""
    attached = {"detach_reset": False} if "detach_reset" in subject.signature else {}
    chosen = [kind for kind in subject.surrogates() if type(kind).__name__ in ("Sigmoid", "Triangle", "MultiGaussian")]
    cases = [options | attached for options in subject.options() if not options.get("detach_reset")]
    cases += [attached | {"surrogate": kind} for kind in chosen]
    for options in cases:
        neuron = subject.neuron(4, **options).double()
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for value in neuron.parameters():
                value += (torch.rand(value.shape, generator=generator) - 0.4) * 0.3 * (1 + value.abs())
        width = WIDTH if isinstance(options.get("features"), tuple) else 1
        x = torch.randn(4, 1, CHANNELS, width, generator=generator, dtype=torch.float64) * 1.3 + 0.5
        state = start(neuron, x) if subject.stepwise else None
        for name in neuron.states if state else ():
            state[name] = torch.randn(x.shape[1:], generator=generator, dtype=torch.float64) * 0.7  # type: ignore[index]
        differentiate(neuron, x, state, f"{subject.name} {options}")


def surrogate(subject: Subject) -> None:
    """The surrogate's derivative is that of its primitive, which stands in for the spike in `gradients`."""
    inner = subject.neuron().surrogate
    if inner is None:
        return
    d = torch.linspace(-3.03, 3.07, 400, dtype=torch.float64).requires_grad_()
    (slope,) = torch.autograd.grad(inner.primitive(d).sum(), d)
    error = (slope - inner.derivative(d.detach())).abs().max()
    require(error < 1e-9, f"{inner}: the derivative is off its primitive's by {float(error):.3g}")


def shapes(subject: Subject) -> None:
    """T of 0, 1, 63; one neuron, 500, none: spikes like x, states like x[0], gradients to x, on every backend."""
    for shape in [(0, 2, 5), (1, 1), (63, 1, 1), (1, 500), (7, 1, 500), (5, 0, 3), (0, 0), (4,), (3, 2, 3, 2, 2)]:
        neuron = subject.neuron(max(shape[0], 1))
        for backend in backends(subject):
            x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
            if not subject.stepwise and not shape[0]:
                continue
            with operator.backend(backend):
                spikes, state = neuron.scan(x)
            where = f"{subject.name} on {backend}, x {shape}"
            require(spikes.shape == x.shape and spikes.dtype == x.dtype, f"{where}: spikes {tuple(spikes.shape)}")
            binary = neuron.surrogate is None or ((spikes == 0) | (spikes == 1)).all()
            require(binary, f"{where}: spikes besides 0 and 1")
            for name in neuron.states:
                require(state[name].shape == x.shape[1:], f"{where}: state {name} {tuple(state[name].shape)}")
                require(shape[0] or not state[name].any(), f"{where}: a fresh state {name} is not 0")
            if spikes.requires_grad:
                spikes.sum().backward()
                require(x.grad is not None and x.grad.shape == x.shape, f"{where}: no gradient to x")


def resumed(subject: Subject) -> None:
    """run(T) = run(T1) then run(T2), spikes and states bit for bit, in float32 and bfloat16, on every backend."""
    for dtype in (torch.float32, torch.bfloat16):
        neuron = subject.neuron(37)
        x = firing(neuron, (37, 3, CHANNELS, 7), dtype)
        for backend in backends(subject):
            for cut in (0, 1, 18, 37):
                with operator.backend(backend), torch.no_grad():
                    whole, end = neuron.scan(x)
                    first, state = neuron.scan(x[:cut])
                    second, last = neuron.scan(x[cut:], state)
                where = f"{subject.name} on {backend}, {dtype}, cut at {cut}"
                require(equal(whole, torch.cat([first, second])), f"{where}: the spikes differ from one run")
                same_states(end, last, where)


def same_states(one: dict[str, Tensor], other: dict[str, Tensor], where: str) -> None:
    require(one.keys() == other.keys(), f"{where}: states {sorted(one)} and {sorted(other)}")
    for name, value in one.items():
        require(equal(value, other[name]), f"{where}: state {name} differs")


def stepped(subject: Subject) -> None:
    """`step` by `step` equals `scan`, gradients included."""
    neuron = subject.neuron(6)
    for backend in backends(subject):
        x = firing(neuron, (6, 2, CHANNELS, WIDTH)).requires_grad_()
        with operator.backend(backend):
            whole, end = neuron.scan(x)
            state, spikes = None, []
            for t in range(6):
                spike, state = neuron.step(x[t], state)
                spikes.append(spike)
        where = f"{subject.name} on {backend}, step by step"
        require(equal(whole, torch.stack(spikes)), f"{where}: the spikes differ from scan")
        same_states(end, state, where)  # type: ignore[arg-type]
        slopes = [torch.autograd.grad(s.sum(), x, retain_graph=True)[0] for s in (whole, torch.stack(spikes))]
        near = (slopes[0] - slopes[1]).abs() <= 1e-5 * (1 + slopes[0].abs().max())
        require(near.all(), f"{where}: the gradient to x differs from scan's")


def traced(subject: Subject) -> None:
    """`trace` records the spikes and final states of `scan`, and `u`."""
    neuron = subject.neuron(9)
    x = firing(neuron, (9, 2, CHANNELS, WIDTH))
    with operator.backend("eager"):
        spikes, last = neuron.scan(x)
    record = neuron.trace(x)
    require(equal(record["s"], spikes), f"{subject.name}: trace's s differs from scan's spikes")
    for name in neuron.states:
        require(equal(record[name][-1], last[name]), f"{subject.name}: trace's {name} does not end as scan's")
    noted = neuron.surrogate is None or "u" in record
    require(noted, f"{subject.name}: trace lacks u; use self.fire, or self.note(u=...) before the spike")


def finite(subject: Subject) -> None:
    """Inputs of ordinary size leave every state finite for 200 steps."""
    neuron = subject.neuron(200)
    x = firing(neuron, (200, 4, CHANNELS, WIDTH))
    for name, values in neuron.trace(x).items():
        wild = (~values.isfinite().flatten(1).all(1)).nonzero().flatten().tolist()
        if wild:
            where = f"from step {wild[0]} on, for inputs between {x.min():.1f} and {x.max():.1f}"
            bound = "If the equation may diverge there, bound it with torch.clamp."
            require(False, f"{subject.name}: {name} is infinite or NaN {where}. {bound}")


def permuted(subject: Subject) -> None:
    """Permuted neurons give permuted results: no neuron sees another, or its own place."""
    neuron = subject.neuron(12)
    x = firing(neuron, (12, 40, CHANNELS))
    given = drawn(subject, x)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    for backend in backends(subject):
        with operator.backend(backend), torch.no_grad():
            spikes = neuron(x, **given)
            moved = neuron(x[:, order], **{k: v[:, order] for k, v in given.items()})
        require(equal(spikes[:, order], moved), f"{subject.name} on {backend}: permuted inputs give other spikes")


def saved(subject: Subject) -> None:
    """Weights saved and loaded into a new neuron, and states saved and loaded, give the same spikes."""
    neuron, other = subject.neuron(16), subject.neuron(16)
    with torch.no_grad():
        for value in neuron.parameters():
            value += 0.125
    other.load_state_dict(through_file(neuron.state_dict()))
    x = firing(neuron, (16, 3, CHANNELS))
    with torch.no_grad():
        require(equal(neuron(x), other(x)), f"{subject.name}: the loaded neuron spikes differently")
        if subject.stepwise:
            _, state = neuron.scan(x[:8])
            require(
                equal(neuron.scan(x[8:], state)[0], other.scan(x[8:], through_file(state))[0]),
                f"{subject.name}: the loaded state goes on differently",
            )


def through_file(values: dict[str, Tensor]) -> dict[str, Tensor]:
    file = io.BytesIO()
    torch.save(values, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def nan(subject: Subject) -> None:
    """NaN in the input spoils what eager says it spoils, and nothing else; the same for infinities."""
    for value in (float("nan"), float("inf"), float("-inf")):
        neuron = subject.neuron(9)
        x = firing(neuron, (9, 2, CHANNELS, 20))
        x[3, 0, 1, 4] = value
        uniform = drawn(subject, x).get("uniform")
        found = [outcome(neuron, x, backend, None, uniform) for backend in backends(subject)]
        for what, eager in found[0].items():
            for fused in found[1:]:
                same = torch.equal(eager.isnan(), fused[what].isnan())
                require(same, f"{subject.name}, {value} in x: {what} is NaN elsewhere on the fused backend")
        clean = torch.ones_like(x, dtype=torch.bool)
        clean[:, 0, 1, 4] = False
        with operator.backend("eager"):
            other = neuron(x.nan_to_num(0, 0, 0), **drawn(subject, x))
        same = torch.equal(found[0]["spikes"][clean], other[clean])
        require(same or not subject.stepwise, f"{subject.name}: {value} in one neuron changes another")


def types(subject: Subject) -> None:
    """Spikes in x's type, states and their arithmetic in float32 (float64 for float64), whatever the default type."""
    for dtype in (torch.bfloat16, torch.float16, torch.float32, torch.float64):
        neuron = subject.neuron(6)
        x = firing(neuron, (6, 2, CHANNELS), dtype)
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        for backend in backends(subject):
            with operator.backend(backend), torch.no_grad():
                spikes, state = neuron.scan(x)
            require(spikes.dtype == dtype, f"{subject.name} on {backend}: {dtype} inputs give {spikes.dtype} spikes")
            for name in neuron.states:
                where = f"{subject.name} on {backend}, {dtype}: state {name}"
                require(state[name].dtype == wide, f"{where} is {state[name].dtype}")
            with operator.backend(backend), torch.no_grad():
                widened = neuron(x.to(wide), **drawn(subject, x))
                narrow = neuron(x, **drawn(subject, x))
            same = torch.equal(widened.to(dtype), narrow)
            require(same, f"{subject.name} on {backend}: states lose precision with {dtype} inputs")


def default_type(subject: Subject) -> None:
    """Parameters follow torch's default type, and neurons made under float64 run on float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        neuron = subject.neuron(5)
        x = firing(neuron, (5, 2, CHANNELS), torch.float64)
        for value in neuron.parameters():
            require(value.dtype == torch.float64, f"{subject.name}: a parameter is {value.dtype} under default float64")
        for backend in backends(subject):
            with operator.backend(backend):
                require(neuron(x).dtype == torch.float64, f"{subject.name} on {backend}: float64 does not stay")
    finally:
        torch.set_default_dtype(before)


def unaliased(subject: Subject) -> None:
    """Outputs share no memory with inputs, and inputs are left as they were, also for T = 0."""
    for steps in (0, 5) if subject.stepwise else (5,):
        neuron = subject.neuron(5)
        x = firing(neuron, (5, 2, CHANNELS))[:steps]
        state = start(neuron, x) if subject.stepwise else None
        before = [v.clone() for v in (x, *(state or {}).values())]
        for backend in backends(subject):
            with operator.backend(backend), torch.no_grad():
                spikes, last = neuron.scan(x, state)
            where = f"{subject.name} on {backend}, T={steps}"
            inputs = {v.untyped_storage().data_ptr() for v in (x, *(state or {}).values()) if v.numel()}
            outputs = [v for v in (spikes, *last.values()) if v.numel()]
            apart = not any(v.untyped_storage().data_ptr() in inputs for v in outputs)
            require(apart, f"{where}: an output shares memory with an input")
            after = (x, *(state or {}).values())
            require(all(map(torch.equal, before, after)), f"{where}: an input was written to")


def spread(subject: Subject) -> Iterator[tuple[dict, tuple[int, ...]]]:
    """Options for parameters per channel and per neuron, with input shapes of three to five dimensions."""
    for shape in [(6, 2, CHANNELS), (6, 2, CHANNELS, WIDTH), (6, 2, CHANNELS, WIDTH, 3)]:
        if "channels" in subject.signature:
            yield {"channels": CHANNELS}, shape
        if "features" in subject.signature:
            yield {"features": CHANNELS}, shape
            yield {"features": shape[2:]}, shape


def per_channel(subject: Subject) -> None:
    """Parameters per channel or neuron act on their own entries, in 3 to 5 dimensions, on every backend."""
    for options, shape in spread(subject):
        neuron = subject.neuron(shape[0], **options)
        with torch.no_grad():
            for value in neuron.parameters():
                value += torch.linspace(-0.3, 0.3, value[..., :].numel()).view(value.shape) * (1 + value.abs())
        x = firing(neuron, shape)
        given = drawn(subject, x)
        for backend in backends(subject):
            with operator.backend(backend), torch.no_grad():
                together = neuron(x, **given)
            for at in torch.cartesian_prod(*map(torch.arange, shape[2:])).view(-1, len(shape) - 2).tolist():
                alone = narrowed(subject, neuron, options, at)
                here = (slice(None), slice(None), *at)
                with operator.backend("eager"), torch.no_grad():
                    wanted = alone(x[here], **{k: v[here] for k, v in given.items()})
                where = f"{subject.name} {options} on {backend}, x {shape}"
                require(torch.equal(together[here], wanted), f"{where}: entry {at} does not follow its own parameters")


def narrowed(subject: Subject, neuron: Neuron, options: dict, at: list[int]) -> Neuron:
    """A neuron with the parameters of one channel or neuron, as scalars."""
    plain = {k: v for k, v in options.items() if k not in ("channels", "features")}
    alone = subject.neuron(6, **plain)
    with torch.no_grad():
        for (_, target), value in zip(alone.named_parameters(), neuron.parameters(), strict=True):
            extra = value.dim() - target.dim()
            target.copy_(value[(Ellipsis, *at[:extra])] if extra else value)
    return alone
