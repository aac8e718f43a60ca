"""Judge a model folder by a labelled folder of sounds: what `earmark evaluate` does."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earmark.audio.read import read as read_audio
from earmark.audio.signal import fit, resample
from earmark.data.manifest import Manifest
from earmark.data.prepared import Quarantined
from earmark.data.splits import group_by
from earmark.errors import InputError, MissingExtraError
from earmark.evaluation.calibrate import probabilities_of
from earmark.evaluation.evaluate import evaluate, evaluate_strangers
from earmark.evaluation.match import Matched, match_tags
from earmark.evaluation.predict import Predicted, predict_rows
from earmark.features.reference import log_mel
from earmark.formats.words import counted
from earmark.layouts import read as read_layout
from earmark.metrics.results import ClipPredictions, Evaluation, plain
from earmark.tagging.tagger import Tagger, load
from earmark.types import Progress, Quiet, Samples

_log = logging.getLogger("earmark.evaluation")
_QUIET = Quiet()

SPLIT = "data"  # what the report calls the clips of an evaluation
_PICTURE_S = 12.0


@dataclass(frozen=True, eq=False)
class Judged:
    """What `judge` found.

    Attributes:
        evaluation: the figures.
        clips: the answers behind them.
        manifest: of the data, under the model's vocabulary.
        quarantine: files that could not be used.
        left_out_seen: clips left out because the model was trained on that very audio.
        files: recordings judged.
        matched: how the data's tags met the model's.
    """

    evaluation: Evaluation
    clips: ClipPredictions
    manifest: Manifest
    quarantine: list[Quarantined]
    left_out_seen: int
    files: int
    matched: Matched

    def to_json(self) -> dict[str, Any]:
        result: dict[str, Any] = self.evaluation.to_json() | {
            "files": self.files,
            "quarantine": [{"path": q.path, "reason": str(q.reason), "message": q.message} for q in self.quarantine],
            "left_out_seen": self.left_out_seen,
            "unknown_tags": list(self.matched.new_tags),
            "absent_tags": list(self.matched.absent_tags),
        }
        return result


def judge(
    tagger: Tagger,
    data: Path,
    *,
    layout: str | None = None,
    groups: Sequence[str] = (),
    include_seen: bool = False,
    unknown: bool = False,
    drawn: bool = False,
    workers: int = 1,
    timeout_s: float = 60.0,
    seed: int = 0,
    progress: Progress = _QUIET,
) -> Judged:
    """Figures of `tagger` on the labelled sounds of `data`.

    Where `unknown` and all clips are of tags that the model does not know, there is one figure: the share refused.

    Args:
        layout: of the data; None: found by looking.
        groups: patterns on the file name that say what belongs together (see `data.splits.group_by`).
        include_seen: judge by audio the model was trained on too; such figures flatter.
        unknown: count clips of tags the model does not know as unknown sounds instead of refusing the data.
        drawn: a report is to be made of it, which needs clips of tags that the model knows.
        seed: of the bootstrap.

    Raises:
        InputError: tags the model does not know, nothing in common, or no clip left to judge by.
    """
    manifest = read_layout(data, layout=layout)
    if groups:
        manifest = group_by(manifest, groups)
    matched = match_tags(manifest, tagger.vocabulary, unknown=unknown)
    if matched.absent_tags:
        _log.info("%s says nothing about %d of the model's tags", manifest.name, len(matched.absent_tags))
    seen = frozenset() if include_seen else tagger.bundle.seen()
    if matched.only_strangers:
        if drawn:
            raise InputError(
                f"{manifest.name}: holds none of the model's tags, and a report is drawn of clips that the model "
                "knows; put such beside them, or leave out --out."
            )
        return _judge_strangers(tagger, matched, seen, workers, timeout_s, progress)
    found = predict_rows(tagger, matched.known, seen=seen, workers=workers, timeout_s=timeout_s, progress=progress)
    strange = _strange(tagger, matched.unknown, seen, workers, timeout_s, progress)
    header = tagger.header
    reference = tagger.bundle.reference() if header.refusal is not None else None
    evaluation = evaluate(
        found.clips,
        header.calibration,
        header.thresholds,
        reference=reference,
        unknown_clips=strange.clips if strange else None,
        seed=seed,
    )
    return Judged(
        evaluation=evaluation,
        clips=found.clips,
        manifest=matched.known.take(found.rows),
        quarantine=[*found.quarantine, *(strange.quarantine if strange else [])],
        left_out_seen=len(found.seen),
        files=len(set(found.clips.uris)),
        matched=matched,
    )


def _judge_strangers(
    tagger: Tagger, matched: Matched, seen: frozenset[str], workers: int, timeout_s: float, progress: Progress
) -> Judged:
    strange = _strange(tagger, matched.unknown, seen, workers, timeout_s, progress)
    assert strange is not None  # matched.only_strangers: there are some
    assert tagger.header.refusal is not None  # or _strange had raised
    notes = ["None of the model's tags is in the data: no figure but the refusal's, and nothing to set that against."]
    expected = tagger.header.refusal.false_refusals
    if expected is not None:
        notes.append(f"Of sounds that it knows, {100 * expected:.1f} % were refused when it was made.")
    if len(matched.known):
        notes.append(f"Left out: {counted(len(matched.known), 'clip')} without any label.")
    return Judged(
        evaluation=evaluate_strangers(strange.clips, tagger.bundle.reference(), tuple(notes)),
        clips=strange.clips,
        manifest=matched.unknown.take(strange.rows),
        quarantine=strange.quarantine,
        left_out_seen=len(strange.seen),
        files=len(set(strange.clips.uris)),
        matched=matched,
    )


def _strange(
    tagger: Tagger, manifest: Manifest, seen: frozenset[str], workers: int, timeout_s: float, progress: Progress
) -> Predicted | None:
    if not len(manifest):
        return None
    if tagger.header.refusal is None:
        raise InputError(
            f"{tagger.bundle.path}: the model holds no refusal of unknown sounds, so --unknown has nothing to judge; "
            "train it again or leave out --unknown."
        )
    return predict_rows(tagger, manifest, seen=seen, workers=workers, timeout_s=timeout_s, progress=progress)


def write_evaluation_report(folder: Path, judged: Judged, tagger: Tagger) -> Path:
    """The report of an evaluation into `folder`; returns report.html.

    Raises:
        MissingExtraError: matplotlib or jinja2 is not installed.
    """
    try:
        from earmark.reports.content import ReportContent
        from earmark.reports.html import write_report
        from earmark.reports.tables import data_table
    except ImportError as error:
        raise MissingExtraError(
            f'a report needs {error.name}: pip install "earmark[train]", or leave out --out.'
        ) from error
    notes = [f"{q.path}: {q.message}" for q in judged.quarantine]
    if judged.left_out_seen:
        left_out = counted(judged.left_out_seen, "clip was", "clips were")
        notes.append(f"{left_out} left out because the model was trained on that very audio.")
    if judged.matched.absent_tags:
        notes.append(f"The data says nothing about: {', '.join(judged.matched.absent_tags)}.")
    header = tagger.header

    def samples_of(split: str, clip: int) -> tuple[Samples, int]:
        return _samples(judged.clips, clip)

    def picture_of(split: str, clip: int) -> npt.NDArray[np.float32]:
        samples, rate = samples_of(split, clip)
        at_rate = resample(samples[: round(_PICTURE_S * rate)], rate, tagger.sample_rate_hz)
        picture: npt.NDArray[np.float32] = log_mel(
            fit(at_rate, header.front_end.n_samples, header.windows.padding), header.front_end
        )[0]
        return picture

    content = ReportContent(
        title=f"{header.name} on {judged.manifest.name}",
        vocabulary=judged.clips.vocabulary,
        evaluations={SPLIT: judged.evaluation},
        predictions={SPLIT: judged.clips},
        probabilities={SPLIT: probabilities_of(judged.clips, header.calibration)},
        data_table=data_table(judged.manifest.with_rows(split="")),
        notes=notes,
        provenance={
            "model": tagger.bundle.path,
            "bundle hash": tagger.bundle.hash,
            "data": {"folder": str(judged.manifest.root), "fingerprint": judged.manifest.fingerprint()},
        },
        samples_of=samples_of,
        spectrogram_of=picture_of,
    )
    return write_report(folder, content)[0]


def _samples(clips: ClipPredictions, clip: int) -> tuple[Samples, int]:
    start, stop = float(clips.start_s[clip]), float(clips.stop_s[clip])
    audio = read_audio(
        clips.uris[clip],
        start_s=0.0 if np.isnan(start) else start,
        stop_s=None if np.isnan(stop) else stop,
    )
    return audio.samples, audio.sample_rate_hz


def evaluate_model(model: Path, data: Path, *, out: Path | None = None, **choices: Any) -> tuple[Judged, Path | None]:
    """`judge` the model folder `model` by `data` and, with `out`, write the report there; returns its path."""
    tagger = load(model)
    judged = judge(tagger, data, drawn=out is not None, **choices)
    report = write_evaluation_report(out, judged, tagger) if out is not None else None
    return judged, report


def to_json(judged: Judged, report: Path | None) -> dict[str, Any]:
    """What `earmark evaluate --json` prints."""
    result: dict[str, Any] = plain(judged.to_json() | {"report": None if report is None else str(report)})
    return result
