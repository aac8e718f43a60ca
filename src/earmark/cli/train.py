"""`earmark train`: a folder of sounds in, a model folder with its report out."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import typer

from earmark.cli.console import Console, need_extra, train_command
from earmark.cli.options import AsJson, Data, GroupBy, Layout, Overrides, RecipeName, Where
from earmark.formats.words import counted

if TYPE_CHECKING:
    from earmark.training.run import Result


def register(app: typer.Typer) -> None:
    app.command("train")(train)


def train(
    data: Data,
    out: Path = typer.Option(..., "--out", "-o", help="The model folder to write."),
    recipe: RecipeName = "small-cnn",
    overrides: Overrides = [],
    layout: Layout = None,
    where: Where = None,
    group_by: GroupBy = [],
    leave_out: list[str] = typer.Option(
        [], "--leave-out", help="A class not to train on, but to hear afterwards as an unknown sound. Repeatable."
    ),
    folds: int | None = typer.Option(None, "--folds", help="Cross-validate with so many folds, by group."),
    ensemble: bool = typer.Option(True, help="With --folds: bundle the folds' nets as one model."),
    seed: int | None = typer.Option(None, "--seed", help="The same seed gives the same result: --set training.seed."),
    device: str = typer.Option("auto", "--device", help="auto, cpu or cuda."),
    resume: bool = typer.Option(False, "--resume", help="Insist on going on from an unfinished run."),
    fresh: bool = typer.Option(False, "--fresh", help="Throw an unfinished run away and start anew."),
    replace: bool = typer.Option(False, "--replace", help="Write over a model that stands at --out."),
    allow_leak: bool = typer.Option(False, "--allow-leak", help="Go on with leaking splits; the report says so."),
    as_json: AsJson = False,
) -> None:
    """Train a tagger on a folder of sounds, evaluate it, and write its model folder and report."""
    console = Console(as_json=as_json)
    from earmark.cli.reading import read_for
    from earmark.recipes import load_recipe

    if seed is not None:
        overrides = [*overrides, f"training.seed={seed}"]
    chosen = load_recipe(recipe, overrides)
    data, manifest = read_for(chosen, data, where, layout, console)
    with need_extra("train"):
        from earmark.settings import keep_freed_memory, limit_native_threads

        limit_native_threads()
        keep_freed_memory()
        from earmark.training.run import train as run

    result = run(
        data,
        out,
        recipe=chosen,
        manifest=manifest,
        layout=layout,
        group_by=group_by,
        leave_out=leave_out,
        folds=folds,
        ensemble=ensemble,
        device=device,  # type: ignore[arg-type]  # choose_device refuses anything else by name
        resume=resume,
        fresh=fresh,
        replace_model=replace,
        allow_leak=allow_leak,
        progress=console.progress(),
    )
    show(console, result)
    report = out / "report" / "report.html"
    if folds and not ensemble:
        command = train_command(data, out.with_name(f"{out.name}-model"), recipe, overrides, layout, group_by)
        step = f"open {report}; train the model itself with `{command}`"
    else:
        step = f"look at {report}, then `earmark tag {quote(str(out))} new_sounds/`"
    console.finish(summary(result), step)


def show(console: Console, result: Result) -> None:
    """The figures that matter, with their intervals."""
    from rich.table import Table

    from earmark.reports.text import refusal_lines

    found = result.evaluations[result.judged]
    judge = {"folds": "each clip by the net that had not heard it", "test": "the test split"}
    clips, groups = counted(found.clips, "clip"), counted(found.groups, "group")
    console.say(f"\n{clips} judged ({judge.get(result.judged, result.judged)}), {groups}:")
    table = Table(box=None, show_header=False, padding=(0, 2))
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "lwlrap", "roc_auc_macro", "pr_auc_macro", "ece"):
        value = found.metrics.get(name)
        if value is None or value != value:  # NaN: the figure does not exist on these clips
            continue
        interval = found.intervals.get(name)
        spread = f"95 % interval {interval[0]:.3f} - {interval[1]:.3f}" if interval else ""
        table.add_row(name, f"{value:.3f}", spread)
    console.rich.print(table)
    if result.fold_metrics:
        name = "accuracy" if result.plan.manifest.is_exclusive else "lwlrap"
        folds = zip(result.plan.folds, result.fold_metrics, strict=True)
        console.say(f"{name} by fold: " + ", ".join(f"{fold}: {metrics[name]:.3f}" for fold, metrics in folds))
    for note in [*refusal_lines(found.unknown), *result.notes, *found.notes]:
        console.say(f"  - {note}")
    console.say(f"trained in {sum(fitted.seconds for fitted in result.fitted):.0f} s on {result.device}")


def summary(result: Result) -> dict[str, Any]:
    """What --json prints."""
    return {
        "model": str(result.out),
        "report": str(result.out / "report" / "report.html"),
        "judged_by": result.judged,
        "evaluations": {name: found.to_json() for name, found in result.evaluations.items()},
        "folds": result.plan.folds,
        "fold_metrics": result.fold_metrics,
        "refusal": result.refusal.model_dump(mode="json") if result.refusal else None,
        "clips": len(result.plan.manifest),
        "quarantine": [
            {"path": bad.path, "reason": str(bad.reason), "message": bad.message}
            for bad in result.plan.prepared.quarantine
        ],
        "recipe": result.plan.recipe.model_dump(mode="json"),
        "epochs": [fitted.epoch for fitted in result.fitted],
        "clips_per_s": [round(fitted.clips_per_s, 1) for fitted in result.fitted],
        "training_s": round(sum(fitted.seconds for fitted in result.fitted), 1),
        "device": result.device,
        "notes": result.notes,
    }
