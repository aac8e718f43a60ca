"""Is this sound of a kind the model has never learnt? Scores from embeddings and logits; higher = more unknown.

Components, each known from the literature:
  mahalanobis  distance of the embedding to the nearest class mean under one shared covariance
               (Lee et al., A simple unified framework for detecting out-of-distribution samples, NeurIPS 2018)
  energy       minus the free energy of the logits: -logsumexp(z) for exclusive vocabularies, -sum softplus(z) for
               multilabel ones (Liu et al., Energy-based OOD detection, NeurIPS 2020; Wang et al., NeurIPS 2021)
  max_logit    minus the largest logit (Hendrycks et al., Scaling OOD detection for real-world settings, ICML 2022)

A window's score is the mean of the chosen components, each as a z-score against the validation windows (median, and
the spread from median to 84 % quantile), so that no component's unit decides. A clip's score is the median of its
windows', the lower one of two: it is above the threshold where more than half of the windows are, which is when
`Scores.is_unknown` calls a recording unknown. Only numpy is needed to score.

The default is the distance alone, by measurement: over twelve small nets (three of ten classes of ESC-10, of
instruments and of spoken digits left out, four draws each) its mean AUROC was 0.68, that of
energy, largest logit and softmax 0.53, and every mean of the distance with one of those was below the distance alone.
`evaluation.calibrate.left_out_auroc` measures it again for any model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from earmark.errors import InputError
from earmark.metrics.classification import Bools, Floats, Ints
from earmark.metrics.ranking import roc_auc
from earmark.types import VocabularyKind

COMPONENTS = ("mahalanobis", "energy", "max_logit")
DEFAULT = ("mahalanobis",)
REFUSED_PART = 0.05  # of windows of known kinds, in groups that were not heard before
QUANTILES = np.linspace(0, 1, 101)

Arrays = dict[str, npt.NDArray[np.float32]]
Reference = Mapping[str, npt.NDArray[np.floating]]  # what `fit` gave, or a bundle's reference.npz


def fit(
    train_embeddings: Floats,
    train_truth: Bools,
    val_logits: Floats,
    val_embeddings: Floats,
    kind: VocabularyKind,
    *,
    val_groups: Sequence[str] | None = None,
    components: Sequence[str] = DEFAULT,
    refused_part: float = REFUSED_PART,
) -> Arrays:
    """What a bundle must hold to refuse unknown sounds, learnt without any unknown sound.

    Args:
        train_embeddings: (n, d) of windows of training clips; n may be smaller than d.
        train_truth: (n, tags) True where the clip is a positive of the tag; a clip with several tags counts for each.
        val_logits: (m, tags) of windows of validation clips.
        val_embeddings: (m, d) of the same windows.
        val_groups: (m,) what was never split; None: each window is a group of its own.
        components: some of COMPONENTS.
        refused_part: see `conformal_threshold`.

    Returns:
        float32 arrays: `means` (classes, d) of the tags that have a positive and `precision` (d, d), the inverse of
        the shared covariance; `classes` (classes,) their
        columns; `mean` (d,) and `covariance` (d, d) of all training windows (for drift; an ensemble of k nets trained
        apart has both matrices as blocks (k, d / k, d / k)), `centre`
        and `spread` (len(COMPONENTS),), `used` (len(COMPONENTS),) 1 where used, `threshold` (1,), `score_quantiles`
        (101,) of the validation windows' scores, `kind` (1,) 1 for multilabel.

    Raises:
        InputError: an unknown component, or no labelled training or validation clip.
    """
    unknown = set(components) - set(COMPONENTS)
    if unknown or not components:
        raise InputError(f"refusal: components {sorted(components)}, expected some of {', '.join(COMPONENTS)}.")
    if not len(val_logits) or not train_truth.any():
        raise InputError(
            f"refusal: {int(train_truth.any(axis=1).sum())} labelled training clips and {len(val_logits)} validation "
            "clips; expected at least one of each."
        )
    x = train_embeddings.astype(np.float64)
    present = np.flatnonzero(train_truth.any(axis=0))
    means = np.stack([x[train_truth[:, tag]].mean(axis=0) for tag in present])
    residuals = np.concatenate(
        [x[train_truth[:, tag]] - mean for tag, mean in zip(present, means, strict=True)],
    )
    arrays: dict[str, Floats] = {
        "means": means,
        "precision": np.linalg.inv(shrunk_covariance(residuals)),
        "mean": x.mean(axis=0),
        "covariance": np.cov(x, rowvar=False, bias=True).reshape(x.shape[1], x.shape[1]),
        "classes": present.astype(np.float64),
        "kind": np.array([1.0 if kind == "multilabel" else 0.0]),
        "used": np.array([1.0 if name in components else 0.0 for name in COMPONENTS]),
    }
    raw = _components(val_logits, val_embeddings, arrays)
    centre = np.median(raw, axis=0)
    arrays["centre"] = centre
    arrays["spread"] = np.maximum(np.quantile(raw, 0.84, axis=0) - centre, 1e-6 * np.maximum(1.0, np.abs(centre)))
    stored = {name: value.astype(np.float32) for name, value in arrays.items()}
    scores = score(val_logits, val_embeddings, stored)
    groups = [str(i) for i in range(len(scores))] if val_groups is None else val_groups
    stored["threshold"] = np.array([conformal_threshold(scores, groups, refused_part)], dtype=np.float32)
    stored["score_quantiles"] = np.quantile(scores, QUANTILES).astype(np.float32)
    return stored


def score(logits: Floats, embeddings: Floats, arrays: Reference) -> Floats:
    """(n,) how unknown each clip or window is, from (n, tags) logits and (n, d) embeddings. No upper bound."""
    raw = _components(logits, embeddings, arrays)
    z = (raw - arrays["centre"]) / arrays["spread"]
    used = arrays["used"] > 0
    result: Floats = z[:, used].mean(axis=1)
    return result


def clip_scores(scores: Floats, clip: Ints) -> Floats:
    """(clips,) the lower median of each clip's windows, from (w,) scores and (w,) ascending clip numbers 0, 1, ..."""
    counts = np.bincount(clip)
    ordered = scores[np.lexsort((scores, clip))]
    result: Floats = ordered[np.cumsum(counts) - counts + (counts - 1) // 2]
    return result


def conformal_threshold(scores: Floats, groups: Sequence[str], refused_part: float = REFUSED_PART) -> float:
    """The score that a window of a new group of known kinds exceeds with a chance of at most `refused_part`.

    Each of G groups counts 1, shared among its windows, so that many windows of one recording do not stand for many
    recordings. The threshold is the smallest score with a weight of (1 - refused_part) (G + 1) at or below it; where
    each window is a group, that is the ceil((n + 1)(1 - refused_part)) smallest of n. The plain quantile would refuse
    more new sounds than wanted, the more so the fewer groups there are. Below 1 / refused_part - 1 groups no score
    would do: then it is the largest, which some one in G + 1 new groups still exceed.

    Source: Vovk et al., Algorithmic Learning in a Random World, 2005; by groups, Dunn, Wasserman and Ramdas,
    Distribution-free prediction sets for two-layer hierarchical models, JASA 2022.
    """
    _, group = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    counts = np.bincount(group)
    order = np.argsort(scores, kind="stable")
    below = np.cumsum((1 / counts)[group[order]])
    needed = (1 - refused_part) * (len(counts) + 1)
    at = int(np.searchsorted(below, needed - 1e-9))
    return float(scores[order[min(at, len(order) - 1)]])


def is_unknown(scores: Floats, arrays: Reference) -> Bools:
    """True where the score is above the stored threshold, both in float32."""
    result: Bools = scores.astype(np.float32) > arrays["threshold"][0]
    return result


def auroc(known_scores: Floats, unknown_scores: Floats) -> float:
    """The chance that an unknown sound scores above a known one: 0.5 is guessing, NaN where either is empty."""
    truth = np.append(np.zeros(len(known_scores), dtype=bool), np.ones(len(unknown_scores), dtype=bool))
    return float(roc_auc(truth, np.append(known_scores, unknown_scores))[0, 0])


def shrunk_covariance(residuals: Floats) -> Floats:
    """(d, d) covariance of (n, d) residuals of mean 0, shrunk towards a multiple of the identity.

    Ledoit and Wolf, A well-conditioned estimator for large-dimensional covariance matrices, 2004: the shrinkage of
    least expected squared error, from the data alone; the result is invertible even where n < d or a dimension never
    moves (a floor of 1e-6 of the mean variance is kept).
    """
    n, d = residuals.shape
    covariance = residuals.T @ residuals / n
    scale = np.trace(covariance) / d
    identity = np.eye(d)
    distance = ((covariance - scale * identity) ** 2).sum()
    squares = residuals**2
    spread = ((squares.T @ squares) / n - covariance**2).sum() / n
    shrinkage = 1.0 if distance == 0 else min(1.0, max(0.0, spread / distance))
    shrinkage = max(shrinkage, 1e-6)
    result: Floats = (1 - shrinkage) * covariance + shrinkage * max(scale, 1e-12) * identity
    return result


def _components(logits: Floats, embeddings: Floats, arrays: Reference) -> Floats:
    """(n, len(COMPONENTS)) in the order of COMPONENTS, each higher = more unknown."""
    z = logits.astype(np.float64)
    if float(arrays["kind"][0]) > 0:
        energy = -np.logaddexp(0.0, z).sum(axis=1)
    else:
        largest = z.max(axis=1)
        energy = -(largest + np.log(np.exp(z - largest[:, None]).sum(axis=1)))
    return np.stack([_mahalanobis(embeddings, arrays), energy, -z.max(axis=1)], axis=1)


def _mahalanobis(embeddings: Floats, arrays: Reference) -> Floats:
    """Root of the squared distance to the nearest class mean: (n,)."""
    # from the middle of the means: (x - m) P (x - m) is opened up below, and far from 0 that would cost digits
    means = arrays["means"].astype(np.float64)
    middle = means.mean(axis=0)
    x, means = embeddings.astype(np.float64) - middle, means - middle
    weighted, of_means = _times(x, arrays["precision"]), _times(means, arrays["precision"])
    squares = (weighted * x).sum(axis=1)[:, None] - 2.0 * (weighted @ means.T) + (of_means * means).sum(axis=1)
    result: Floats = np.sqrt(np.maximum(squares.min(axis=1), 0.0))
    return result


def _times(x: Floats, precision: npt.NDArray[np.floating]) -> Floats:
    """(n, d) times (d, d), or times the blocks (k, d / k, d / k) on the diagonal of a matrix that is 0 elsewhere."""
    if precision.ndim == 2:
        return np.asarray(x @ precision.astype(np.float64))
    size = precision.shape[1]
    parts = [x[:, i * size : (i + 1) * size] @ block.astype(np.float64) for i, block in enumerate(precision)]
    return np.concatenate(parts, axis=1)
