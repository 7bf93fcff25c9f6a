"""Every neuron's GPU kernels compile for sm_80 and sm_90 on a machine without a GPU, and nothing in them is fused.

In a process of its own, where Triton's interpreter is off. In short chunks of the backward pass, whose unrolled steps
are what takes time; LIF also in the longest. `RHEOBASE_CHECKS=full` compiles the longest of all.
"""

import json
import os
import subprocess
import sys

import pytest

import rheobase as rb

CAPABILITIES = (80, 90)
FUSED = [name for name, kind in rb.neurons.KINDS.items() if kind.fused]
LONG = FUSED if os.environ.get("RHEOBASE_CHECKS") == "full" else ["lif"]

SCRIPT = """
import json, re, sys
from rheobase import show
from rheobase.fuse import gpu, gpu_source

def facts(name, capability, backward, steps, dtype="bfloat16"):
    neuron = show.from_spec(name)
    variant = gpu_source.Variant.like(show.default_variant(neuron))._replace(dtype=dtype)
    ptx = gpu.compile_ahead(neuron.program(), variant, capability, backward, steps)
    functions = {"exp", "sigmoid", "tanh", "div", "reciprocal"} & {n.op for n in neuron.program().backward.nodes}
    return {"target": re.search(r"[.]target (\\w+)", ptx).group(1), "fused": len(re.findall(r"\\bfma[.]", ptx)),
            "rounded": "cvt.rn.bf16" in ptx, "functions": sorted(functions), "bytes": len(ptx),
            "local": ".local" in ptx, "wide": "ld.global.v4" in ptx}

found = {}
for name, steps in json.loads(sys.argv[1]):
    for capability in (80, 90):
        for backward in (False, True):
            found[f"{name} {steps} {capability} {backward}"] = facts(name, capability, backward, steps)
gpu.OPTIONS["enable_fp_fusion"] = True
found["fusion on"] = facts("lif", 90, False, 4)
print(json.dumps(found))
"""

# Calls go through Triton's own binding of arguments and its compiler, for an sm_90 that is not there; none is launched.
UNLAUNCHED = """
import json, torch, triton
from triton.backends.compiler import GPUTarget
import rheobase as rb
from rheobase.fuse import gpu

class Driver:
    get_current_target = lambda self: GPUTarget("cuda", 90, 32)
    get_current_device = get_current_stream = lambda self, *_: 0

class Unlaunched:
    def __init__(self, function):
        self.function = function
    def __getitem__(self, grid):
        return lambda **given: compiled.add(self.function.run(grid=grid, warmup=True, **given).hash)

triton.runtime.driver.set_active(Driver())
kernel, gpu.obstacle = gpu.kernel, lambda *_: None
gpu.kernel = lambda *given: Unlaunched(kernel(*given))

def kernels(neuron, inputs):
    compiled.clear()
    for x in inputs:
        with rb.backend("triton"):
            neuron(x.requires_grad_()).sum().backward()
    return len(compiled)

compiled = set()
layouts = [torch.zeros(5, 2, 3, 66)[..., :65], torch.zeros(5, 2, 4, 3).transpose(2, 3)]
print(json.dumps({"steps": kernels(rb.LIF(), [torch.zeros(t, 48) for t in (9, 16, 17, 784)]),
                  "seeds": kernels(rb.ProbLIF(), [torch.zeros(9, 48) for _ in range(3)]),
                  "layouts": kernels(rb.PLIF(channels=3), layouts), "single": kernels(rb.LIF(), [torch.zeros(5, 1)])}))
"""


def outside(script: str, *arguments: str) -> dict:
    """What a script prints in a process where Triton's interpreter is off."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    run = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def compiled():
    """What the PTX of every kernel shows, by "name steps capability backward"."""
    return outside(SCRIPT, json.dumps([(name, 4) for name in FUSED] + [(name, 32) for name in LONG]))


def test_a_new_length_of_time_or_seed_compiles_nothing():
    """Two forward and two backward kernels for every T above 8, whole groups and chunks or not; layouts compile."""
    assert outside(UNLAUNCHED) == {"steps": 4, "seeds": 2, "layouts": 4, "single": 2}


@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize(("name", "steps"), [(name, 4) for name in FUSED] + [(name, 32) for name in LONG])
def test_both_passes_compile_and_fuse_nothing(compiled, name, steps, capability):
    for backward in (False, True):
        facts = compiled[f"{name} {steps} {capability} {backward}"]
        assert facts["target"].startswith(f"sm_{capability}") and facts["rounded"] and not facts["local"]
        if not facts["functions"]:  # functions and quotients are made of explicit fma
            assert facts["fused"] == 0


def test_lif_reads_sixteen_bytes_at_once(compiled):
    assert compiled["lif 4 90 False"]["wide"] and compiled["lif 4 90 True"]["wide"]


def test_fusion_would_be_seen(compiled):
    """The check above catches a kernel compiled with fusion on."""
    assert compiled["fusion on"]["fused"] > 0


def test_the_interpreter_compiles_nothing():
    from rheobase import show
    from rheobase.fuse import gpu, gpu_source

    if not gpu.interpreting():
        pytest.skip("needs Triton's interpreter, which is off on a machine with a GPU")
    neuron = rb.LIF()
    variant = gpu_source.Variant.like(show.default_variant(neuron))
    with pytest.raises(RuntimeError, match="unset TRITON_INTERPRET"):
        gpu.compile_ahead(neuron.program(), variant, 90)
