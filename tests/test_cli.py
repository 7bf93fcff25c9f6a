"""The command line, called as a function: what it prints, what it writes, and what its errors say."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys

import pytest

import rheobase
from rheobase import cli, recipes
from rheobase.commands import terminal
from rheobase.training import record

pytest.importorskip("sklearn")

SMALL = ["--hidden", "8", "--epochs", "2", "--batch", "400"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Runs go to a new folder, lines are not wrapped."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RHEOBASE_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(terminal, "console", terminal.Console(width=200))
    return tmp_path


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    status = cli.main(arguments)
    return status, *capsys.readouterr()


def test_train_writes_record_weights_and_picture_and_eval_agrees(here, capsys):
    pytest.importorskip("matplotlib")
    status, out, _ = run(capsys, "train", *SMALL, "--result", "results/a.json")
    folder = here / "runs/digits-probplif-seed0"
    assert status == 0 and "test accuracy" in out and "firing rate" in out
    assert (folder / "picture.png").stat().st_size > 5000
    found = record.read(folder / "record.json")
    assert found["command"] == "rheobase train --hidden 8 --epochs 2 --batch 400 --result results/a.json"
    assert {"versions", "hardware", "commit", "started", "test", "epochs"} <= set(found)
    assert len(found["epochs"]) == 2 and found["config"]["hidden"] == [8]
    accuracy = f"{found['test']['accuracy']:.2%}"
    for source in (folder, here / "results/a.json", here / "results/a.safetensors", folder / "weights.safetensors"):
        status, out, _ = run(capsys, "eval", str(source))
        assert status == 0 and f"test accuracy  {accuracy}" in out


def test_noise_can_be_left_out_or_drawn_anew_and_curves_show_the_activity(here, capsys):
    pytest.importorskip("matplotlib")
    run(capsys, "train", *SMALL, "--log-every", "1", "--result", "results/a.json")
    lines = [json.loads(line) for line in (here / "results/a.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line["kind"] == "step"]
    assert len(steps) == 8 and all(0 < line["firing_rate"] < 1 for line in steps)
    losses = set()
    for flags in ([], ["--deterministic"], ["--seed", "7"], ["--passes", "3"]):
        status, out, _ = run(capsys, "eval", "results/a.json", *flags)
        losses |= set(re.findall(r"test loss +(\S+)", out))
    assert status == 0 and len(losses) == 4, "some noise was the same"
    status, _, _ = run(capsys, "curves", "results/a.json", "runs/digits-probplif-seed0", "--average", "2")
    assert status == 0 and (here / "curves.png").stat().st_size > 5000
    run(capsys, "train", *SMALL, "--neuron", "lif", "--out", "runs/lif")
    status, _, err = run(capsys, "eval", "runs/lif", "--deterministic")
    assert status == 1 and "lif draws nothing" in err


def test_a_new_run_takes_a_new_folder_and_a_finished_one_resumes_to_the_same_result(here, capsys):
    run(capsys, "train", *SMALL)
    run(capsys, "train", *SMALL)
    first, second = (record.read(here / f"runs/digits-probplif-seed0{end}/record.json") for end in ("", "-2"))
    assert first["test"] == second["test"]
    status, _, _ = run(capsys, "train", "--resume", "runs/digits-probplif-seed0")
    assert status == 0 and record.read(here / "runs/digits-probplif-seed0/record.json")["test"] == first["test"]
    status, _, err = run(capsys, "train", "--resume", "runs/digits-probplif-seed0", "--epochs", "9")
    assert status == 1 and "--epochs cannot change it" in err


def test_runs_that_start_at_once_take_folders_of_their_own(here):
    command = [sys.executable, "-m", "rheobase", "train", *SMALL, "--device", "cpu"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert all("test accuracy" in process.communicate()[0] for process in both)
    assert len(list(here.glob("runs/digits-probplif-seed0*/record.json"))) == 2


def test_options_go_to_what_they_belong_to(here, capsys):
    """Also to another neuron, data set and model than the recipe's, which leave what they do not know."""
    ran = [
        ("digits-problif", ["--neuron", "problif", "--neuron-options", "sigma", "0.5", "tau", "4"]),
        ("digits-probplif", ["--neuron_options", "sigma", "0.3", "--neuron=probplif:mix=0.3"]),
        ("digits-ilif", ["--neuron", "ilif", "--neuron-options", "ciu", "false"]),
    ]
    wanted = [{"sigma": 0.5, "tau": 4}, {"tau": 2.0, "tau_std": 0.5, "sigma": 0.3, "mix": 0.3}, {"ciu": False}]
    for (name, flags), options in zip(ran, wanted, strict=True):
        assert run(capsys, "train", *SMALL, *flags)[0] == 0
        assert record.read(here / f"runs/{name}-seed0/record.json")["config"]["neuron_options"] == options


def test_another_data_set_and_model_are_named_and_start_from_what_they_know():
    from rheobase.commands import flags, train

    config, _ = flags.with_config(train.Options, ["--data", "mnist"], "train")
    assert (config.recipe, config.data) == ("mnist", "mnist")
    config, _ = flags.with_config(train.Options, ["digits", "--data", "mnist"], "train")
    assert config.recipe == "digits", "asked for by name"
    given = ["smnist", "--model", "cnn5", "--model-options", "width", "0.5", "--neuron", "lif"]
    config, _ = flags.with_config(train.Options, given, "train")
    assert config.model_options == {"width": 0.5} and config.readout_tau == 20.0


def test_compare_is_on_equal_terms_and_prints_mean_and_spread(here, capsys):
    arguments = ["--neurons", "lif:tau=4,problif", "--seeds", "0,1", "--out", "runs/c", "--result", "c.json", *SMALL]
    status, out, _ = run(capsys, "compare", *arguments)
    assert status == 0 and "lif:tau=4" in out and "problif" in out and "±" in out
    assert "lif:tau=4, seed 1, in runs/c/lif-tau=4-seed1\nepoch   1" in out
    rows = json.loads((here / "c.json").read_text())["rows"]
    assert [len(row["records"]) for row in rows] == [2, 2]
    assert rows[0]["records"][0]["config"]["neuron_options"] == {"tau": 4}
    times = [path.stat().st_mtime_ns for path in sorted(here.glob("runs/c/*/record.json"))]
    run(capsys, "compare", *arguments)
    assert times == [path.stat().st_mtime_ns for path in sorted(here.glob("runs/c/*/record.json"))], "trained again"
    status, _, err = run(capsys, "compare", *arguments, "--learning-rate", "0.5")
    assert status == 1 and "other settings" in err


def test_compare_goes_on_with_a_run_of_the_same_settings_alone(here, capsys, monkeypatch):
    from rheobase.training import checkpoint, loop

    arguments = ["compare", "--neurons", "lif", "--seeds", "0", "--out", "c", "--hidden", "8", "--batch", "400"]
    whole, close_epoch = checkpoint.write_atomically, loop.Run.close_epoch

    def full(path, content):
        path.parent.mkdir(parents=True, exist_ok=True)
        raise OSError("disk full")

    def stopped(run, reporter):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "write_atomically", full)
    assert run(capsys, *arguments, "--epochs", "3")[0] == 1 and (here / "c/lif-seed0").is_dir()
    monkeypatch.setattr(checkpoint, "write_atomically", whole)
    monkeypatch.setattr(loop.Run, "close_epoch", stopped)
    assert run(capsys, *arguments, "--epochs", "3")[0] == 130, "a run without a checkpoint does not start again"
    monkeypatch.setattr(loop.Run, "close_epoch", close_epoch)
    status, _, err = run(capsys, *arguments, "--epochs", "1")
    assert status == 1 and "other settings (there and here: epochs 3 and 1)" in err
    assert run(capsys, *arguments, "--epochs", "3")[0] == 0


def test_a_stopped_command_says_how_it_goes_on_and_that_works(here, capsys, monkeypatch):
    pytest.importorskip("optuna")
    from rheobase.training import loop

    train_batch = loop.Run.train_batch

    def stopped(run, batch):
        train_batch(run, batch)
        os.kill(os.getpid(), signal.SIGINT)

    for name, flags in (("train", ["--out", "a b"]), ("compare", ["--seeds", "0"]), ("sweep", ["--trials", "1"])):
        with monkeypatch.context() as patch:
            patch.setattr(loop.Run, "train_batch", stopped)
            status, out, _ = run(capsys, name, *SMALL, *flags)
        go_on = shlex.split(out.rpartition("Go on with: ")[2])
        assert status == 130 and go_on[:2] == ["rheobase", name] and go_on[-1] in ("a b", f"runs/{name}-digits")
        assert run(capsys, *go_on[1:])[0] == 0
    assert len(list(here.glob("runs/*"))) == 2
    monkeypatch.setattr(loop.Run, "train_batch", stopped)
    status, out, _ = run(capsys, "study", "digits-steps", "--train", "--runs", "my runs")
    assert status == 130 and out.endswith("Go on with: rheobase study digits-steps --train --runs 'my runs'\n")


def test_equal_terms_means_the_same_weights_and_readout():
    import torch

    from rheobase.training import Config, prepare

    models = [prepare(Config(neuron=name, hidden=(8,))).model for name in ("lif", "probplif", "clif", "glif")]
    for name in ("layers.0.weight_ih", "layers.0.weight_hh", "readout.weight", "readout.integrator.tau"):
        values = [model.state_dict()[name] for model in models]
        assert all(torch.equal(value, values[0]) for value in values), name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "Did you mean 'train'"),
        (["train", "smnits"], "Did you mean 'smnist'"),
        (["train", "--neuron", "lfi"], "Did you mean 'lif'"),
        (["train", "--neuron", "lif:tua=3"], "'tua'; did you mean 'tau'"),
        (["train", "--neuron", "lif:tau"], "name:option=value"),
        (["train", "--data", "digit"], "Did you mean 'digits'"),
        (["train", "--encoding", "row"], "Did you mean 'rows'"),
        (["train", "--loss", "evry_step"], "Did you mean 'every_step'"),
        (["train", "--epochs", "0"], "must be above 0; got 0"),
        (["train", "--neuron", "problif", "--sigma", "0.5"], "write --neuron-options sigma VALUE"),
        (["train", "--neuron", "lif:tau=4", "--neuron-options", "tau", "3"], "tau is given by --neuron lif:tau=4 and"),
        (["train", "clif/cifar10-r18", "--width", "0.1"], "write --model-options width VALUE"),
        (["train", "clif/cifar10dvs-vgg11", "--epochs", "0"], "must be above 0; got 0"),
        (["train", "--neuron", "lif:tau=2:tau=3"], "tau is given twice; leave one out"),
        (["train", "--out", ""], "--out has an empty value"),
        (["train", "--out="], "--out has an empty value"),
        (["train", "--result", "a.txt"], "a result is a .json file"),
        (["train", "--exchange", "lfi", "--exchange-after", "1"], "Did you mean 'lif'"),
        (["train", "--neuron", "lif", "--exchange", "plif", "--exchange-after", "1"], "has parameters of its own"),
        (["train", "--device", "cuda"], "torch finds no GPU on this machine"),
        (["train", "--lr", "0.1"], "write --learning-rate"),
        (["train", "--model", "cnn5"], "Encode images directly"),
        (["train", "--steps", "20"], "rows: the number of steps follows from the sample; got steps=20"),
        (["compare", "--neuron", "lif"], "leave out --neuron"),
        (["train", "--data", "hd", "--validation-speaker", "3", "--validation-by-group"], "alone"),
        (["train", "smnist"], "rheobase data get mnist"),
        (["train", "--clip", "inf"], "clip must be finite, because a record is JSON; got inf. Write none for no limit"),
        (["train", "--neuron", "lif:tau=inf"], "neuron_options tau must be finite"),
        (["train", "--seed", "99999999999999999999"], "seed must be 0 or above, and below 4294967296"),
        (["train", "--resume", "nowhere"], "nothing to resume"),
        (["train", "smnist", "--resume", "nowhere"], "the recipe smnist cannot change it"),
        (["train", "--previous"], "of which run? Give its folder: --resume FOLDER"),
        (["eval", "nothing.json"], "nothing.json"),
        (["compare", "--seeds", "a"], "whole numbers"),
        (["compare", "--seeds", "0,0"], "seeds 0,0: 0 is given twice"),
        (["compare", "--seeds", "0,4294967296"], "seed must be 0 or above, and below 4294967296"),
        (["compare", "--neurons", "lif,lif"], "lif is named twice"),
        (["compare", "--neurons", "lif,lfi"], "Did you mean 'lif'"),
        (["compare", "--neurons", "lif,clif:tua=3"], "'tua'; did you mean 'tau'"),
        (["compare", "--result", "/dev/null/a.json"], "--result /dev/null/a.json cannot be written"),
        (["sweep", "--neurons", "lif,lfi"], "Did you mean 'lif'"),
        (["sweep", "--seeds", "0,0"], "seeds 0,0: 0 is given twice"),
        (["sweep", "--seeds", "0", "--final-epochs", "0"], "epochs must be above 0; got 0"),
        (["sweep", "--learning-rate", "1e308"], "needs finite low < high"),
        (["exchange", "nothing", "--steps", "4,x"], "steps are whole numbers separated by commas; got '4,x'"),
        (["exchange", "nothing", "--steps", "0"], "steps are whole numbers from 1 on; got 0"),
        (["data", "lst"], "Did you mean 'list'"),
        (["data", "get", "mnits"], "Did you mean 'mnist'"),
        (["data", "get", "hd"], "cannot be downloaded"),
    ],
)
def test_mistakes_are_one_clear_message(here, capsys, arguments, message, monkeypatch):
    """Before anything is trained, so that no folder is left."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    status, _, err = run(capsys, *arguments)
    assert status == 1 and err.startswith("error: ") and message in err
    assert not (here / "runs").exists()


def test_none_is_written_in_any_case():
    from rheobase.commands import flags, train

    for word in ("none", "None", "NONE"):
        config, _ = flags.with_config(train.Options, ["--clip", word, "--augmentation", "none"], "train")
        assert (config.clip, config.augmentation) == (None, "none")
    with pytest.raises(SystemExit):
        flags.with_config(train.Options, ["--clip", "no"], "train")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epoch", "3"], "--epochs"),
        (["--schedule", "x"], "cosine"),
        (["--neuron", "clif", "--sigma", "1"], "--sigma"),
    ],
)
def test_wrong_flags_say_what_is_possible(capsys, arguments, message):
    with pytest.raises(SystemExit):
        cli.main(["train", *arguments])
    assert message in capsys.readouterr().err


def test_data_list_says_what_is_here_and_where_to_get_the_rest(here, capsys):
    status, out, _ = run(capsys, "data", "list")
    assert status == 0 and str(here / "data") in out
    assert re.search(r"^mnist +missing", out, re.M) and re.search(r"^digits +here", out, re.M)
    _, out, _ = run(capsys, "data", "show", "mnist")
    assert "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609" in out and "https://" in out
    assert "9.9 MB" in out


def test_help_lists_every_command(capsys):
    status, out, _ = run(capsys)
    assert status == 0 and all(name in out for name in cli.COMMANDS)


def test_version_and_help_by_word(capsys):
    assert run(capsys, "--version")[:2] == (0, f"rheobase {rheobase.__version__}\n")
    assert run(capsys, "help")[1] == run(capsys)[1]
    for arguments in (["help", "data"], ["data", "get", "--help"], ["check", "--help"]):
        with pytest.raises(SystemExit):
            cli.main(arguments)
        out = capsys.readouterr().out
        assert "usage: rheobase" in out and ("data get NAME" in out or "my.py:MyNeuron" in out)


def test_a_reader_who_has_seen_enough_hears_no_complaint():
    """The rest of a pipe that is closed: `python -m rheobase recipes | head -1`, and tyro's help."""
    for arguments in (["recipes"], ["train", "--help"]):
        command = [sys.executable, "-m", "rheobase", *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.close()
            assert process.stderr.read() == "" and process.wait() > 0


def test_an_ascii_terminal_shows_what_it_can():
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "rheobase", "show", "lif"]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert shown.returncode == 0 and shown.stderr == "" and "?" in shown.stdout


def test_a_command_that_is_stopped_says_so(capsys, monkeypatch):
    def stopped(rest):  # what Python makes of SIGINT, unless it began in the background of a shell
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.COMMANDS, "doctor", stopped)
    assert run(capsys, "doctor") == (130, "\nStopped.\n", "")


def test_no_memory_and_a_compiler_that_fails_are_one_line(here, capsys, monkeypatch):
    status, _, err = run(capsys, "train", "--hidden", "999999999")
    assert status == 1 and err.startswith("error: Not enough memory for this network") and err.count("\n") == 1
    environment = {**os.environ, "CC": "false", "RHEOBASE_CACHE": str(here)}
    command = [sys.executable, "-m", "rheobase", "train", *SMALL, "--device", "cpu"]
    failed = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert failed.returncode == 1 and failed.stderr.count("\n") == 1 and "false ended with 1" in failed.stderr


def test_recipes_fit_80_columns_with_whole_names(capsys, monkeypatch):
    monkeypatch.setattr(terminal, "console", terminal.Console(width=80))
    _, out, _ = run(capsys, "recipes")
    assert max(map(len, out.splitlines())) <= 80
    assert set(recipes.names()) <= {line.split(" ")[0] for line in out.splitlines()}


def test_divergence_stops_with_advice_and_keeps_the_checkpoint(here, capsys, monkeypatch):
    from rheobase.training import checkpoint, loop

    def spoiled(run_, batch, train_batch=loop.Run.train_batch):
        if run_.step == 5:
            run_.task.model.readout.weight.data.fill_(float("nan"))
        train_batch(run_, batch)

    monkeypatch.setattr(loop.Run, "train_batch", spoiled)
    status, _, err = run(capsys, "train", *SMALL)
    assert status == 1 and "batch 2 of epoch 2" in err and "--learning-rate" in err
    kept = checkpoint.load(here / "runs/digits-probplif-seed0")
    assert kept["progress"]["epoch"] == 1 and all(value.isfinite().all() for value in kept["model"].values())
