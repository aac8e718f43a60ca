"""The whole loop on sounds that Earmark makes itself: `earmark demo`, and the picture of the README."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from earmark import layouts
from earmark.audio.synthetic import Event, SoundSet, make_scene, make_sounds
from earmark.data.prepared import Quarantined
from earmark.errors import InputError
from earmark.evaluation.evaluate import Evaluation, evaluate
from earmark.evaluation.match import match_tags
from earmark.evaluation.predict import predict
from earmark.metrics.intervals import largest_error_rate
from earmark.recipes import load_recipe
from earmark.settings import Settings, load_settings
from earmark.tagging.scores import Scores
from earmark.tagging.tagger import Tagger, load
from earmark.training.run import Result, train
from earmark.types import Progress, Quiet

MARKER = ".made-by-earmark-demo"
PER_CLASS = 24
FRESH_PER_CLASS = 10
EPOCHS = 40
OVERLAP = 0.75


@dataclass(frozen=True, slots=True)
class Heard:
    """What the tagger said of one event of the scene.

    Attributes:
        event: what really sounded, and when.
        tag, probability: the likeliest tag of the window nearest to the event's middle.
    """

    event: Event
    tag: str
    probability: float

    @property
    def is_right(self) -> bool:
        return self.tag == self.event.tag


@dataclass(frozen=True)
class Demo:
    """What a demo made.

    Attributes:
        sounds: the training recordings, three bad ones among them.
        quarantine: what the training left out, and why.
        result: the training's.
        fresh: figures on recordings made afterwards.
        scene: the recording that was tagged; `scores` and `heard` are what came of it.
        seconds: of each step, in order.
    """

    out: Path
    sounds: SoundSet
    quarantine: list[Quarantined]
    result: Result
    fresh: Evaluation
    scene: Path
    scores: Scores
    heard: list[Heard]
    seconds: dict[str, float]

    @property
    def report(self) -> Path:
        return self.result.out / "report" / "report.html"


def run_demo(
    out: Path,
    *,
    epochs: int = EPOCHS,
    per_class: int = PER_CLASS,
    fresh_per_class: int = FRESH_PER_CLASS,
    seed: int = 0,
    settings: Settings | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Demo:
    """Make sounds, train the default recipe on them, evaluate it on others, and tag a new recording.

    Args:
        out: a folder that is absent, empty, or an earlier demo's, which is then made anew.
        epochs: of the training; the recipe is otherwise untouched.
        per_class, fresh_per_class: recordings of each of the six kinds, to train on and to evaluate by.
        seed: of the sounds.
        say: told a sentence before and after each step.

    Raises:
        InputError: `out` holds something that no demo made.
    """
    settings = settings or load_settings()
    progress = progress or Quiet()
    seconds: dict[str, float] = {}
    _clear(out)

    with _timed("make sounds", seconds):
        sounds = make_sounds(out / "sounds", per_class=per_class, seed=seed)
        make_sounds(out / "more_sounds", per_class=fresh_per_class, seed=seed + 1)
        scene = out / "scene.wav"
        events = make_scene(scene, seed=seed)
    classes = sorted({path.parent.name for path in sounds.recordings})
    say(f"Made {len(sounds.recordings)} recordings of {len(classes)} kinds ({', '.join(classes)}) in {sounds.root}/,")
    say("and hid among them an empty file, one that is cut short, and an MP3 copy of another.")

    say(f"\nTraining: {epochs} epochs of the default recipe.")
    with _timed("train", seconds):
        recipe = load_recipe("small-cnn", [f"training.epochs={epochs}"])
        result = train(sounds.root, out / "model", recipe=recipe, settings=settings, progress=progress)
    quarantine = list(result.plan.prepared.quarantine)
    judged = result.evaluations[result.judged]
    say(f"On recordings kept from the training: {_figure(judged)}.")

    say("\nEvaluating on recordings made since.")
    with _timed("evaluate", seconds):
        tagger = load(result.out)
        fresh = _evaluate(tagger, out / "more_sounds", settings, progress)
    say(f"On new recordings: {_figure(fresh)}.")

    say(f"\nTagging {scene}, half a minute in which {len(events)} sounds follow one another.")
    with _timed("tag", seconds):
        scores = tagger.tag(scene, overlap=OVERLAP)
    heard = [_hear(scores, event) for event in events]
    return Demo(out, sounds, quarantine, result, fresh, scene, scores, heard, seconds)


def to_json(demo: Demo) -> dict[str, Any]:
    """The demo as one JSON object."""
    judged = demo.result.evaluations[demo.result.judged]
    return {
        "out": str(demo.out),
        "recordings": len(demo.sounds.recordings),
        "quarantine": [{"path": bad.path, "reason": str(bad.reason)} for bad in demo.quarantine],
        "model": str(demo.result.out),
        "report": str(demo.report),
        "accuracy": judged.metrics["accuracy"],
        "accuracy_on_new_recordings": demo.fresh.metrics["accuracy"],
        "tags": list(demo.fresh.tags),
        "confusion": None if demo.fresh.confusion is None else demo.fresh.confusion.tolist(),
        "scene": [
            {
                "start_s": heard.event.start_s,
                "end_s": heard.event.stop_s,
                "played": heard.event.tag,
                "heard": heard.tag,
                "probability": heard.probability,
            }
            for heard in demo.heard
        ],
        "seconds": demo.seconds,
    }


@contextmanager
def _timed(step: str, seconds: dict[str, float]) -> Iterator[None]:
    started = time.monotonic()
    yield
    seconds[step] = round(time.monotonic() - started, 2)


def _clear(out: Path) -> None:
    """An earlier demo is made anew; anything else is left alone."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: a file; give a folder that the demo may make, such as --out demo.")
    if out.exists() and any(out.iterdir()) and not (out / MARKER).exists():
        raise InputError(f"{out}: holds something that no demo made; give a new folder, such as --out demo2.")
    for name in ("sounds", "more_sounds", "model", ".model.training"):
        if (out / name).exists():
            shutil.rmtree(out / name)
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / MARKER).write_text("Made by `earmark demo`, which makes it anew each time.\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror}); choose another --out.") from None


def _evaluate(tagger: Tagger, data: Path, settings: Settings, progress: Progress) -> Evaluation:
    manifest = match_tags(layouts.read(data), tagger.vocabulary).known
    clips, _ = predict(
        tagger, manifest, workers=settings.workers, timeout_s=settings.decode_timeout_s, progress=progress
    )
    return evaluate(clips, tagger.header.calibration)


def _figure(evaluation: Evaluation) -> str:
    accuracy, interval = evaluation.metrics["accuracy"], evaluation.intervals.get("accuracy")
    text = f"{round(accuracy * evaluation.clips)} of {evaluation.clips} right"
    if accuracy == 1.0:
        worst = largest_error_rate(evaluation.groups)
        return f"{text}, so with 95 % confidence fewer than {worst:.1%} of such recordings would be wrong"
    return f"{text} (95 % interval {interval[0]:.1%} to {interval[1]:.1%})" if interval else text


def _hear(scores: Scores, event: Event) -> Heard:
    middles = (scores.start_s + scores.stop_s) / 2
    nearest = int(np.argmin(np.abs(middles - (event.start_s + event.stop_s) / 2)))
    best = int(scores.probabilities[nearest].argmax())
    return Heard(event, scores.vocabulary.tags[best], float(scores.probabilities[nearest, best]))
