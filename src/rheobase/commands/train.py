"""`rheobase train`: one run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rheobase.commands import flags, terminal
from rheobase.commands.evaluate import print_score


@dataclass(frozen=True)
class Options:
    """What `rheobase train` needs besides the config."""

    resume: Path | None = None
    """Go on with the run in this folder; its config is in its checkpoint."""
    previous: bool = False
    """With --resume: from the checkpoint before the last one."""
    out: Path | None = None
    """Folder of the run; default: a new one under runs/."""
    result: Path | None = None
    """Also write the record to this .json file and the weights beside it."""
    checkpoint_seconds: float = 300.0
    """Longest time between two checkpoints within an epoch."""
    tensorboard: bool = False
    """Also write the log for TensorBoard, in the run's folder."""


def run(arguments: list[str]) -> int:
    """Train a network: `rheobase train [RECIPE] [--field value ...]`; without arguments ProbPLIF on digits."""
    from rheobase import training
    from rheobase.neurons.named import short

    config, options = flags.with_config(Options, arguments, "train")
    command = flags.line("train", arguments)
    group = training.join()
    terminal.console.quiet = not group.first
    if options.previous and not options.resume:
        raise ValueError("train --previous: of which run? Give its folder: --resume FOLDER --previous.")
    flags.check_result(options.result, "train")
    if options.resume:
        _only_resume(arguments)
    name = f"{config.recipe}-{short(config.neuron)}-seed{config.seed}".replace("/", "-")
    with flags.folder(options.resume or options.out, Path("runs") / name) as folder:
        if not options.resume:
            terminal.say(f"{config.neuron} on {config.data}, seed {config.seed}, in {folder}")
        found = training.train(
            None if options.resume else config,
            folder,
            resume=options.resume is not None,
            previous=options.previous,
            command=command,
            console=terminal.console,
            checkpoint_seconds=options.checkpoint_seconds,
            tensorboard=options.tensorboard,
        )
    if not group.first:
        return 0
    _print_result(found, folder)
    if options.result:
        training.publish(folder, options.result)
        terminal.say(f"result         {options.result}")
    return 0


def _only_resume(arguments: list[str]) -> None:
    allowed = ("--resume", "--previous", "--result", "--checkpoint-seconds", "--tensorboard")
    recipe, fix = arguments[0], "cannot change it. Leave it out."
    if not recipe.startswith("-"):
        raise ValueError(f"train --resume: the config is in the checkpoint; the recipe {recipe} {fix}")
    for flag in arguments:
        if flag.startswith("--") and flag.split("=")[0] not in allowed:
            raise ValueError(f"train --resume: the config is in the checkpoint; {flag} {fix}")


def _print_result(found: dict[str, Any], folder: Path) -> None:
    terminal.say(f"\nbest epoch     {found['best_epoch']} of {len(found['epochs'])}, {found['seconds']:.0f} s in all")
    print_score(found["test"], found["samples"]["test"])
    if found["data_note"]:
        terminal.say(f"data           {found['data_note']}")
    terminal.say(f"record         {folder / 'record.json'}")
    try:
        terminal.say(f"picture        {_picture(folder, found)}")
    except ModuleNotFoundError as error:
        terminal.say(f"no picture: {error}")


def _picture(folder: Path, found: dict[str, Any]) -> Path:
    """Raster of the hidden spikes for one test sample of each class (ten at most), and the learning curve."""
    import torch

    from rheobase import plots, training
    from rheobase.data import batches
    from rheobase.plots.figure import save

    task = training.restore_task(folder)
    labels = task.test.labels
    shown = [int((labels == label).nonzero()[0]) for label in labels.unique()[:10]]
    samples = task.test[torch.tensor(shown)]
    batch = next(batches(samples, task.encode, len(shown)))
    torch.manual_seed(task.config.seed)
    layers = training.record_spikes(task.model, batch.sequence().to(task.device))
    if not layers:  # event-driven networks have no steps to draw
        return save(plots.learning_curve(found["epochs"], found["best_epoch"]), folder / "picture.png")
    spikes = next(iter(layers.values()))
    title = f"{task.config.neuron} on {task.config.data}: test accuracy {found['test']['accuracy']:.2%}"
    names = [str(int(label)) for label in samples.labels]
    return save(
        plots.training_overview(found["epochs"], found["best_epoch"], spikes.flatten(2), names, title),
        folder / "picture.png",
    )
