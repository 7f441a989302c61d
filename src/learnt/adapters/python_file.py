"""`FILE.py:factory`: a model made by the user's own function.

This is the one place where a named file is executed, and only because the user typed its name on the command line or
in Python; no data, settings or results file can cause it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from learnt.core.errors import InputError
from learnt.io.reading import open_regular, printable


def make(path: Path, name: str, *, classes: int | None = None) -> Any:
    """Run the file and call its function `name`.

    Args:
        path: the file; its folder is importable while it runs, as when it is run by python itself.
        name: a function without required arguments, or whose only required one is `classes`.
        classes: number of outputs, handed to the function if it takes an argument of that name.

    Raises:
        StorageError: no such file. InputError: no such function, or it failed; the text has the reason and the line.
    """
    with _found(path, name) as factory:
        arguments = {"classes": classes} if classes is not None and _takes(factory, "classes") else {}
        try:
            return factory(**arguments)
        except Exception as error:
            raise _failed(path, name, error) from error


def function(path: Path, name: str) -> Callable[..., Any]:
    """Run the file and return its function `name`; arguments and errors as `make`."""
    with _found(path, name) as found:
        return found


@contextmanager
def _found(path: Path, name: str) -> Iterator[Callable[..., Any]]:
    with open_regular(path, argument="spec"):
        pass  # a clear error for a missing file
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        module = _execute(path)
        factory = getattr(module, name, None)
        if not callable(factory):
            own = [
                k for k, v in vars(module).items() if callable(v) and getattr(v, "__module__", "") == module.__name__
            ]
            near = get_close_matches(name, own, n=3, cutoff=0.3) or own[:5]
            raise InputError(
                "spec", found=f"no function {printable(name)!r} in {path}", expected="a function of this name",
                remedy=f"Nearest names: {', '.join(near)}." if near else "The file defines none.",
            )  # fmt: skip
        yield factory
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def _execute(path: Path) -> ModuleType:
    name = f"learnt_user_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}"
    specification = importlib.util.spec_from_file_location(name, path)
    if specification is None or specification.loader is None:
        raise InputError("spec", found=str(path), expected="a Python file")
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module  # data classes and typing look themselves up there
    try:
        specification.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, (Exception, SystemExit)):
            raise _failed(path, None, error) from error
        raise
    return module


def _takes(factory: Any, name: str) -> bool:
    try:
        return name in inspect.signature(factory).parameters
    except (TypeError, ValueError):
        return False


def _failed(path: Path, name: str | None, error: BaseException) -> InputError:
    line, trace = 0, error.__traceback__
    while trace is not None:  # the deepest line that lies in the user's own file
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, SyntaxError):
        line = error.lineno or 0
    what = f"while {name}() ran" if name else "while the file ran"
    where = f" (line {line})" if line else ""
    return InputError(
        str(path), found=f"{type(error).__name__} {what}{where}: {printable(error, 200)}", expected="a model"
    )
