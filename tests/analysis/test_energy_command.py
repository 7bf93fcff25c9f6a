"""`rheobase energy`: what it prints, what it writes, and what its errors say."""

import json
from pathlib import Path

import pytest

from rheobase import cli
from rheobase.commands import terminal

RESULTS = Path(__file__).parents[2] / "results"
UNTRAINED = ["energy", "--model", "cnn5", "--neuron", "clif:tau=1.5", "--rate", "0.1"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Files go to a new folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(terminal, "console", terminal.Console(width=80))
    return tmp_path


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    status = cli.main(arguments)
    return status, *capsys.readouterr()


def test_an_architecture_by_its_name(capsys):
    status, out, _ = run(capsys, *UNTRAINED, "--convention", "clif", "--layers")
    assert status == 0 and "0.1000 spikes per neuron and step" in out
    rows = [line.split() for line in out.splitlines()]
    assert ["features.conv2.neuron", "neuron", "spikes", "14,400", "10.00", "0", "0.0576", "0.265"] in rows
    assert all(len(line) < 100 for line in out.splitlines()) and "…" not in out


def test_parameters_and_flops(here, capsys):
    """Those of DA-LIF's table III; the same network with one step has a fourth of the FLOPs."""
    arguments = ["energy", "--model", "resnet20", "--neuron", "dalif", "--rate", "0.1", "--num-classes", "100"]
    status, out, _ = run(capsys, *arguments, "--convention", "dalif", "--json", "e.json")
    assert status == 0 and "11,294,154 parameters, 873.47 M FLOPs" in out
    (found,) = json.loads((here / "e.json").read_text())["networks"].values()
    assert found["parameters"] == 11_294_154 and round(found["flops"] / 1e6, 2) == 873.47
    assert "218.37 M FLOPs" in run(capsys, *arguments, "--convention", "dalif", "--steps", "1")[1]


def test_numbers_and_picture(here, capsys):
    pytest.importorskip("matplotlib")
    status, out, _ = run(capsys, *UNTRAINED, "--json", "e.json", "--figure", "e.png", "--bits", "4")
    assert status == 0 and "int4" in out and (here / "e.png").stat().st_size > 10_000
    found = json.loads((here / "e.json").read_text())["networks"]["cnn5 clif:tau=1.5"]
    names = [one["convention"] for one in found["conventions"]]
    assert names == ["clif", "ilif", "dalif", "memory", "definition"] and found["firing_rate"] == pytest.approx(0.1)
    for one in found["conventions"]:
        assert sum(one["parts"].values()) == pytest.approx(one["energy"]) == pytest.approx(sum(one["layer_energies"]))
        assert len(one["layers"]) == len(found["layers"])


def test_a_rate_is_called_rough_where_spikes_are_merged(capsys):
    small = ["--neuron", "lif", "--rate", "0.1", "--width", "0.05", "--convention", "clif"]
    status, out, _ = run(capsys, "energy", "--model", "plifnet", *small)
    assert status == 0 and "2 layers see spikes that a max pool or a product" in out
    assert "max pool" not in run(capsys, "energy", "--model", "cnn5", *small)[1]


def test_a_network_without_spikes_says_so(capsys):
    from tests.models.small import images, network

    from rheobase.analysis.counts import count
    from rheobase.analysis.energy import report
    from rheobase.analysis.energy_conventions import convention
    from rheobase.commands import energy

    layers = count(network("cnn5", "relu"), images(1))
    energy._print("relu", layers, [report(layers, convention("clif"))], energy.Options())
    out = capsys.readouterr().out
    assert "relu: no spiking neurons" in out and "nan" not in out


def test_the_width_of_an_architecture(capsys):
    outs = [run(capsys, *UNTRAINED, "--width", width)[1] for width in ("0.25", "1")]
    assert "9,584 neurons" in outs[0] and "38,336 neurons" in outs[1]


def test_a_recurrent_architecture(capsys):
    arguments = ["--model", "recurrent", "--in-channels", "700", "--steps", "100", "--rate", "0.1"]
    status, out, _ = run(capsys, "energy", *arguments, "--convention", "definition", "--layers")
    assert status == 0 and "weight_hh" in out and "integrator" in out


def test_a_trained_network_is_measured_on_its_test_samples(capsys):
    pytest.importorskip("sklearn")
    arguments = ["energy", str(RESULTS / "digits/probplif-seed0.json"), "--samples", "40"]
    status, out, _ = run(capsys, *arguments)
    assert status == 0 and "probplif-seed0: 128 neurons, 8 steps" in out
    assert run(capsys, *arguments)[1] == out, "other noise"
    _, forced, _ = run(capsys, *arguments, "--rate", "0.5")
    assert "0.5000 spikes" in forced
    status, _, err = run(capsys, *arguments, "--width", "1")
    assert status == 1 and "width" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "records of trained networks, or one --model"),
        (["a.json", "--model", "cnn5"], "not both"),
        (["--model", "cnn5"], "--rate 0.15"),
        (["--model", "cnn55", "--rate", "0.1"], "Did you mean 'cnn5'"),
        (["--model", "cnn5", "--rate", "1.5"], "must lie in [0, 1]"),
        (["--model", "cnn5", "--rate", "0.1", "--bits", "0"], "from 1 to 32"),
        (["--model", "exact", "--neuron", "qif", "--rate", "0.1"], "no time steps"),
        (["--model", "cnn5", "--rate", "0.1", "--steps", "0"], "--steps from 1"),
        (["--model", "cnn5", "--neuron", "relu", "--rate", "0.1"], "no spiking neurons to put a --rate into"),
        (["nothing.json"], "nothing.json"),
        (["a.json", "--steps", "8"], "--steps is not for trained networks"),
        (["--model", "cnn5", "--rate", "0.1", "--samples", "9"], "--samples is not for an architecture"),
        (["--model", "recurrent", "--rate", "0.1", "--image-size", "9"], "'image_size'"),
    ],
)
def test_mistakes_are_one_clear_message(capsys, arguments, message):
    status, _, err = run(capsys, "energy", *arguments)
    assert status == 1 and err.startswith("error: ") and message in err
