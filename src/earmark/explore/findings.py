"""From measurements to sentences: what is wrong, what may mislead, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from earmark.data.group_names import Suggestion
from earmark.explore.confounds import STRONG, Confound
from earmark.formats.words import counted

FEWEST_GROUPS = 3  # one each for training, validation and test
UNEVEN = 3.0
CLIPPED_SHARE = 0.005
DC_OFFSET = 0.01

Weight = Literal["problem", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know.

    Attributes:
        weight: `problem` (fix before training), `warning` (may mislead the figures), `note`.
        title: in a few words.
        text: what was seen.
        advice: what to do; may be empty.
        options: what could be typed, each with what it does; may be empty.
    """

    weight: Weight
    title: str
    text: str
    advice: str = ""
    options: tuple[tuple[str, str], ...] = ()


def find_all(
    files: pd.DataFrame,
    per_tag: pd.DataFrame,
    kind: str | None,
    layout_note: str,
    exact: Sequence[Sequence[int]],
    copies: Sequence[Sequence[int]],
    confounds: Sequence[Confound],
    guesses: Sequence[Suggestion],
    outside: Sequence[str] = (),
) -> list[Finding]:
    """Everything worth saying, problems first. Arguments as in `earmark.explore.inspect.Inspection`.

    Args:
        outside: clips that begin after the end of their recording, as words.
    """
    found = [
        *_labels(files, kind, layout_note),
        *_broken(files),
        *_spans(outside),
        *_classes(per_tag, kind),
        *_duplicates(files, exact, copies, kind),
        *_confounded(confounds),
        *_groups(guesses),
        *_levels(files),
        *_mixed(files),
    ]
    order = {"problem": 0, "warning": 1, "note": 2}
    return sorted(found, key=lambda finding: order[finding.weight])


def _labels(files: pd.DataFrame, kind: str | None, layout_note: str) -> list[Finding]:
    if kind is None:
        return [Finding("note", "No labels", layout_note)]
    bare = int((files["tags"].map(len) == 0).sum())
    if bare and kind == "exclusive":
        first = files["recording"][files["tags"].map(len) == 0].iat[0]
        text = f"{bare} sounds have no class, {first} among them; training leaves them out."
        return [Finding("note", "Sounds without a class", text)]
    return []


def _broken(files: pd.DataFrame) -> list[Finding]:
    found = []
    bad = files[files["verdict"] == "quarantined"]
    if len(bad):
        reasons = ", ".join(f"{n} {reason}" for reason, n in bad["reason"].value_counts().items())
        everything = len(bad) == len(files)
        found.append(
            Finding(
                "problem" if everything else "warning",
                "Nothing can be read" if everything else f"{counted(len(bad), 'file')} cannot be used",
                f"{reasons}. They are left out; one bad file never costs a good one.",
                "Read the reasons below; replace or delete these files.",
            )
        )
    partial = files[files["verdict"] == "partial"]
    if len(partial):
        text = f"{partial['warning'].iat[0]}" + (f" And {len(partial) - 1} more." if len(partial) > 1 else "")
        found.append(Finding("warning", f"{counted(len(partial), 'file')} could be read only in part", text))
    return found


def _spans(outside: Sequence[str]) -> list[Finding]:
    if not outside:
        return []
    more = f", and {len(outside) - 3} more" if len(outside) > 3 else ""
    return [
        Finding(
            "problem",
            f"{counted(len(outside), 'clip')} outside the recording",
            f"{'; '.join(outside[:3])}{more}: there is nothing to hear, so a training leaves them out.",
            "Correct start_s and end_s, which are seconds.",
        )
    ]


def _classes(per_tag: pd.DataFrame, kind: str | None) -> list[Finding]:
    if per_tag.empty:
        return []
    found = []
    if len(per_tag) == 1 and kind == "exclusive":
        only = per_tag["tag"].iat[0]
        found.append(
            Finding("problem", "Only one class", f"Everything is {only!r}.", "A tagger needs at least two classes.")
        )
    few = per_tag[per_tag["groups"] < FEWEST_GROUPS]
    if len(few):
        each = ", ".join(f"{row.tag} has {row.groups}" for row in few.head(6).itertuples())
        found.append(
            Finding(
                "problem",
                f"{counted(len(few), 'class', 'classes')} with too few groups",
                f"{each}; {FEWEST_GROUPS} are needed, one each to train on, to choose by and to test with.",
                "Add recordings from another source, or leave the class out.",
            )
        )
    filled = per_tag[per_tag["files"] > 0]
    if len(filled) > 1 and (ratio := filled["files"].max() / filled["files"].min()) > UNEVEN:
        most, least = (filled.sort_values("files").iloc[at] for at in (-1, 0))
        found.append(
            Finding(
                "note",
                "The classes are uneven",
                f"{most['tag']} has {most['files']} files, {least['tag']} {least['files']} ({ratio:.1f} : 1).",
                "Training draws the classes evenly by itself; read balanced accuracy rather than accuracy.",
            )
        )
    return found


def _duplicates(
    files: pd.DataFrame, exact: Sequence[Sequence[int]], copies: Sequence[Sequence[int]], kind: str | None
) -> list[Finding]:
    found = []
    labels, names = files["tags"].tolist(), files["recording"].tolist()
    torn = [cluster for cluster in copies if len({labels[row] for row in cluster}) > 1]
    if torn and kind is not None:
        shown = "; ".join(
            " = ".join(f"{names[row]} ({', '.join(labels[row]) or 'no label'})" for row in cluster[:3])
            for cluster in torn[:3]
        )
        found.append(
            Finding(
                "problem",
                f"The same sound under different labels, {counted(len(torn), 'time')}",
                shown + (" …" if len(torn) > 3 else ""),
                "Decide which label is right and delete the other copy.",
            )
        )
    same = sum(len(cluster) - 1 for cluster in exact)
    if same:
        how_many = counted(same, "file holds", "files hold")
        text = f"{how_many} audio that another file holds too, e.g. {_pair(exact[0], names)}."
        advice = "They count as one group, so no copy lands in the test set; delete them to be rid of them."
        found.append(Finding("note", "Identical audio", text, advice))
    lossy = sum(len(cluster) - 1 for cluster in copies) - same
    if lossy > 0:
        one = next(c for c in copies if not any(set(c) <= set(e) for e in exact))
        text = f"{counted(lossy, 'file sounds', 'files sound')} like another one coded anew, e.g. {_pair(one, names)}."
        found.append(Finding("note", "Copies in another coding or gain", text, "They count as one group."))
    return found


def _confounded(confounds: Sequence[Confound]) -> list[Finding]:
    """One finding a property, whatever number of classes it gives away."""
    found: list[Finding] = []
    strong = [confound for confound in confounds if confound.strength >= STRONG]
    for name in dict.fromkeys(confound.property for confound in strong):
        given_away = [confound for confound in strong if confound.property == name]
        tags = ", ".join(confound.tag for confound in given_away[:5]) + (", …" if len(given_away) > 5 else "")
        seen = "; ".join(confound.sentence() for confound in given_away[:4]) + "."
        if given_away[0].never_natural:
            weight: Weight = "warning"
            title = f"The {_NAME[name]} gives away: {tags}"
            why = (
                "A detector can learn how these files were made instead of how they sound, and will then fail on "
                "recordings made otherwise."
            )
        else:
            weight = "warning" if name == "bandwidth_hz" else "note"
            title = f"The {_NAME[name]} alone sets apart: {tags}"
            why = "That may lie in the sound itself, or in how it was recorded; a detector will use it either way."
        found.append(Finding(weight, title, f"{seen} {why}", _ADVICE[name]))
    return found


_NAME = {
    "sample_rate_hz": "sample rate",
    "channels": "number of channels",
    "format": "file format",
    "bandwidth_hz": "upper frequency",
    "duration_s": "length",
    "rms_db": "level",
    "silence": "silence",
    "dc_offset": "DC offset",
}
_ADVICE = {
    "sample_rate_hz": "Collect each class with each device, or train at the lowest rate of all.",
    "channels": "All audio is mixed to mono, which hides the count but not the microphones: mix the devices.",
    "format": "Take all classes from sources with the same coding, or re-code all with `earmark convert`.",
    "bandwidth_hz": "Listen to the loss: train at twice the lowest upper frequency of all classes, and see whether the "
    "figures hold.",
    "duration_s": "Cut all classes to one length, so that padding tells nothing.",
    "rms_db": "Train with random gain (on by default), so that level tells little.",
    "silence": "Cut the silence away, or collect the other classes with as much of it.",
    "dc_offset": "Record the classes with the same device, or filter below 20 Hz.",
}


def _groups(guesses: Sequence[Suggestion]) -> list[Finding]:
    if not guesses:
        return []
    options = tuple(
        (
            guess.option,
            f"{len(guess.prefixes)} groups of {guess.tag}: "
            + ", ".join(f"{prefix} ({counted(count, 'file')})" for prefix, count in guess.prefixes[:6])
            + (", …" if len(guess.prefixes) > 6 else ""),
        )
        for guess in guesses
    )
    text = (
        "File names look like parts of a few recordings; if parts of one recording come into both training and test, "
        "the figures come out too good."
    )
    advice = "If they are, give the pattern to every command; speakers and places that names tell of deserve one too."
    return [Finding("warning", "Which files belong together?", text, advice, options)]


def _levels(files: pd.DataFrame) -> list[Finding]:
    found = []
    clipped = files[files["clipped"] > CLIPPED_SHARE]
    if len(clipped):
        worst = clipped.sort_values("clipped").iloc[-1]
        text = f"{worst['recording']} most of all, {worst['clipped']:.1%} of its samples."
        found.append(Finding("note", f"{counted(len(clipped), 'file')} clipped", text))
    offset = files[files["dc_offset"].abs() > DC_OFFSET]
    if len(offset):
        worst = offset.sort_values("dc_offset", key=abs).iloc[-1]
        text = f"{worst['recording']} most of all, {worst['dc_offset']:+.3f} of full scale."
        found.append(Finding("note", f"{counted(len(offset), 'file')} with a DC offset", text))
    return found


def _mixed(files: pd.DataFrame) -> list[Finding]:
    rates = files["sample_rate_hz"].dropna().astype(int).value_counts()
    if len(rates) < 2:
        return []
    each = ", ".join(f"{n} at {rate:,} Hz" for rate, n in list(rates.items())[:6])
    return [Finding("note", "Mixed sample rates", f"{each}. All are resampled to the recipe's rate.")]


def _pair(cluster: Sequence[int], names: Sequence[Any]) -> str:
    return " = ".join(str(names[row]) for row in list(cluster)[:2])
