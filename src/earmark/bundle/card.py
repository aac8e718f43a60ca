"""The model card: README.md of a model folder, with the front matter that the Hugging Face Hub reads.

Front matter as in https://huggingface.co/docs/hub/model-cards and, for `model-index`, `huggingface_hub.EvalResult`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import yaml

from earmark.bundle.schema import BundleHeader

_MOST_TAGS = 60
_METRICS = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "macro_f1": "Macro F1",
    "micro_f1": "Micro F1",
    "roc_auc_macro": "ROC-AUC, macro",
    "pr_auc_macro": "Average precision, macro",
    "lwlrap": "lwlrap",
}
# what people write -> the identifier that the Hub knows
_LICENCES = {
    "cc0": "cc0-1.0",
    "cc0-1.0": "cc0-1.0",
    "cc-by": "cc-by-4.0",
    "cc-by-3.0": "cc-by-3.0",
    "cc-by-4.0": "cc-by-4.0",
    "cc-by-sa-4.0": "cc-by-sa-4.0",
    "cc-by-nc-4.0": "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0": "cc-by-nc-sa-4.0",
    "mit": "mit",
    "apache-2.0": "apache-2.0",
}


def model_card(header: BundleHeader) -> str:
    """The text of README.md for the model that `header` describes.

    Figures, data and licences come from `header.provenance`; what is not in there is not claimed.
    """
    front = yaml.safe_dump(front_matter(header), sort_keys=False, allow_unicode=True, width=120)
    parts = [_what(header), _use(header), _figures(header), _data(header), _limits(header), _inside(header)]
    return f"---\n{front}---\n\n# {header.name}\n\n" + "\n\n".join(part for part in parts if part) + "\n"


def front_matter(header: BundleHeader) -> dict[str, Any]:
    """The metadata at the head of the card."""
    data = _section(header, "data")
    content: dict[str, Any] = {
        **_licence(data),
        "library_name": "earmark",
        "pipeline_tag": "audio-classification",
        "tags": ["audio", "audio-classification", "sound-event-detection", "earmark", "onnx"],
    }
    name = data.get("name")
    if isinstance(name, str) and name:
        content["datasets"] = [name]
    metrics = _metrics(header)
    if metrics:
        content["metrics"] = sorted({key for figures in metrics.values() for key in figures})
        content["model-index"] = [
            {
                "name": header.name,
                "results": [
                    {
                        "task": {"type": "audio-classification", "name": "Audio classification"},
                        "dataset": {"type": str(name or "unnamed"), "name": str(name or "unnamed"), "split": split},
                        "metrics": [
                            {"type": key, "name": _METRICS[key], "value": round(value, 6)}
                            for key, value in figures.items()
                        ],
                    }
                    for split, figures in metrics.items()
                ],
            }
        ]
    return content


def _what(header: BundleHeader) -> str:
    tags = header.vocabulary.tags
    kind = "exactly one tag a clip" if header.vocabulary.kind == "exclusive" else "any number of tags a clip"
    shown = ", ".join(f"`{_code(tag)}`" for tag in tags[:_MOST_TAGS])
    rest = f" and {len(tags) - _MOST_TAGS} more" if len(tags) > _MOST_TAGS else ""
    windows = header.windows
    return (
        f"Tags sounds: {len(tags)} tags, {kind}. It hears windows of {windows.length_s:g} s at "
        f"{windows.sample_rate_hz:,} Hz, mono; other rates and channels are converted.\n\nTags: {shown}{rest}."
    )


def _use(header: BundleHeader) -> str:
    return (
        "## How to use it\n\n"
        "```sh\n"
        "pip install earmark        # no torch needed\n"
        "earmark tag THIS_FOLDER recordings/ --out tags.csv\n"
        "```\n\n"
        "```python\n"
        "import earmark\n\n"
        'tagger = earmark.load("THIS_FOLDER")\n'
        'scores = tagger.tag("x.wav")\n'
        "scores.top(3)       # the likeliest tags of the recording\n"
        "scores.events()     # what is heard from when to when\n"
        "```\n\n"
        f"`model.onnx` runs in any ONNX runtime: `samples` (batch, {header.windows.length_samples}) float32 -> "
        f"`logits` (batch, {len(header.vocabulary.tags)}), `embedding` (batch, {header.embedding_size}). The features "
        "are computed inside. Logits become probabilities by the calibration in `earmark.json`."
    )


def _figures(header: BundleHeader) -> str:
    metrics = _metrics(header)
    if not metrics:
        return ""
    keys = [key for key in _METRICS if any(key in figures for figures in metrics.values())]
    lines = ["| | " + " | ".join(metrics) + " |", "| --- |" + " --- |" * len(metrics)]
    for key in keys:
        cells = (f"{figures[key]:.3f}" if key in figures else "" for figures in metrics.values())
        lines.append(f"| {_METRICS[key]} | " + " | ".join(cells) + " |")
    return (
        "## How good it is\n\n"
        + "\n".join(lines)
        + "\n\nIntervals, curves, the confusion matrix and the worst mistakes are in `report/report.html`. "
        "`earmark evaluate THIS_FOLDER your_sounds/` measures it on yours."
    )


def _data(header: BundleHeader) -> str:
    data = _section(header, "data")
    if not data:
        return ""
    lines = ["## What it was trained on", ""]
    for key, words in (
        ("name", "data set"),
        ("clips_trained_on", "clips"),
        ("groups", "groups never split"),
        ("fingerprint", "fingerprint"),
    ):
        if data.get(key) not in (None, ""):
            lines.append(f"- {words}: `{_code(data[key])}`")
    licences = data.get("licences")
    named = ", ".join(map(str, licences)) if isinstance(licences, list) and licences else "not stated by the data set"
    lines.append(f"- licences of the recordings: {named}. Whether they bind this model is for you to judge.")
    lines.append("- `seen.parquet` holds hashes of the audio, so that an evaluation can leave it out.")
    return "\n".join(lines)


def _limits(header: BundleHeader) -> str:
    lines = ["## Limits", ""]
    if header.vocabulary.kind == "exclusive":
        lines.append("- It always names exactly one of its tags, also when several are heard at once, or none.")
    if header.refusal is None:
        lines.append("- It cannot tell sounds that it was never trained on: their tags mean nothing.")
    else:
        share = header.refusal.false_refusals
        known = f" (and about {share:.0%} of known ones)" if share is not None else ""
        lines.append(
            f"- It marks sounds unlike its training set as unknown{known}; that catches many, not all. "
            "`earmark tag --refuse` acts on it."
        )
        left_out = header.refusal.details.get("left_out")
        if header.refusal.auroc is not None and isinstance(left_out, list):
            names = ", ".join(_code(tag) for tag in left_out)
            lines.append(
                f"- Measured on sounds that were left out of its training ({names}): AUROC of unknown against known "
                f"{header.refusal.auroc:.3f}, where 0.5 is guessing."
            )
    lines.append(
        f"- A sound much shorter than a window ({header.windows.length_s:g} s) is heard among what surrounds it, and "
        "its times are no finer than a window."
    )
    lines.append(
        "- The figures above are of recordings like those it was trained on. Other microphones, places, codecs and "
        "noise make them worse: measure on your own before you rely on it."
    )
    lines.append("- It is not made for decisions about people, or where a miss endangers anybody.")
    return "\n".join(lines)


def _inside(header: BundleHeader) -> str:
    provenance = header.provenance
    lines = ["## How it came to be", "", f"- net: `{_code(header.architecture.name)}`"]
    if header.members > 1:
        lines[-1] += f", the mean of {header.members} of them"
    for key, words in (("recipe_name", "recipe"), ("seed", "seed"), ("created", "trained"), ("device", "on")):
        if provenance.get(key) not in (None, ""):
            lines.append(f"- {words}: `{_code(provenance[key])}`")
    versions = _section(header, "versions")
    if versions:
        lines.append("- versions: " + ", ".join(f"{name} {number}" for name, number in versions.items()))
    lines.append("- everything else, the whole recipe included, is in `earmark.json`")
    return "\n".join(lines)


def _metrics(header: BundleHeader) -> dict[str, dict[str, float]]:
    """split -> metric -> value, those that have a name here and a number."""
    found: dict[str, dict[str, float]] = {}
    for split, figures in _section(header, "metrics").items():
        if isinstance(figures, Mapping):
            known = {
                key: float(figures[key])
                for key in _METRICS
                if isinstance(figures.get(key), int | float) and math.isfinite(figures[key])
            }
            if known:
                found[str(split)] = known
    return found


def _licence(data: Mapping[str, Any]) -> dict[str, str]:
    licences = data.get("licences")
    names = [str(name) for name in licences] if isinstance(licences, list) else []
    if not names:
        return {"license": "unknown"}
    known = {_LICENCES.get(name.strip().lower().replace(" ", "-")) for name in names}
    single = known.pop() if len(known) == 1 else None
    return {"license": single} if single else {"license": "other", "license_name": "of-the-training-recordings"}


def _section(header: BundleHeader, name: str) -> Mapping[str, Any]:
    section = header.provenance.get(name)
    return section if isinstance(section, Mapping) else {}


def _code(value: object) -> str:
    """Text that may stand between backticks, on one line."""
    return " ".join(str(value).replace("`", "'").split())
