"""The errors of the library: each names the argument, what was found, what was expected, and the way out.

Every class is a direct child of `LearntError`; the command line turns `exit_code` into its exit status
(0 ok, 1 threshold crossed, 2 usage or bad input, 3 untrusted file refused, 4 interrupted and resumable,
70 internal).
"""

from __future__ import annotations

from typing import ClassVar


class LearntError(Exception):
    """Base of every error that the library raises on purpose.

    Args:
        argument: the name of the argument, file or object at fault.
        found: what was there, short.
        expected: what should have been there.
        remedy: what to do next, if that is not obvious.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, argument: str, *, found: str, expected: str, remedy: str = "") -> None:
        self.argument = argument
        self.found = found
        self.expected = expected
        self.remedy = remedy
        message = f"{argument}: found {found}; expected {expected}."
        super().__init__(f"{message} {remedy}".strip())

    def __reduce__(self):  # worker processes send errors home; exceptions with keywords need help for that
        return _rebuild, (type(self), self.argument, self.found, self.expected, self.remedy)


def _rebuild(kind: type[LearntError], argument: str, found: str, expected: str, remedy: str) -> LearntError:
    return kind(argument, found=found, expected=expected, remedy=remedy)


class InputError(LearntError, ValueError):
    """An argument has a value that has no meaning here."""


class ShapeError(LearntError, ValueError):
    """An array has the wrong shape, or two arrays do not fit together."""


class NonFiniteError(LearntError, ValueError):
    """An array holds NaN or infinity; the text gives the count and the first index."""


class NotApplicable(LearntError, ValueError):
    """A question cannot be asked of this thing or on this data (no labels, no layers, no masks ...)."""


class UntrustedFileError(LearntError, ValueError):
    """A file could run code, lies about its size, or is not of a format that is safe to open."""

    exit_code: ClassVar[int] = 3


class StorageError(LearntError, OSError):
    """A file or directory cannot be read or written: missing, not permitted, or the disk is full."""


class BusyError(LearntError, RuntimeError):
    """Another live process holds this run directory."""


class ResumeError(LearntError, RuntimeError):
    """A run directory belongs to other settings, or its contents do not match its manifest."""


class DivergedError(LearntError, ArithmeticError):
    """Training produced NaN or infinity; the text names step, replica and the last good checkpoint."""


class MissingExtra(LearntError, ImportError):
    """An optional dependency is not installed; the text gives the exact command."""


class Interrupted(LearntError, RuntimeError):
    """Work was stopped by a signal and can be resumed by running the same command again."""

    exit_code: ClassVar[int] = 4


def require_extra(module: str, extra: str) -> MissingExtra:
    """The error to raise when `module` of the optional group `extra` cannot be imported."""
    return MissingExtra(
        module,
        found="a Python environment without it",
        expected=f"the package {module!r}",
        remedy=f"Install it with: pip install 'learnt[{extra}]'",
    )
