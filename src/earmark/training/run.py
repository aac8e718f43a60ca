"""`earmark train`: a folder of sounds and a Recipe in, a model folder with its report out."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from earmark import layouts
from earmark.bundle.save import check_target
from earmark.bundle.schema import Refusal
from earmark.data.manifest import Manifest
from earmark.data.splits import fold_split
from earmark.errors import InputError, Interrupted
from earmark.evaluation.evaluate import Evaluation
from earmark.formats.words import counted
from earmark.recipes import Recipe, render_recipe
from earmark.settings import Settings, load_settings
from earmark.training.device import Device, DeviceChoice, choose_device
from earmark.training.feeding import Task
from earmark.training.finish import finish
from earmark.training.fit import epochs_of, fit
from earmark.training.judging import Trained
from earmark.training.keeping import Fitted
from earmark.training.module import mixed_seed
from earmark.training.plan import Plan, make_plan, rows_of
from earmark.types import Progress, Quiet

log = logging.getLogger("earmark.training")


@dataclass(frozen=True)
class Result:
    """What a training left behind.

    Attributes:
        out: the model folder.
        plan: the data as it was used.
        evaluations: by split: `test` and `val`, or `folds` for a cross-validation.
        fold_metrics: one dict of metrics a fold, in the order of `plan.folds`; empty without folds.
        fitted: the nets, one or one a fold.
        device: for people.
        notes: also in the report.
        refusal: of unknown sounds, as the model folder holds it; None where it could not be set.
    """

    out: Path
    plan: Plan
    evaluations: dict[str, Evaluation]
    fold_metrics: list[dict[str, float]]
    fitted: list[Fitted]
    device: str
    notes: list[str]
    refusal: Refusal | None = None

    @property
    def judged(self) -> str:
        """The split that the model should be judged by."""
        return next(name for name in ("folds", "test", "val", "train") if name in self.evaluations)


def train(
    data: Path,
    out: Path,
    *,
    recipe: Recipe,
    manifest: Manifest | None = None,
    layout: str | None = None,
    group_by: Sequence[str] = (),
    leave_out: Sequence[str] = (),
    folds: int | None = None,
    ensemble: bool = True,
    device: DeviceChoice = "auto",
    resume: bool = False,
    fresh: bool = False,
    replace_model: bool = False,
    allow_leak: bool = False,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Result:
    """Train on `data` as `recipe` says, and write the model folder `out`.

    Unfinished work lies in a folder beside `out` (`.NAME.training`) until the model is whole. The same command goes
    on from there by itself.

    Args:
        data: a folder of sounds in a known layout, or a manifest.
        out: the model folder to write.
        manifest, layout, group_by, leave_out, folds, allow_leak: see `earmark.training.plan.make_plan`.
        ensemble: with `folds`: bundle the folds' nets as one model; else only the report is written.
        device: auto, cpu or cuda.
        resume: insist on going on from unfinished work; `fresh`: throw it away.
        replace_model: write over a model that stands at `out`.

    Raises:
        InputError: bad data, recipe or target; TrainingError: a failed run; Interrupted: Ctrl-C or SIGTERM, and the
            work is kept.
    """
    settings = settings or load_settings()
    progress = progress or Quiet()
    keep_model = ensemble or folds is None
    if not keep_model and out.exists() and any(out.iterdir()):
        raise InputError(f"{out}: holds files already; a cross-validation without a model needs a folder of its own.")
    check_target(out, replace=replace_model)
    if manifest is None:  # before anything is said of a device: most mistakes are in a folder's name
        manifest = layouts.read(data, layout=layout)
    chosen = choose_device(device, recipe.training.precision)
    log.info("training on %s", chosen.sentence)
    plan = make_plan(
        data,
        recipe,
        manifest=manifest,
        layout=layout,
        group_by=group_by,
        leave_out=leave_out,
        folds=folds,
        allow_leak=allow_leak,
        settings=settings,
        progress=progress,
    )
    work = _workplace(out, plan, resume=resume, fresh=fresh)
    try:
        members = _cross_validate(plan, chosen, work, progress) if folds else [_single(plan, chosen, work, progress)]
        notes = [*plan.notes, *_notes_of(plan, members)]
        judged = finish(
            plan, members, out, work, notes, chosen, keep_model=keep_model, progress=progress, replace=replace_model
        )
    except KeyboardInterrupt:
        raise Interrupted(f"stopped; what is done lies in {work}, the same command goes on from there.") from None
    shutil.rmtree(work)
    return Result(
        out=out,
        plan=plan,
        evaluations=judged.evaluations,
        fold_metrics=judged.fold_metrics,
        fitted=[member.fitted for member in members],
        device=chosen.sentence,
        notes=[*notes, *judged.notes],
        refusal=judged.refusal,
    )


def _single(plan: Plan, device: Device, work: Path, progress: Progress) -> Trained:
    rows = {name: plan.rows(name) for name in ("train", "val", "test")}
    task = Task(plan.prepared, rows["train"], rows["val"], plan.recipe, plan.recipe.training.seed, work / "net")
    log.info(
        "%d clips to train on, %d to watch, %d to judge by; %s",
        *(len(rows[name]) for name in ("train", "val", "test")),
        counted(epochs_of(plan.recipe, len(rows["train"])), "epoch"),
    )
    return Trained(task, fit(task, device, progress=progress), rows["test"])


def _cross_validate(plan: Plan, device: Device, work: Path, progress: Progress) -> list[Trained]:
    """One net a fold. Where nothing is chosen by validation, all of the other folds are trained on."""
    training = plan.recipe.training
    chooses = training.checkpoint == "best" or training.patience is not None
    members: list[Trained] = []
    for place, fold in enumerate(plan.folds):
        seed = mixed_seed(training.seed, 100 + place)
        parted = fold_split(plan.manifest, fold, val=plan.recipe.split.val if chooses else 0.0, seed=plan.split_seed)
        prepared = replace(plan.prepared, manifest=parted)
        rows = {name: rows_of(parted, name) for name in ("train", "val", "test")}
        task = Task(prepared, rows["train"], rows["val"], plan.recipe, seed, work / f"fold-{fold}")
        log.info("fold %d (%d of %d): %d clips to train on", fold, place + 1, len(plan.folds), len(rows["train"]))
        members.append(Trained(task, fit(task, device, progress=progress), rows["test"]))
    return members


def _notes_of(plan: Plan, members: list[Trained]) -> list[str]:
    named = [f"fold {fold}: " for fold in plan.folds] or [""]
    return [fold + note for fold, member in zip(named, members, strict=True) for note in member.fitted.notes]


def _workplace(out: Path, plan: Plan, *, resume: bool, fresh: bool) -> Path:
    """The folder of unfinished work; what is in it must be of the same data and recipe."""
    work = out.absolute().parent / f".{out.absolute().name}.training"
    audio = [plan.prepared.audio_hash(i) for i in range(len(plan.manifest))]
    data = hashlib.sha256("".join([plan.manifest.fingerprint(), *audio]).encode()).hexdigest()
    state: dict[str, Any] = {"data": data, "recipe": render_recipe(plan.recipe), "folds": plan.k}
    marker = work / "state.json"
    if fresh and work.exists():
        shutil.rmtree(work)
    if marker.exists():
        found = json.loads(marker.read_text(encoding="utf-8"))
        if found != state:
            changed = [name for name in state if found.get(name) != state[name]]
            raise InputError(
                f"{work}: unfinished training of other {' and '.join(changed)} lies there; run it to its end with the "
                "same data and recipe, use another --out, or --fresh to throw it away."
            )
        log.info("going on from the unfinished training in %s", work)
    elif resume:
        raise InputError(
            f"--resume: no unfinished training of {out} was found (looked in {work}); leave the option out."
        )
    else:
        try:
            work.mkdir(parents=True, exist_ok=True)
            part = work / "state.part"
            part.write_text(json.dumps(state), encoding="utf-8")
            part.replace(marker)
        except OSError as error:
            raise InputError(f"{work}: cannot be written ({error.strerror}); choose another --out.") from None
    return work
