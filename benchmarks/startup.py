"""How long until the first word? `import learnt` and `learnt --help`, against a bare Python and `import torch`.

Best of several runs of whole processes; torch must not be loaded by either (wanted: 0.3 s beyond bare Python, 0.5 s).

    python -m benchmarks.startup [--quick]
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from learnt.io.atomic import write_json

RESULTS = Path(__file__).parent / "results" / "startup.json"
HELP = "import sys; sys.argv = ['learnt', '--help']; from learnt.cli.main import main; main()"
COMMANDS = {
    "bare Python": "pass",
    "import learnt": "import learnt",
    "learnt --help": HELP,
    "import torch (for scale)": "import torch",
}


def best(code: str, times: int) -> float:
    """Least wall seconds of a Python process that runs `code`."""
    found = []
    for _ in range(times):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
        found.append(time.perf_counter() - begin)
    return min(found)


def main(arguments: list[str]) -> int:
    times = 3 if "--quick" in arguments else 10
    seconds = {name: best(code, times) for name, code in COMMANDS.items()}
    look = "import learnt, learnt.cli.main, sys; print('torch' in sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", look], check=True, capture_output=True, text=True).stdout.strip()
    table = Table("what", "seconds", title=f"start-up, best of {times}")
    for name, value in seconds.items():
        table.add_row(name, f"{value:.3f}")
    Console().print(table)
    write_json(RESULTS, {"seconds": seconds, "torch_loaded": loaded == "True"})
    ok = (
        seconds["import learnt"] - seconds["bare Python"] < 0.3 and seconds["learnt --help"] < 0.5 and loaded == "False"
    )
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
