"""Refusal of unknown sounds: a model trained without three classes of ESC-10 hears them.

AUROC of each refusal score, known test clips against clips of the left-out classes, and how many of each the threshold
refuses. Trains one net with the default recipe: some five minutes on two cores.
"""

from __future__ import annotations

from benchmarks.harness import WORK, Figure, data_dir, finish
from earmark.settings import limit_native_threads

limit_native_threads()

from earmark.recipes import load_recipe  # noqa: E402 - the thread pools read the environment when they are imported
from earmark.training.run import train  # noqa: E402

LEFT_OUT = ("dog", "rain", "helicopter")
TARGET = 0.75


def main() -> None:
    out = WORK / "refusal" / "model"
    recipe = load_recipe("small-cnn")
    result = train(data_dir() / "esc10", out, recipe=recipe, leave_out=LEFT_OUT, replace_model=True)
    assert result.refusal is not None
    found = result.evaluations[result.judged].unknown
    note = f"refused: {found['refused']:.0%} of {found['clips']:.0f} unknown, {found['known_refused']:.0%} of known"
    finish(
        "accuracy_refusal",
        [Figure("refusal-auroc-left-out-classes", found["auroc"], TARGET, "higher", note=note)],
        baseline="chance is 0.5; energy and largest logit beside it under extra",
        extra={**found, **result.refusal.details, "accuracy": result.evaluations["test"].metrics["accuracy"]},
    )


if __name__ == "__main__":
    main()
