"""The one error tree.

Every message names the file or field, what was found, what was expected and the next step, in one sentence or two.
The command line prints the message alone and exits with `exit_code`: 2 for bad input, 1 for a run that failed.
"""


class EarmarkError(Exception):
    """Anything Earmark refuses or fails at, worded for the person who has to act on it."""

    exit_code = 1


class InputError(EarmarkError):
    """What the user handed over cannot be used: a path, a field, a value."""

    exit_code = 2


class AudioError(InputError):
    """An audio file that cannot be used.

    Attributes:
        path: the file.
        reason: one of the codes of `earmark.types.Reason`.
    """

    def __init__(self, path: str, reason: str, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type["AudioError"], tuple[str, str, str]]:
        # exceptions with more than one argument do not survive a process pool without this
        return type(self), (self.path, self.reason, str(self))


class LayoutError(InputError):
    """A folder or table of sounds that does not follow its layout; names row and column."""


class SplitError(InputError):
    """A split that cannot be made: too few groups for a class, or nothing left to train on."""


class LeakError(InputError):
    """The same audio, or the same group, in two splits."""


class RecipeError(InputError):
    """A recipe with an unknown or impossible field; names the field and the nearest right one."""


class BundleError(InputError):
    """A model folder that is missing, altered, or of a newer format."""


class CacheError(EarmarkError):
    """The store of prepared audio cannot be written or read."""


class TrainingError(EarmarkError):
    """A training run that failed: NaN, a collapse no safer setting cured, a failed export."""


class ExportError(TrainingError):
    """The exported graph and the trained net disagree."""


class Interrupted(EarmarkError):  # noqa: N818 - it is not an error of anybody's
    """Stopped by the user; says what is kept and how to go on."""


class MissingExtraError(InputError):
    """A command needs an extra that is not installed, e.g. `pip install "earmark[train]"`."""


class CatalogError(InputError):
    """The database cannot be used: missing, out of reach, of a newer version, or not ours; or a task that cannot be."""


class NotFoundError(CatalogError):
    """A task, clip, annotator or set that the catalog does not hold."""


class NotAllowedError(CatalogError):
    """Something that this person's role, or a clip that is another's, does not allow."""


class ConflictError(CatalogError):
    """Something that came too late or twice: the place is taken, the name is used, the answer is another already."""


class BusyError(CatalogError):
    """The database is held by others for longer than one waits; the same again may succeed."""

    exit_code = 1


class UnreachableError(CatalogError):
    """The database does not answer, or cannot be read or written just now."""
