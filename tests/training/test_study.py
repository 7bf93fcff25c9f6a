"""Studies: what is there is not trained again, another protocol is refused, and verdicts count seeds."""

from dataclasses import replace

import pytest

from rheobase.recipes import studies
from rheobase.training import Config, loop, record
from rheobase.training.study import Claim, Study, finished, path_of, verdicts, work_off

pytest.importorskip("sklearn")

BASE = Config(recipe="study/test", neuron="lif", hidden=(8,), epochs=1, batch=400, device="cpu")
STUDY = Study(
    "test",
    BASE,
    {"lif": {"neuron": "lif:tau=4"}, "clif small": {"neuron": "clif", "hidden": (4,)}},
    (Claim("clif small", "lif", "nobody"), Claim("lif", "clif small", "nobody")),
)


def test_a_queue_goes_on_where_it_stopped_and_finds_its_records(tmp_path):
    results, runs = tmp_path / "results", tmp_path / "runs"
    queue = work_off(STUDY, results, [0, 1], runs)
    assert [next(queue), next(queue)] == [("lif", 0), ("clif small", 0)]
    queue.close()
    first = path_of(results, "lif", 0).read_bytes()
    assert list(work_off(STUDY, results, [0, 1], runs)) == [("lif", 1), ("clif small", 1)]
    assert path_of(results, "lif", 0).read_bytes() == first, "trained again"
    found = finished(STUDY, results, [0, 1, 2])
    assert {label: sorted(records) for label, records in found.items()} == {"lif": [0, 1], "clif small": [0, 1]}
    assert found["lif"][1]["config"]["neuron_options"] == {"tau": 4} and found["clif small"][0]["config"]["hidden"] == [
        4
    ]
    assert (results / "lif-seed0.safetensors").exists() and not (results / "lif-seed1.safetensors").exists()


def test_a_record_of_another_protocol_is_refused(tmp_path):
    path = path_of(tmp_path, "lif", 0)
    record.write(path, {"config": BASE.but(batch=50).with_neuron("lif:tau=4").as_dict(), "test": {}})
    with pytest.raises(ValueError, match=r"lif-seed0\.json holds a run with other settings"):
        finished(STUDY, tmp_path, [0])


def test_a_run_that_left_no_record_goes_on_only_with_its_own_settings(tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    def killed(run, batch):
        raise Killed

    train_batch = loop.Run.train_batch
    monkeypatch.setattr(loop.Run, "train_batch", killed)
    (tmp_path / "runs/lif-seed0").mkdir(parents=True)  # what a full disk leaves of a first checkpoint
    with pytest.raises(Killed):
        next(work_off(STUDY, tmp_path, [0], tmp_path / "runs"))
    monkeypatch.setattr(loop.Run, "train_batch", train_batch)
    changed = replace(STUDY, config=BASE.but(batch=50))
    with pytest.raises(ValueError, match=r"lif-seed0 holds a run with other settings .*batch 400 and 50\)"):
        next(work_off(changed, tmp_path, [0], tmp_path / "runs"))
    assert next(work_off(STUDY, tmp_path, [0], tmp_path / "runs")) == ("lif", 0)


def test_verdicts_count_the_seeds_that_both_have():
    def scored(*accuracies):
        return {seed: {"test": {"accuracy": value}} for seed, value in enumerate(accuracies)}

    first, second = verdicts(STUDY, {"lif": scored(0.5, 0.6, 0.9), "clif small": scored(0.52, 0.59)})
    assert str(first) == "holds for 1 of 2 seeds, +0.50 ± 2.12 points"
    assert str(second) == "holds for 1 of 2 seeds, -0.50 ± 2.12 points"
    tie, _ = verdicts(STUDY, {"lif": scored(0.5), "clif small": scored(0.5)})
    assert str(tie).startswith("holds for 0 of 1 seeds"), "a claim says higher"
    assert str(verdicts(STUDY, {"lif": {}, "clif small": {}})[0]) == "no seed has both yet"


@pytest.mark.parametrize("name", studies.STUDIES)
def test_the_studies_claim_only_what_they_train_and_differ_in_nothing_else(name):
    study = studies.study(name)
    assert {label for claim in study.claims for label in (claim.better, claim.worse)} <= set(study.variants)
    configs = [study.configured(label, 0).as_dict() for label in study.variants]
    assert len({str(config) for config in configs}) == len(configs)
    varied = {key for config in configs for key, value in config.items() if value != configs[0][key]}
    assert varied <= {"neuron", "neuron_options", "steps", "exchange", "exchange_after"}


def test_labels_say_where_accuracies_are_drawn():
    lines, grid = Study("", BASE, {}, axes=("T",)), Study("", BASE, {}, axes=("alpha", "beta"))
    assert lines.place("beta only T=4") == ("beta only", (4.0,))
    assert grid.place("beta=0.4 alpha=0.2") == ("", (0.2, 0.4)) and grid.place("learned") == ("learned", ())
    assert STUDY.place("tau=2 k=6") == ("tau=2 k=6", ())
    for name in studies.STUDIES:
        study = studies.study(name)
        places = [study.place(label) for label in study.variants]
        assert len(set(places)) == len(places), f"{name}: two variants in one place"
        assert len(study.axes) != 1 or all(len(at) == 1 for _, at in places), f"{name}: a line without a place"


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("digits-decays", ["50.0", "62.0", "learned: 50.0 ± 0.0 %"]),
        ("digits-steps", ["time steps", "test accuracy (%)"]),
        ("digits-neurons", ["glif", "95 % interval"]),
    ],
)
def test_the_figure_of_a_study_shows_its_records(tmp_path, monkeypatch, capsys, name, texts):
    from rheobase import cli

    pytest.importorskip("matplotlib")
    study = studies.study(name)
    for label in study.variants:
        for seed in (0, 1):
            score = {"accuracy": 0.62 if "alpha=0.4 beta=1.0" in label else 0.5, "loss": 1.0, "firing_rate": 0.1}
            content = {"config": study.configured(label, seed).as_dict(), "test": score}
            record.write(path_of(tmp_path / name, label, seed), {**content, "epochs": [{"samples_per_second": 1.0}]})
    drawn = []
    monkeypatch.setattr("rheobase.plots.figure.save", lambda made, path: drawn.append(made) or path)
    arguments = ["study", name, "--seeds", "0,1", "--results", str(tmp_path), "--figure", "x.png"]
    assert cli.main(arguments) == 0 and "x.png" in capsys.readouterr().out
    made = drawn[0]
    made.canvas.draw()
    found = [text.get_text() for axes in made.axes for text in axes.findobj(match=type(made.axes[0].title))]
    assert all(any(text in one for one in found) for text in texts), found
    if name == "digits-decays":
        numbers = {text.get_text(): text.get_position() for text in made.axes[0].texts}
        assert numbers["62.0"] == (1, 4), "alpha to the right, beta upwards"
    assert cli.main([*arguments[:2], "--results", str(tmp_path / "none"), "--figure", "x.png"]) == 1
    assert "Add --train" in capsys.readouterr().err


def test_a_network_without_spikes_shows_no_firing_rate(tmp_path, capsys):
    from rheobase import cli

    study = studies.study("cifar10-part")
    for label, rate in (("lif", 0.245), ("relu", None)):
        for seed in (0, 1):
            score = {"accuracy": 0.62, "loss": 1.0, "firing_rate": rate}
            content = {"config": study.configured(label, seed).as_dict(), "test": score}
            record.write(
                path_of(tmp_path / "cifar10-part", label, seed), {**content, "epochs": [{"samples_per_second": 1.0}]}
            )
    assert cli.main(["study", "cifar10-part", "--seeds", "0,1", "--results", str(tmp_path)]) == 0
    shown = [line for line in capsys.readouterr().out.splitlines() if "62.00" in line]
    rates = {label: "0.245" in line for line in shown for label in ("lif", "relu") if label in line.split()}
    assert rates == {"lif": True, "relu": False}, shown


@pytest.mark.parametrize("name", ["cifar10-part-quick", "cifar10-part", "nmnist-part"])
def test_ilif_table_3_is_a_pair_of_variants(name):
    """IPLIF and PLIF from the same τ and with the same reset."""
    study = studies.study(name)
    (claim,) = [claim for claim in study.claims if claim.source == "ILIF table 3"]
    better, worse = study.configured(claim.better, 0), study.configured(claim.worse, 0)
    assert (better.neuron, better.neuron_options) == ("iplif", {"tau": 1.1})
    assert (worse.neuron, worse.neuron_options) == ("plif", {"variant": "soft", "tau": 1.1})
