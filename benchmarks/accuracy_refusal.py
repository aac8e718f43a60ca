"""Refusal of unknown sounds: a model trained without three classes of ESC-10 hears them.

AUROC of each refusal score, known test clips against clips of the left-out classes, and how many of each the threshold
refuses. Trains one net with the default recipe: some five minutes on two cores.
"""

from __future__ import annotations

from dataclasses import replace

from benchmarks.harness import WORK, Figure, data_dir, finish
from earmark.settings import limit_native_threads, load_settings

limit_native_threads()

import numpy as np  # noqa: E402 - the thread pools read the environment when they are imported
import pandas as pd  # noqa: E402

from earmark import layouts  # noqa: E402
from earmark.data.manifest import Manifest  # noqa: E402
from earmark.evaluation.calibrate import left_out_auroc  # noqa: E402
from earmark.evaluation.predict import predict  # noqa: E402
from earmark.recipes import load_recipe  # noqa: E402
from earmark.tagging.tagger import load  # noqa: E402
from earmark.training.run import train  # noqa: E402
from earmark.types import Vocabulary  # noqa: E402

LEFT_OUT = ("dog", "rain", "helicopter")
TARGET = 0.75


def main() -> None:
    whole = layouts.read(data_dir() / "esc10")
    unknown = np.array([whole.labels_of(i)[0] in LEFT_OUT for i in range(len(whole))])
    table = WORK / "refusal" / "known.csv"
    table.parent.mkdir(parents=True, exist_ok=True)
    known = whole.take(~unknown)
    labels = [known.labels_of(i)[0] for i in range(len(known))]
    pd.DataFrame({"path": known.rows["uri"], "labels": labels, "group": known.rows["group"]}).to_csv(table, index=False)
    out = WORK / "refusal" / "model"
    result = train(table, out, recipe=load_recipe("small-cnn"), replace_model=True)
    tagger = load(out)
    manifests = {name: result.plan.manifest.take(result.plan.rows(name)) for name in ("train", "val", "test")}
    manifests["unknown"] = unlabelled(whole.take(unknown), tagger.vocabulary)
    workers = load_settings().workers
    heard = {name: predict(tagger, manifest, workers=workers)[0] for name, manifest in manifests.items()}
    found = left_out_auroc(heard["train"], heard["val"], heard["test"], heard["unknown"])
    note = f"refused: {found['refused']:.0%} of {len(heard['unknown'])} unknown, {found['false_refusals']:.0%} of known"
    finish(
        "accuracy_refusal",
        [Figure("refusal-auroc-left-out-classes", found["combined"], TARGET, "higher", note=note)],
        baseline="chance is 0.5; energy and largest logit beside it under extra",
        extra={**found, "left out": LEFT_OUT, "accuracy": result.evaluations["test"].metrics["accuracy"]},
    )


def unlabelled(strangers: Manifest, vocabulary: Vocabulary) -> Manifest:
    """The clips under the model's tags, of which none is known of them."""
    nothing = np.zeros((len(strangers), len(vocabulary)), np.float32)
    return replace(strangers, targets=nothing, weights=nothing, vocabulary=vocabulary)


if __name__ == "__main__":
    main()
