"""What the words of `learnt gated` mean: tasks, candidates, observed losses; and how an answer is handed over."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from learnt.cli.outputs import told

if TYPE_CHECKING:
    import numpy as np

    from learnt.gated.gated_task import GatedTask

Json = Annotated[Path | None, Parameter(allow_leading_hyphen=True)]
Picture = Annotated[tuple[Path, ...], Parameter(name=("--picture", "--png", "--svg"))]
PICTURES = (".png", ".svg", ".pdf")
_LISTED = {"weights", "gating"}  # arguments of named tasks that are rows of numbers: 6/4/3


def task_of_word(word: str) -> GatedTask:
    """A task: a file .npz, .toml, .json or .yaml; a name with arguments, as routing:M=7,K=4; FILE.py:factory."""
    from learnt.core.errors import InputError
    from learnt.gated.gated_task import GatedTask
    from learnt.gated.task_files import load_task
    from learnt.gated.task_settings import NAMED, named_task
    from learnt.io.settings import SUFFIXES

    file, _, function = word.rpartition(":")
    if file.endswith(".py") and function:
        from learnt.adapters.python_file import make

        found = make(Path(file), function)
        if not isinstance(found, GatedTask):
            raise InputError("task", found=f"a {type(found).__name__} from {word}", expected="a learnt.gated.GatedTask")
        return found
    name, _, rest = word.partition(":")
    if name in NAMED:
        return named_task(name, dict(_argument(part, word) for part in rest.split(",") if part))
    if Path(word).suffix.lower() in (".npz", *SUFFIXES):
        return load_task(word)
    if Path(word).suffix:
        raise InputError("task", found=repr(word), expected=f"a file that ends in .npz, {', '.join(SUFFIXES)}")
    return named_task(name, {})  # its error names the nearest


def candidates_of(words: Sequence[str]) -> dict[str, GatedTask]:
    """Candidates by name: NAME=WORD, or the stem of the file, numbered where two are alike."""
    named, short = [], []
    for word in words:
        name, sign, rest = word.partition("=")
        own = bool(sign and name and rest) and not {":", "/"} & set(name) and not Path(word).exists()
        named.append(rest if own else word)
        is_file = Path(word).suffix != "" and ":" not in word
        short.append(name if own else Path(word).stem if is_file else word)
    names = [s if short.count(s) == 1 else f"{s} ({i})" for i, s in enumerate(short, start=1)]
    return {name: task_of_word(word) for name, word in zip(names, named, strict=True)}


def losses_of(path: Path) -> Any:
    """Losses of a run: a .csv with a column loss and, if not every step was kept, step; a .npy; a .npz with loss.

    Returns:
        (T,) or (T, runs), or a pair of steps and those.
    """
    from learnt.core.errors import InputError
    from learnt.io.arrays import read_npy, read_npz
    from learnt.io.tables import read_csv

    suffix = path.suffix.lower()
    if suffix == ".npy":
        return read_npy(path)
    if suffix == ".npz":
        columns: Mapping[str, np.ndarray] = read_npz(path)
    elif suffix == ".csv":
        table = read_csv(path)
        columns = {name: table.column(name) for name in table.columns}
    else:
        raise InputError("--observed", found=repr(str(path)), expected="a file .csv, .npz or .npy")
    steps = next((columns[name] for name in ("step", "steps", "epoch", "time") if name in columns), None)
    rest = {name: v for name, v in columns.items() if name not in ("step", "steps", "epoch", "time")}
    loss = next((rest[name] for name in ("loss", "losses") if name in rest), None)
    if loss is None and len(rest) == 1:
        loss = next(iter(rest.values()))
    if loss is None:
        raise InputError(str(path), found=", ".join(list(columns)[:8]) or "nothing", expected="one called loss")
    return loss if steps is None else (steps, loss)


@contextmanager
def quietly() -> Iterator[None]:
    """Without the warnings that the answer repeats among its notes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


def check_pictures(paths: Sequence[Path]) -> None:
    """Refuse, before the work, names that no picture can have."""
    from learnt.core.errors import InputError

    for path in paths:
        if path.suffix.lower() not in PICTURES:
            raise InputError("--picture", found=str(path), expected=f"a name that ends in {', '.join(PICTURES)}")


def hand_over(
    record: Mapping[str, Any],
    text: str,
    *,
    json: Path | None,
    quiet: bool,
    pictures: Sequence[Path] = (),
    html: Path | None = None,
    draw: Callable[[], Any] | None = None,
    title: str = "",
    notes: Sequence[str] = (),
    alt: str = "",
) -> None:
    """Print an answer, and write it as JSON, pictures and a page where those were asked for."""
    from learnt.io.atomic import dump_json, write_json

    if draw is not None and (pictures or html is not None):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from")  # names in scripts that the font lacks
            _draw(draw(), pictures, html, quiet, lambda made: _page(made, title, notes, alt, record, text))
    if json is not None and str(json) == "-":
        print(dump_json(record, name="answer"))
        return
    if json is not None:
        write_json(json, record)
        told(json, quiet)
    if not quiet:  # names may come from a file that somebody else wrote
        print("".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text))


def _page(made: Any, title: str, notes: Sequence[str], alt: str, record: Mapping[str, Any], text: str) -> str:
    """The text of a page with one picture."""
    from learnt.io.pages import Figure, page

    return page(title, notes, [Figure(made, alt)], [], record, text=text)


def _draw(made: Any, pictures: Sequence[Path], html: Path | None, quiet: bool, page: Callable[[Any], str]) -> None:
    from learnt.io.atomic import write_text
    from learnt.io.figures import save

    for path in pictures:
        save(made, path)
        told(path, quiet)
    if html is not None:
        write_text(html, page(made))
        told(html, quiet)


def _argument(part: str, word: str) -> tuple[str, Any]:
    """key=value; numbers become numbers, a/b/c a row of them."""
    from learnt.core.errors import InputError

    key, sign, value = part.partition("=")
    if not sign or not key or not value:
        raise InputError("task", found=repr(word), expected="NAME:key=value,key=value, such as routing:M=7,K=4")
    if key in _LISTED and "/" in value:
        return key, [_number(v) for v in value.split("/")]
    return key, _number(value)


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
