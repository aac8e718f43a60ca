"""`earmark`: one file a verb. Each verb imports what it needs when it runs, so --help answers at once."""

from __future__ import annotations

import sys

import typer

from earmark import __version__
from earmark.cli import VERBS
from earmark.errors import EarmarkError

app = typer.Typer(
    name="earmark",
    help="From a folder of sounds to a tagger you can trust.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(show: bool) -> None:
    if show:
        print(f"earmark {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """From a folder of sounds to a tagger you can trust."""


for _register in VERBS:
    _register(app)


def run() -> None:
    """The console script: one sentence for an error, never a traceback; 2 for bad input, 1 for a failed run."""
    try:
        app()
    except EarmarkError as error:
        print(f"earmark: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print(
            "earmark: stopped by Ctrl-C; finished work is kept, run the same command again to go on.", file=sys.stderr
        )
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(1)


if __name__ == "__main__":
    run()
