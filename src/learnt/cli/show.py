"""`learnt show`."""

from __future__ import annotations

from pathlib import Path


def show(run: Path, /, *, json: bool = False, html: Path | None = None, overwrite: bool = False) -> None:
    """Print what a run or a saved comparison holds.

    Parameters
    ----------
    run
        A run directory, or a JSON or HTML file that learnt wrote.
    json
        Print the comparisons as JSON.
    html
        Write the report again to this file.
    overwrite
        Replace an existing file.
    """
    from learnt.core.errors import InputError
    from learnt.io.atomic import dump_json
    from learnt.report.html import write
    from learnt.studies.saved import comparisons, models

    found, trained = comparisons(run), models(run)
    if not found and not trained:
        raise InputError(str(run), found="no models and no comparison", expected="a run directory")
    if json:
        print(
            dump_json({"schema": "learnt.report/1", "comparisons": [c.to_dict() for c in found]}, name="report"), end=""
        )
    else:
        for name in trained:
            print(f"model  run:{run}#{name}")
        for comparison in found:
            print(comparison)
    if html is not None:
        if html.exists() and not overwrite:
            raise InputError(
                str(html), found="an existing file", expected="a new one", remedy="Pass --overwrite to replace it."
            )
        if not found:
            raise InputError(str(run), found="no comparison", expected="at least one to report")
        write(found, html)
