"""`earmark tag`: which tags, when, how sure."""

from __future__ import annotations

import sys
from contextlib import closing
from shlex import quote
from typing import TYPE_CHECKING, Any

import typer

from earmark.cli.console import Console, on_ctrl_c
from earmark.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from earmark.tagging.batch import Sink, Summary
    from earmark.tagging.output import Format
    from earmark.tagging.rows import Choice
    from earmark.tagging.scores import Scores
    from earmark.tagging.tagger import Tagger

_SHOWN_TAGS = 3  # of a recording, to a person who asked for nothing else
_MOST_SHOWN = 10  # refusals told one by one; the summary counts them all


def register(app: typer.Typer) -> None:
    app.command("tag")(tag)


def tag(
    model: str = typer.Argument(help="The model folder."),
    inputs: list[str] = typer.Argument(help="Files, folders, quoted patterns, or - for a list of paths on stdin."),
    format: str | None = typer.Option(
        None, "--format", help="csv, parquet, json, jsonl, audacity or raven. Default: as --out is named."
    ),
    out: str | None = typer.Option(
        None, "--out", help="File to write (a folder for audacity and raven); the run can be stopped and gone on with."
    ),
    per: str | None = typer.Option(None, "--per", help="Rows per `window`, `recording` or `event`."),
    threshold: float | None = typer.Option(None, "--threshold", help="Only tags of at least this probability."),
    top: int | None = typer.Option(None, "--top", help="The likeliest N tags."),
    all_tags: bool = typer.Option(False, "--all", help="Every tag of the vocabulary."),
    overlap: float | None = typer.Option(
        None, "--overlap", help="Share of a window that the next one repeats, 0 to 1."
    ),
    events: bool = typer.Option(False, "--events", help="Merge windows into events."),
    on: float | None = typer.Option(None, "--on", help="Probability that starts an event (the tag's threshold)."),
    off: float | None = typer.Option(None, "--off", help="Probability below which it ends (0.8 times --on)."),
    min_gap: float = typer.Option(0.0, "--min-gap", help="Close pauses shorter than this many seconds."),
    min_duration: float = typer.Option(0.0, "--min-duration", help="Drop events shorter than this many seconds."),
    refuse: bool = typer.Option(False, "--refuse", help="Tag sounds unlike the training set `unknown`."),
    workers: int | None = typer.Option(None, "--workers", min=1, help="Recordings at once. Default: one a core."),
    timeout: float | None = typer.Option(None, "--timeout", min=0.1, help="Seconds that a decoder may be silent (60)."),
    null: bool = typer.Option(False, "--null", "-0", help="The list on stdin is separated by NUL (find -print0)."),
    restart: bool = typer.Option(False, "--restart", help="Write --out anew instead of going on with it."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on stdout."),
) -> None:
    """Tag recordings: which tags, when, how sure.

    Exit code: 0 all tagged, 1 some files refused (each with a reason), 2 nothing could be tagged.
    """
    from earmark.settings import check_seconds, load_settings
    from earmark.tagging.decoder import Decoder

    console = Console(as_json=as_json)
    limit = load_settings().decode_timeout_s if timeout is None else check_seconds("--timeout", timeout)
    # the decoder's interpreter starts while this one imports onnxruntime and opens the model
    with on_ctrl_c("nothing was tagged, run the same command again."), closing(Decoder(limit)) as first:
        from pathlib import Path

        from earmark.tagging.output import decide_format
        from earmark.tagging.rows import Choice, decide_per

        target = Path(out) if out is not None else None
        kind = decide_format(format, target)
        console.aside = as_json or (kind is not None and target is None)  # stdout is the rows' then
        if kind is None and not (
            as_json or events or all_tags or per is not None or top is not None or threshold is not None
        ):
            top = _SHOWN_TAGS
        choice = Choice(
            per=decide_per(per, events=events, format=kind),
            threshold=threshold,
            top=top,
            all_tags=all_tags,
            on=on,
            off=off,
            min_gap_s=min_gap,
            min_duration_s=min_duration,
            refuse=refuse,
        )
        if as_json and kind is not None and target is None:
            raise InputError(f"--json and --format {kind}: both want stdout; give --out for the rows.")

        from earmark.tagging.batch import tag_all
        from earmark.tagging.inputs import Listing, count_files, expand
        from earmark.tagging.tagger import load

        tagger = load(model)
        records: list[dict[str, Any]] = []
        sink = _sink(console, records, tagger, target, kind, choice, overlap, restart=restart)
        listing = Listing(0) if "-" in inputs else None
        summary = tag_all(
            tagger,
            expand(inputs, listing, zero_separated=null),
            sink,
            total=count_files(inputs, sink.done, listing, zero_separated=null),
            overlap=overlap,
            workers=workers,
            timeout_s=limit,
            first=first,
            progress=console.progress(),
        )
    _tell(console, summary, target)
    result = {"model": {"name": tagger.header.name, "hash": tagger.bundle.hash}, "out": out, **summary.to_json()}
    if kind is None:
        result["recordings"] = records
    console.finish(result, next_step=_next_step(summary, model, kind, target))
    if summary.exit_code:
        raise typer.Exit(summary.exit_code)


def _sink(
    console: Console,
    records: list[dict[str, Any]],
    tagger: Tagger,
    out: Path | None,
    format: Format | None,
    choice: Choice,
    overlap: float | None,
    *,
    restart: bool,
) -> Sink:
    from earmark.tagging import batch
    from earmark.tagging.rows import record

    if format is None and console.as_json:
        return batch.CallSink(lambda scores: records.append(record(scores, choice)))
    if format is None:
        return batch.CallSink(lambda scores: _show(console, scores, choice))
    if out is None:
        return batch.StreamSink(sys.stdout.buffer, format, choice)
    return batch.file_sink(out, format, choice, tagger, overlap, restart=restart)


def _show(console: Console, scores: Scores, choice: Choice) -> None:
    """One recording for people: a line for the whole of it, or one for each window or event that was asked for."""
    from earmark.tagging.rows import rows

    mark = "  (unknown: unlike anything the model was trained on)" if scores.is_unknown else ""
    console.say(f"{scores.recording}  {scores.duration_s:.1f} s{mark}")
    if scores.warning is not None:
        console.say(f"  read in part: {scores.warning}")
    for row in rows(scores, choice):
        span = f"{row.start_s:9.2f} - {row.end_s:9.2f} s  " if choice.per != "recording" else ""
        sure = "" if row.probability is None else f"{row.probability:6.1%}  "
        console.say(f"  {span}{sure}{row.tag}")


def _tell(console: Console, summary: Summary, out: Path | None) -> None:
    for refusal in summary.refusals[:_MOST_SHOWN]:
        console.say(f"refused ({refusal['reason']}): {refusal['message']}")
    if summary.refused > _MOST_SHOWN:
        console.say(f"... and {summary.refused - _MOST_SHOWN} more")
    console.say(summary.sentence(out))


def _next_step(summary: Summary, model: str, format: Format | None, out: Path | None) -> str | None:
    if format is None and summary.tagged:
        return f"earmark tag {quote(model)} ... --events --out tags.csv  (when each tag is heard, as a table)"
    if out is None and summary.tagged:
        rows = f"earmark tag {quote(model)} ... --out tags.{format}"
        return f"{rows}  (the same rows in a file, which a run that was stopped goes on with)"
    if summary.refused:
        return "mend or leave out the refused files, and run the same command again: only they are tried."
    if format == "audacity":
        return f"open a recording in Audacity, then File > Import > Labels: they lie below {out}"
    if format == "raven":
        return f"open a recording in Raven, then its selection table below {out}"
    return f"read {out}; the same command adds what is new among the recordings later."
