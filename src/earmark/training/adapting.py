"""What a recipe takes from the data: the rate and the length of a clip, and how far to trust its recordings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from earmark.audio.pool import map_files
from earmark.audio.read import probe
from earmark.data.manifest import Manifest
from earmark.features.spec import FeatureSpec
from earmark.formats.words import counted
from earmark.recipes import Recipe

RATES_HZ = (8_000, 16_000, 32_000)
UPSAMPLED_SHARE = 0.1
SHORTEST_CLIP_S = 0.5
# Where the median lengths of two classes differ by more than this factor, padding tells them apart.
LENGTHS_DIFFER = 2.0
SHORTEST_COMMON_CLIP_S = 1.0
PROBED_FILES = 600
# A tag that is known from fewer recordings cannot be told from their microphones and rooms.
FEW_RECORDINGS = 10
STRONG_EQUALISER = 1.4


def adapt(recipe: Recipe, manifest: Manifest, notes: list[str], *, workers: int = 2, timeout_s: float = 60.0) -> Recipe:
    """The recipe with what it asks for taken from the data; `notes` says what and why.

    Args:
        workers: processes that look at the files.
        timeout_s: for one file.
    """
    if recipe.adapt.recordings:
        recipe = _wary(recipe, manifest, notes)
    if not (recipe.adapt.clip_s or recipe.adapt.sample_rate_hz):
        return recipe
    rates, durations = _probe(manifest, workers, timeout_s)
    if not rates:
        return recipe
    spec = recipe.front_end
    if recipe.adapt.sample_rate_hz:
        highest = float(np.quantile(rates, UPSAMPLED_SHARE, method="lower"))
        usable = [rate for rate in RATES_HZ if rate <= min(highest, spec.sample_rate_hz)]
        rate = max(usable, default=min(RATES_HZ[0], spec.sample_rate_hz))
        if rate != spec.sample_rate_hz:
            spec = at_rate(spec, rate)
            notes.append(f"audio is used at {rate} Hz: hardly any file has less, so bandwidth gives no class away")
    if recipe.adapt.clip_s:
        clip_s, why = clip_length(durations, manifest.targets, spec.clip_s)
        if clip_s != spec.clip_s:
            spec = spec.model_copy(update={"clip_s": clip_s})
            notes.append(f"clips are {clip_s:g} s long: {why}")
    spec = FeatureSpec.model_validate(spec.model_dump())  # a copy is not checked, and a shorter clip may be impossible
    share = spec.shape()[2] / recipe.front_end.shape()[2]
    masks = round(recipe.augment.time_mask_frames * min(1.0, share))
    augment = recipe.augment.model_copy(
        update={"time_mask_frames": masks, "time_masks": recipe.augment.time_masks if masks else 0}
    )
    return recipe.model_copy(update={"front_end": spec, "augment": augment})


def _wary(recipe: Recipe, manifest: Manifest, notes: list[str]) -> Recipe:
    few = few_recordings(manifest)
    if not few:
        return recipe
    changes = ["clips are filtered more"] if recipe.augment.equaliser < STRONG_EQUALISER else []
    changes += ["no discriminant votes"] if recipe.model.discriminant else []
    if not changes:
        return recipe
    tag, count = min(few.items(), key=lambda item: item[1])
    known = f"{tag!r} is known from {counted(count, 'recording')} of its own"
    why = "for what marks the recordings would be taken for what marks the tag"
    notes.append(f"{known}: {' and '.join(changes)}, {why}")
    augment = recipe.augment.model_copy(update={"equaliser": max(recipe.augment.equaliser, STRONG_EQUALISER)})
    model = recipe.model.model_copy(update={"discriminant": 0.0})
    return recipe.model_copy(update={"augment": augment, "model": model})


def few_recordings(manifest: Manifest) -> dict[str, int]:
    """Tags of an exclusive vocabulary that are known from fewer than FEW_RECORDINGS groups, most of which hold no other
    tag, and how many: what such a tag sounds like and what its recordings sound like cannot be told apart.

    Where every group holds many tags, as when a few speakers each say all words, few are enough.
    """
    if not manifest.is_exclusive:
        return {}
    labelled = (manifest.targets > 0.5).any(axis=1)
    _, groups = np.unique(manifest.rows["group"].to_numpy()[labelled].astype(str), return_inverse=True)
    held = np.zeros((groups.max(initial=-1) + 1, len(manifest.vocabulary)), bool)
    held[groups, manifest.class_indices()[labelled]] = True
    alone = held & (held.sum(axis=1, keepdims=True) == 1)
    return {
        tag: int(held[:, column].sum())
        for column, tag in enumerate(manifest.vocabulary.tags)
        if 0 < held[:, column].sum() < FEW_RECORDINGS and 2 * alone[:, column].sum() > held[:, column].sum()
    }


def clip_length(
    durations: npt.NDArray[np.float64], targets: npt.NDArray[np.float32], longest_s: float
) -> tuple[float, str]:
    """The length of a clip in seconds, a tenth exactly, and why.

    Args:
        durations: (n,) seconds; NaN where a file could not be probed.
        targets: (n, tags).
        longest_s: that the recipe allows.
    """
    known = np.isfinite(durations)
    medians = [np.median(durations[known & (column > 0.5)]) for column in targets.T if (known & (column > 0.5)).any()]
    shortest = min(medians, default=0.0)
    if len(medians) > 1 and max(medians) > LENGTHS_DIFFER * shortest and shortest < longest_s:
        common = max(np.floor(shortest * 10) / 10, min(SHORTEST_COMMON_CLIP_S, longest_s))
        return float(common), "the shortest class is no longer, and padding it would tell it from the others"
    typical = np.ceil(np.quantile(durations[known], 0.9) * 10) / 10
    clip_s = float(np.clip(typical, min(SHORTEST_CLIP_S, longest_s), longest_s))
    return clip_s, "90 % of the data is no longer than that"


def at_rate(spec: FeatureSpec, rate_hz: int) -> FeatureSpec:
    """The same front end at another rate: FFT, window and hop keep their length in time, bands stay below Nyquist."""
    factor = rate_hz / spec.sample_rate_hz

    def scaled(samples: int) -> int:
        return max(1, round(samples * factor))

    edge = 0.95 * rate_hz / 2  # resampling leaves little above it
    return spec.model_copy(
        update={
            "sample_rate_hz": rate_hz,
            "n_fft": 2 * scaled(spec.n_fft // 2),
            "win_length": None if spec.win_length is None else scaled(spec.win_length),
            "hop_length": scaled(spec.hop_length),
            "fmax_hz": None if spec.fmax_hz is None else min(spec.fmax_hz, edge),
        }
    )


def _probe(manifest: Manifest, workers: int, timeout_s: float) -> tuple[list[int], npt.NDArray[np.float64]]:
    """Rates (Hz) of up to PROBED_FILES files, chosen the same way each time, and (n,) durations (s) of the clips.

    A file that cannot be probed is left out: `prepare` says what is wrong with it.
    """
    uris = list(dict.fromkeys(manifest.rows["uri"]))
    if len(uris) > PROBED_FILES:
        uris = [uris[i] for i in np.linspace(0, len(uris) - 1, PROBED_FILES).round().astype(int)]
    rates: list[int] = []
    lengths: dict[str, float] = {}
    for outcome in map_files(probe, [(uri, uri) for uri in uris], workers=workers, timeout_s=timeout_s):
        if outcome.value is not None:
            rates.append(outcome.value.sample_rate_hz)
            lengths[outcome.path] = np.nan if outcome.value.duration_s is None else outcome.value.duration_s
    rows = manifest.rows
    ends = rows["stop_s"].to_numpy(np.float64)
    whole = np.array([lengths.get(uri, np.nan) for uri in rows["uri"]])
    durations = np.where(np.isnan(ends), whole, ends) - np.nan_to_num(rows["start_s"].to_numpy(np.float64))
    return (rates if np.isfinite(durations).any() else []), durations
