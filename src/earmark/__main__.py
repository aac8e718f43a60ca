"""The console script, and `python -m earmark`: Ctrl-C is settled before anything else is imported.

Importing the commands takes a tenth of a second, in which Python would answer Ctrl-C with a traceback. Until
`earmark.cli.main.run` takes it over, it ends the process as it ends any program: silently, by the signal (130 in a
shell). What Python does before it comes here, some 20 ms, is out of our hands.
"""

# what `signal` is made of: that one imports enum, collections and functools first, 5 ms in which Ctrl-C may come
import _signal  # type: ignore[import-not-found]

# ignored, as in the background, or somebody else's: then it stays
if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)


def run() -> None:
    """See `earmark.cli.main.run`."""
    from earmark.cli.main import run as command

    command()


if __name__ == "__main__":
    run()
