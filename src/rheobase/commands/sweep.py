"""`rheobase sweep`: hyperparameter search."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from rheobase.commands import flags, terminal


@dataclass(frozen=True)
class Options:
    """What `rheobase sweep` needs besides the config."""

    neurons: str | None = None
    """Neurons, separated by commas, each with the same space and budget; none: the recipe's own."""
    trials: int = 20
    """Budget of each neuron: trials that end, pruned ones included."""
    prune: bool = True
    """Stop trials that are below the median of the others at the same epoch."""
    sampler_seed: int = 0
    """Seed of the search; the runs have the config's."""
    seeds: str | None = None
    """Then train the best settings with these seeds, separated by commas, and evaluate the test set once for each."""
    final_epochs: int | None = None
    """Epochs of these last runs; default: as many as a trial."""
    out: Path | None = None
    """Folder of the study. The same command with the same folder joins it, or carries it on."""
    storage: str | None = None
    """Address of a database for several machines, as postgresql://user@host/name; default: a journal in the folder."""
    result: Path | None = None
    """Also write the report to this .json file and the figure beside it."""


def run(arguments: list[str]) -> int:
    """Search settings by validation accuracy: `rheobase sweep [RECIPE] --neurons lif,qif --trials 20 --out FOLDER`."""
    from rheobase.training import sweep

    config, options = flags.with_config(Options, arguments, "sweep")
    if options.neurons:
        flags.refuse_one_neuron(arguments, "sweep")
    if options.trials < 1:
        raise ValueError(f"sweep: needs at least one trial; got {options.trials}.")
    flags.check_result(options.result, "sweep")
    seeds = flags.numbers(options.seeds, "sweep") if options.seeds is not None else []
    plans, command, reports = _plans(config, options, seeds), flags.line("sweep", arguments), {}
    with flags.folder(options.out, Path("runs") / f"sweep-{config.recipe}".replace("/", "-")) as folder:
        how = {"command": command, "again": flags.again("sweep", arguments, folder), "console": terminal.console}
        terminal.say(f"study in {folder}; to join or resume it: {how['again']}")
        for spec, plan in plans.items():
            study = sweep.sweep(plan, _name(spec), folder, options.storage, **how)
            reports[spec] = {**plan.as_dict(), **sweep.report(study)}
            _print_report(spec, reports[spec])
            if seeds and reports[spec]["best"]:
                best = _final(plan, options, reports[spec]["best"]["settings"])
                reports[spec]["final"] = _train(best, seeds, folder / _name(spec) / "best", how)
        _write(reports, folder, options.result, command, config.recipe)
    return 0


def _plans(config: Any, options: Options, seeds: list[int]) -> dict[str, Any]:
    """What to search for every neuron.

    Errors: ValueError for a neuron, an option, a space, a seed or final epochs that cannot be, before the first trial.
    """
    from rheobase import recipes
    from rheobase.training import space, sweep, task

    specs, searched = flags.neurons(options.neurons or config.neuron, "sweep"), recipes.space(config)
    rest = (searched, options.trials, options.prune, options.sampler_seed)
    plans = {spec: sweep.Plan(config.with_neuron(spec), *rest) for spec in specs}
    space.check(searched)
    for plan in plans.values():
        ends = space.ends(searched)
        finals = [_final(plan, options, values).but(seed=seed) for values in ends for seed in seeds]
        task.check([*(space.changed(plan.config, values) for values in ends), *finals[:1]])
    return plans


def _final(plan: Any, options: Options, settings: dict[str, Any]) -> Any:
    """The config of the last runs."""
    from rheobase.training.space import changed

    epochs = plan.config.epochs if options.final_epochs is None else options.final_epochs
    return changed(plan.config, settings).but(epochs=epochs)


def _train(config: Any, seeds: list[int], folder: Path, how: dict[str, Any]) -> dict[str, Any]:
    """Train the best settings with every seed, one process at a time; what is complete is not trained again."""
    from rheobase import training
    from rheobase.training import sweep

    for seed in seeds:
        with sweep.locked(folder / f"seed{seed}.{sweep.LOCK}"):
            training.compare(config, [config.neuron], [seed], folder, **how)
    (row,) = training.compare(config, [config.neuron], seeds, folder)
    mean, spread = row.summary("accuracy")
    terminal.say(f"test accuracy  {mean:.2%} ± {spread:.2%}, {len(seeds)} seeds")
    keys = ("test", "best_epoch", "seconds", "parameters", "epochs", "config")
    return {"mean": mean, "spread": spread, "runs": [{key: one[key] for key in keys} for one in row.records]}


def _name(spec: str) -> str:
    from rheobase.neurons.named import slug

    return slug(spec).replace("=", "-")


def _print_report(spec: str, found: dict[str, Any]) -> None:
    best = found["best"]
    if best is None:
        return terminal.say(f"{spec}: no trial is complete")
    states = [trial["state"] for trial in found["trials"]]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    terminal.say(f"\n{spec}: best validation accuracy {best['accuracy']:.2%}, trial {best['trial']} ({counts})")
    table = Table("setting", "best value", "importance", box=None)
    for name, value in best["settings"].items():
        importance = found["importance"].get(name)
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        table.add_row(name, shown, "" if importance is None else f"{importance:.2f}")
    terminal.console.print(table)


def _write(reports: dict[str, Any], folder: Path, result: Path | None, command: str, recipe: str) -> None:
    from rheobase import plots
    from rheobase.plots.figure import save
    from rheobase.training import record

    content = {**record.circumstances(command), "recipe": recipe, "studies": reports}
    for path in [folder / "sweep.json", *([] if result is None else [result])]:
        record.write(path, content)
        terminal.say(f"report         {path}")
        try:
            made = plots.sweep_overview(reports, f"{recipe}: {len(reports)} neurons, one space, one budget")
            terminal.say(f"picture        {save(made, path.with_suffix('.png'))}")
        except ModuleNotFoundError as error:
            terminal.say(f"no picture: {error}")
