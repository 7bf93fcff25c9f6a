"""Agreement with the 60-digit references of shared/golden, to 1e-10."""

from __future__ import annotations

import json
import os
import pathlib

import pytest
import torch

from rheobase import backend, exact
from rheobase.exact import gpu

ROOT = pathlib.Path(os.environ.get("RHEOBASE_SHARED") or pathlib.Path(__file__).resolve().parents[3] / "shared")
FILES = sorted((ROOT / "golden").glob("golden_*.json"))
TOLERANCE = 1e-10
ENGINES = ["cpu", "eager", *(["triton"] if os.environ.get("RHEOBASE_CHECKS") == "full" else [])]  # interpreted, 6 s


def neuron_of(case: dict):
    given = case["neuron"]
    if given["model"] == "qif":
        return exact.QIF(tau=given["tau"])
    if given["model"] == "lif":
        return exact.LIF(tau=given["tau"], threshold=given["V_th"])
    return exact.Theta(tau=given["tau"], i0=given["I0"])


def loss_of(case: dict, times: list[torch.Tensor]) -> torch.Tensor:
    wanted = case["loss_def"]
    if wanted["type"] == "sq":
        targets = [target for row in wanted["targets"] for target in row]
        return (torch.cat(times) - torch.tensor(targets, dtype=torch.float64)).square().sum() / len(targets)
    first = torch.stack([row[0] for row in times])
    label = first[wanted["label"]]
    return label + torch.logsumexp(-first, 0) + wanted["gamma"] * (torch.exp(label / case["T"]) - 1)


def solve(case: dict):
    leaves = {
        name: torch.tensor(case["params"][name], dtype=torch.float64, requires_grad=True)
        for name in ("w_in", "w_net", "x0", "input_times")
    }
    pseudo = case["pseudo_rule"] != "none"
    events = exact.simulate(
        neuron_of(case),
        leaves["w_in"],
        leaves["w_net"],
        leaves["input_times"],
        torch.tensor(case["params"]["input_ids"]),
        case["T"],
        x0=leaves["x0"],
        pseudospikes=pseudo,
    )
    times = []
    for neuron, count in case["outputs_neuron_and_count"]:
        row = events.first([neuron], count)[0]
        times.append(row if case["t_missing"] is None else torch.where(row.isinf(), case["t_missing"], row))
    loss_of(case, times).backward()
    return leaves, events, times


def close(got: torch.Tensor, wanted, name: str) -> None:
    wanted = torch.tensor(wanted, dtype=torch.float64)
    error = (got - wanted).abs()
    bad = error > TOLERANCE * torch.maximum(wanted.abs(), wanted.abs().max() * 1e-3)
    assert not bool(bad.any()), f"{name}: {got} is not {wanted}; worst {error.max().item():.3g}"


@pytest.mark.skipif(not FILES, reason=f"no golden files under {ROOT}/golden: set RHEOBASE_SHARED to the shared folder")
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden(path, engine):
    case = json.loads(path.read_text())
    ideal = case["ideal60"]
    if engine == "triton" and (why := gpu.obstacle(torch.device("cpu"))):
        pytest.skip(why)
    with backend(engine):
        leaves, events, times = solve(case)
    close(events.times.detach(), ideal["events_t"], "event times")
    assert events.ids.tolist() == ideal["events_id"]
    assert events.is_input.tolist() == ideal["events_is_input"]
    close(events.state_at_T.detach(), torch.tensor(ideal["state_at_T"], dtype=torch.float64).T.tolist(), "state at T")
    close(torch.cat(times).detach(), [t for row in ideal["t_out"] for t in row], "output times")
    close(loss_of(case, times).detach(), ideal["loss"], "loss")
    for name, wanted in ideal["grad"].items():
        close(leaves[name].grad, wanted, f"gradient of {name}")
