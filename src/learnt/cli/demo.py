"""`learnt demo`."""

from __future__ import annotations

from pathlib import Path


def demo(
    *,
    data: tuple[str, ...] = (),
    root: str | None = None,
    out: Path = Path("runs/demo"),
    students: int = 5,
    epochs: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    quiet: bool = False,
) -> None:
    """Train a teacher, independent and distilled students, compare them, and write a report.

    Finished parts are reused and an interrupted demo goes on where it was: run the same command again.

    Parameters
    ----------
    data
        Sets: digits and shapes if not given; any set of the library, such as mnist with --root.
    root
        Folder that holds the files of a named set.
    out
        Directory for models, comparisons and the report.
    students
        Replicas of the distilled students and of the controls.
    epochs
        Instead of each set's own number.
    limit
        Use at most this many training examples and as many test examples.
    seed
        Seed of everything random.
    quiet
        Print nothing but errors.
    """
    from learnt.studies.demo import SETS, run

    found = run(
        out, sets=data or SETS, root=root, students=students, epochs=epochs, limit=limit, seed=seed, quiet=quiet,
        say=(lambda _text: None) if quiet else print,
    )  # fmt: skip
    if not quiet:
        for comparison in found.comparisons:
            print(comparison)
        print(f"report   {found.html}\nnumbers  {found.json}")
