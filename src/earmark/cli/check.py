"""`earmark check`: look at what a training would do, without training."""

from __future__ import annotations

from pathlib import Path

import typer

from earmark.cli.console import Console, need_extra, train_command
from earmark.cli.options import AsJson, Data, GroupBy, Layout, Overrides, RecipeName, Where
from earmark.formats.words import counted


def register(app: typer.Typer) -> None:
    app.command("check")(check)


def check(
    data: Data,
    recipe: RecipeName = "small-cnn",
    overrides: Overrides = [],
    layout: Layout = None,
    where: Where = None,
    group_by: GroupBy = [],
    folds: int | None = typer.Option(None, "--folds", help="Check the folds of a cross-validation."),
    out: Path = typer.Option(Path("check.png"), "--out", "-o", help="Where the picture of labelled spectrograms goes."),
    allow_leak: bool = typer.Option(False, "--allow-leak", help="Go on with leaking splits, to see the rest."),
    as_json: AsJson = False,
) -> None:
    """Show counts, batch shapes and ranges, pictures before and after augmentation; learn one batch by heart."""
    console = Console(as_json=as_json)
    from earmark.cli.reading import read_for
    from earmark.recipes import load_recipe

    chosen = load_recipe(recipe, overrides)
    data, manifest = read_for(chosen, data, where, layout, console)
    with need_extra("train"):
        from earmark.settings import keep_freed_memory, limit_native_threads

        limit_native_threads()
        keep_freed_memory()
        from earmark.training.check import check as run
        from earmark.training.plan import make_plan

    plan = make_plan(
        data,
        chosen,
        manifest=manifest,
        layout=layout,
        group_by=group_by,
        folds=folds,
        allow_leak=allow_leak,
        progress=console.progress(),
    )
    found = run(plan, out)
    groups = int(plan.manifest.rows["group"].nunique())
    console.say(
        f"{data}: layout {plan.manifest.layout}, {counted(len(plan.manifest), 'clip')}, {counted(groups, 'group')}"
    )
    console.say(found.counts.to_string())
    console.say("\nfront end, step by step:")
    for line in found.lines:
        console.say(f"  {line}")
    console.say(
        f"\nbatch {found.shape}: samples {found.samples[0]:.2f} .. {found.samples[1]:.2f}, "
        f"features {found.features[0]:.2f} .. {found.features[1]:.2f}"
    )
    console.say(f"net {plan.recipe.model.name}: {found.parameters:,} parameters; {counted(found.epochs, 'epoch')}")
    console.say(f"check {'passed' if found.one_batch.passed else 'FAILED'}: {found.one_batch.sentence}")
    for note in plan.notes:
        console.say(f"  - {note}")
    result = {
        "layout": plan.manifest.layout,
        "clips": len(plan.manifest),
        "groups": groups,
        "counts": found.counts.to_dict(orient="index"),
        "front_end": found.lines,
        "batch_shape": list(found.shape),
        "samples_range": list(found.samples),
        "features_range": list(found.features),
        "parameters": found.parameters,
        "epochs": found.epochs,
        "one_batch": {
            "passed": found.one_batch.passed,
            "clips": found.one_batch.clips,
            "steps": found.one_batch.steps,
            "loss_before": found.one_batch.loss_before,
            "loss_after": found.one_batch.loss_after,
            "guessing": found.one_batch.guessing,
        },
        "picture": str(found.picture),
        "notes": plan.notes,
    }
    good = f"look at {out}, then `{train_command(data, Path('model'), recipe, overrides, layout, group_by)}`"
    bad = "look for contradicting labels, or change optimiser.learning_rate: what cannot learn one batch learns nothing"
    console.finish(result, good if found.one_batch.passed else bad)
