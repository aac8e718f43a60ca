"""`earmark demo`: the whole loop on sounds that Earmark makes itself."""

from __future__ import annotations

from pathlib import Path

import typer

from earmark.cli.console import Console, need_extra


def register(app: typer.Typer) -> None:
    app.command("demo")(demo)


def demo(
    out: Path = typer.Option(Path("demo"), "--out", help="Folder to make; an earlier demo there is made anew."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object on stdout."),
) -> None:
    """Make sounds, train on them, evaluate, and tag a new recording: about two minutes on two cores."""
    console = Console(as_json=as_json)
    with need_extra("train"):
        from earmark.settings import keep_freed_memory, limit_native_threads

        limit_native_threads()
        keep_freed_memory()
        from earmark.training.demo import run_demo, to_json

    made = run_demo(out, progress=console.progress(), say=console.say)
    console.say("\n   seconds       what sounded   what Earmark heard")
    for heard in made.heard:
        span = f"{heard.event.start_s:5.2f} - {heard.event.stop_s:5.2f}"
        mark = "" if heard.is_right else "   <- wrong"
        console.say(f"   {span}   {heard.event.tag:<12}   {heard.tag} ({heard.probability:.0%}){mark}")
    right = sum(heard.is_right for heard in made.heard)
    console.say(f"   {right} of {len(made.heard)} right")
    console.say("\nLeft out of the training:")
    for bad in made.quarantine:
        console.say(f"   {Path(bad.path).name}: {bad.reason}")
    spent = ", ".join(f"{step} {seconds:.0f} s" for step, seconds in made.seconds.items())
    console.say(f"\nDone in {sum(made.seconds.values()):.0f} s ({spent}).")
    console.say(f"The report: {made.report}")
    console.finish(
        to_json(made),
        next_step=f"open {made.report} in a browser, or try: earmark tag {made.result.out} {made.scene} --events",
    )
