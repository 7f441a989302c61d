"""The command `learnt`: parse, call, render, and turn errors into one or two lines and an exit code.

Exit codes: 0 ok; 1 a threshold of --fail-if is crossed; 2 usage or bad input; 3 an untrusted file was refused;
4 interrupted, run the same command again to go on; 70 internal error.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

import cyclopts

from learnt.cli.ask import compare, measures
from learnt.cli.convert import convert
from learnt.cli.demo import demo
from learnt.cli.gated_networks import app as gated_app
from learnt.cli.programs_make import app as programs_app
from learnt.cli.programs_train import train as _programs_train  # noqa: F401  (its decorator adds it to the room)
from learnt.cli.rewards import app as rewards_app
from learnt.cli.show import show
from learnt.cli.study import app as study_app
from learnt.cli.study_gated import gated as _study_gated  # noqa: F401  (its decorator adds it to the room)
from learnt.cli.train import app as train_app
from learnt.core.version import VERSION

HELP = "What has a model learnt, and how do two learnt things differ?"
EPILOGUE = """Examples:
  learnt demo
  learnt train teacher --on shapes --out runs/mine
  learnt train student --teacher run:runs/mine#teacher --on shapes \\
      --out runs/mine
  learnt train population --on shapes --out runs/mine
  learnt compare run:runs/mine#teacher run:runs/mine#student \\
      --control run:runs/mine#population --on shapes --html report.html
  learnt compare run:runs/mine#teacher net.py:make \\
      --weights net.safetensors --on shapes --fail-if 'agreement<0.9'
  learnt show runs/demo

Models: run:PATH#NAME, FILE.py:factory (with --weights), timm:NAME,
torchvision:NAME, hf:ID.

Exit codes: 0 ok, 1 a --fail-if threshold is crossed, 2 usage or bad input,
3 untrusted file refused, 4 interrupted (run again to go on), 70 internal
error. Add --debug to any command for a traceback."""

app = cyclopts.App(
    name="learnt",
    help=HELP,
    version=VERSION,
    help_epilogue=EPILOGUE,
    help_format="plaintext",
    version_format="plaintext",
    default_parameter=cyclopts.Parameter(negative=()),
    suppress_keyboard_interrupt=False,
)
for command in (demo, compare, show, measures, convert):
    app.command(command)
for room in (train_app, rewards_app, programs_app, gated_app, study_app):
    app.command(room)
app.register_install_completion_command(name="--install-completion", add_to_startup=False)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit; never returns."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    signal.signal(signal.SIGTERM, _terminated)
    debug = "--debug" in arguments
    arguments = [x for x in arguments if x != "--debug"]
    sys.exit(run(arguments, debug=debug))


def _terminated(_number: int, _frame: Any) -> NoReturn:
    raise KeyboardInterrupt  # being told to stop is the same whoever says it


def run(arguments: Sequence[str], *, debug: bool = False) -> int:
    """The exit code of one command line; errors are said on standard error in one or two lines."""
    from learnt.core.errors import LearntError

    try:
        found = app(list(arguments), exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
        return found if isinstance(found, int) else 0
    except cyclopts.CycloptsError as error:
        return _say(f"{_one_line(error)} See learnt --help.", 2)
    except LearntError as error:
        return _say(str(error), error.exit_code, debug=debug)
    except KeyboardInterrupt:
        return _say("interrupted; run the same command again to go on", 4, debug=debug)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the interpreter's last flush is silent
        return 0
    except Exception as error:
        hint = "" if debug else "\nRun again with --debug for a traceback."
        return _say(f"internal error: {type(error).__name__}: {error}{hint}", 70, debug=debug)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _say(text: str, code: int, *, debug: bool = False) -> int:
    if debug:
        traceback.print_exc()
    clean = "".join(c if c.isprintable() or c == "\n" else "�" for c in text)
    print(f"learnt: {clean}", file=sys.stderr)
    return code
