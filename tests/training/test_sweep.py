"""Hyperparameter search: two processes on one journal, one of them killed; spaces; the command."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from rheobase import cli, recipes
from rheobase.training import Config, space, sweep

pytest.importorskip("optuna")
pytest.importorskip("sklearn")

SMALL = ["digits", "--hidden", "8", "--batch", "400", "--trials", "3", "--out", "study"]


@contextlib.contextmanager
def another_process(folder, *arguments: str):
    """A second process on the study, killed at the end."""
    script = "import sys; from rheobase import cli; sys.exit(cli.main(sys.argv[1:]))"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([sys.executable, "-c", script, *arguments], cwd=folder, env=environment, **quiet)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def epochs_of(trial) -> int:
    return len(json.loads((trial / "record.json").read_text())["epochs"]) if (trial / "record.json").exists() else 0


def test_two_processes_share_a_study_and_the_work_of_a_killed_one_is_taken_up(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, arguments = tmp_path / "study" / "probplif", ["sweep", *SMALL, "--epochs", "6"]
    with another_process(tmp_path, *arguments) as other:
        end = time.monotonic() + 300
        while not epochs_of(folder / "trial-0000"):
            assert time.monotonic() < end and other.poll() is None, "the other process does not work"
            time.sleep(0.02)
        other.send_signal(signal.SIGSTOP)  # it holds its trial, but cannot finish it before this process joins
        done = epochs_of(folder / "trial-0000")
        train_one = sweep._run

        def then_kill_the_other(*given):
            train_one(*given)
            other.kill()
            other.wait()

        monkeypatch.setattr(sweep, "_run", then_kill_the_other)
        assert cli.main(arguments) == 0
    found = json.loads((tmp_path / "study" / "sweep.json").read_text())["studies"]["probplif"]
    states = [trial["state"] for trial in found["trials"]]
    assert states[0] == "fail" and sum(state in ("complete", "pruned") for state in states) == 3
    (taken,) = [trial for trial in found["trials"][1:] if trial["settings"] == found["trials"][0]["settings"]]
    assert taken["number"] > 1, "while the other process lived its trial was left alone"
    assert taken["epochs"] == 6 - done, "it goes on from its checkpoint"
    assert not (folder / f"trial-{taken['number']:04d}").exists(), "in its folder"
    records = [json.loads(path.read_text()) for path in folder.glob("trial-*/record.json")]
    assert len(records) == 3 and not any("test" in one for one in records), "a search never looks at the test set"
    assert [len(one["epochs"]) for one in records] == [6] * 3


def test_a_process_waits_for_the_trial_of_another_and_the_last_runs_are_trained_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = ["sweep", *SMALL, "--epochs", "20", "--trials", "1", "--seeds", "0"]
    with another_process(tmp_path, *arguments) as other:
        end = time.monotonic() + 300
        while not epochs_of(tmp_path / "study/probplif/trial-0000"):
            assert time.monotonic() < end and other.poll() is None, "the other process does not work"
            time.sleep(0.02)
        assert cli.main(arguments) == 0 and other.wait() == 0
    assert "(1 complete)" in capsys.readouterr().out
    (run,) = json.loads((tmp_path / "study/sweep.json").read_text())["studies"]["probplif"]["final"]["runs"]
    (path,) = tmp_path.glob("study/probplif/best/*/log.jsonl")
    epochs = [line for line in path.read_text().splitlines() if json.loads(line)["kind"] == "epoch"]
    assert len(run["epochs"]) == len(epochs) == 20, "trained twice"


def test_both_neurons_get_one_space_and_one_budget_and_a_finished_study_is_not_repeated(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = ["sweep", *SMALL, "--epochs", "1", "--trials", "2", "--neurons", "lif,plif", "--result", "r/sweep.json"]
    arguments += ["--seeds", "0", "--final-epochs", "2"]
    assert cli.main(arguments) == 0
    out = capsys.readouterr().out
    assert "lif: best validation accuracy" in out and "plif: best validation accuracy" in out
    found = json.loads((tmp_path / "r/sweep.json").read_text())["studies"]
    assert found["lif"]["space"] == found["plif"]["space"]
    for name in ("lif", "plif"):
        (run,) = found[name]["final"]["runs"]
        best = found[name]["best"]["settings"]
        assert len(run["epochs"]) == 2 and found[name]["final"]["mean"] == run["test"]["accuracy"]
        assert {key: run["config"][key] for key in best} == best and run["config"]["neuron"] == name
    settings = [[trial["settings"] for trial in found[name]["trials"]] for name in ("lif", "plif")]
    assert settings[0] == settings[1] and len(settings[0]) == 2, "the first trials are the same draws"
    assert cli.main(arguments) == 0
    assert json.loads((tmp_path / "r/sweep.json").read_text())["studies"] == found
    assert cli.main([*arguments, "--seed", "7"]) == 1 and "other settings" in capsys.readouterr().err


def test_a_database_serves_too(tmp_path):
    plan = sweep.Plan(Config(hidden=(4,), epochs=1, batch=700), {"learning_rate": space.Range(1e-3, 1e-1, log=True)}, 1)
    study = sweep.sweep(plan, "one", tmp_path, f"sqlite:///{tmp_path}/study.db")
    (trial,) = sweep.report(study)["trials"]
    assert trial["state"] == "complete" and 1e-3 <= trial["settings"]["learning_rate"] <= 1e-1
    assert not (tmp_path / sweep.JOURNAL).exists()


@pytest.mark.parametrize("address", ["nonsense://", "no address", "sqlite:////nowhere/study.db"])
def test_a_storage_that_cannot_be_opened_is_one_message(tmp_path, monkeypatch, capsys, address):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["sweep", *SMALL, "--storage", address]) == 1
    assert "sweep: cannot open the storage" in capsys.readouterr().err


def test_a_diverging_trial_counts_as_a_bad_one(tmp_path):
    plan = sweep.Plan(Config(hidden=(4,), epochs=1, batch=700), {"learning_rate": space.Range(1e20, 2e20)}, 1)
    (trial,) = sweep.report(sweep.sweep(plan, "one", tmp_path))["trials"]
    assert trial["state"] == "complete" and (trial["diverged"] or trial["accuracy"] < 0.3)


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_has_a_space_that_its_config_takes(name):
    config = recipes.recipe(name)
    searched = recipes.space(config)
    space.check(searched)
    low = {key: one.values[0] if isinstance(one, space.Choice) else one.low for key, one in searched.items()}
    changed = space.changed(config, low)
    assert changed != config
    for key, value in low.items():
        field, dot, option = key.partition(".")
        assert (getattr(changed, field)[option] if dot else getattr(changed, field)) == value


def test_the_general_space_lies_evenly_around_the_config():
    config = Config(learning_rate=0.02, weight_gain=3.0, batch=64)
    for name, one in space.general(config).items():
        if isinstance(one, space.Range):
            assert one.log and one.low * one.high == pytest.approx(getattr(config, name) ** 2), name
        else:
            assert one.values == (32, 64, 128)


@pytest.mark.parametrize("prune", [True, False])
def test_a_plan_decides_whether_a_bad_trial_is_pruned(tmp_path, prune):
    plan = sweep.Plan(Config(), {"learning_rate": space.Range(1e-3, 1e-1)}, 9, prune=prune)
    study = sweep._study(plan, "one", tmp_path, None)
    for _ in range(sweep.STARTUP):
        trial = study.ask()
        for epoch in (1, 2):
            trial.report(0.9, epoch)
            assert not trial.should_prune()
        study.tell(trial, 0.9)
    bad = study.ask()
    bad.report(0.1, 2)
    assert bad.should_prune() == prune


def test_the_seed_decides_the_draws_and_the_best_epoch_is_the_value(tmp_path, monkeypatch):
    def trained(config, folder, *, after_epoch, **rest):
        for epoch, accuracy in enumerate((0.3, 0.9, 0.5), 1):
            after_epoch({"epoch": epoch, "validation_accuracy": accuracy})

    monkeypatch.setattr(sweep, "train", trained)
    drawn = []
    for number, seed in enumerate((0, 1, 0)):
        plan = sweep.Plan(Config(), {"learning_rate": space.Range(1e-3, 1e-1, log=True)}, 2, seed=seed)
        trials = sweep.report(sweep.sweep(plan, f"study {number}", tmp_path))["trials"]
        assert [(trial["state"], trial["accuracy"]) for trial in trials] == [("complete", 0.9)] * 2
        drawn.append([trial["settings"]["learning_rate"] for trial in trials])
    assert drawn[0] == drawn[2] and drawn[0] != drawn[1]


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="learning_rate"):
        space.check({"learning_rat": space.Range(0, 1)})
    with pytest.raises(ValueError, match="log needs low above 0"):
        space.Range(0.0, 1.0, log=True)
    with pytest.raises(ValueError, match="two values"):
        space.Choice((1,))
