"""Run every benchmark of this folder, each in a process of its own, and say which ones met their targets.

    python -m benchmarks                      all of them
    python -m benchmarks cka populations      those two
    python -m benchmarks --quick              pass --quick on to each: fewer repetitions

Each script prints its table and writes `benchmarks/results/<name>.json`. The exit code is 1 if one of them failed.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent


def names() -> list[str]:
    """The benchmarks, by name of their script."""
    return sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_"))


def main(arguments: list[str]) -> int:
    options = [a for a in arguments if a.startswith("-")]
    wanted = [a for a in arguments if not a.startswith("-")] or names()
    unknown = [name for name in wanted if name not in names()]
    if unknown:
        print(f"no benchmark is called {', '.join(unknown)}; there are: {', '.join(names())}", file=sys.stderr)
        return 2
    console, rows = Console(), []
    for name in wanted:
        console.rule(name)
        begin = time.monotonic()
        code = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options], cwd=HERE.parent).returncode
        rows.append((name, code, time.monotonic() - begin))
    table = Table(title="benchmarks")
    for column in ("name", "result", "seconds", "numbers"):
        table.add_column(column)
    for name, code, seconds in rows:
        written = HERE / "results" / f"{name}.json"
        numbers = str(written.relative_to(HERE.parent)) if written.exists() else "none"
        table.add_row(name, "done" if code == 0 else f"failed (exit {code})", f"{seconds:.0f}", numbers)
    console.print(table)
    return 1 if any(code for _, code, _ in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
