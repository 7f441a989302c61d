"""`learnt rewards compare|pairwise|score`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from learnt.cli.outputs import check_outputs, gate, told
from learnt.cli.worlds import distinct_names, metric_of, reward_of, world_of

if TYPE_CHECKING:
    from learnt.rewards.mdp import TabularMDP

app = App(name="rewards", help="How far apart are reward functions, and what can go wrong if one is optimised?")


@app.command
def compare(
    world: str,
    a: str,
    b: str,
    /,
    *,
    control: tuple[str, ...] = (),
    metric: str = "val-w2",
    policy: Path | None = None,
    discount: float | None = None,
    skip_regret: bool = False,
    max_distance: float | None = None,
    max_regret: float | None = None,
    json: Annotated[Path | None, Parameter(allow_leading_hyphen=True)] = None,
    html: Path | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> int:
    """Compare reward B with reward A, the one that is meant: distance, worst-case regret, and where they differ.

    Parameters
    ----------
    world
        A decision process: a file .npz (learnt.rewards.save_mdp), or gym:ID of a tabular Gymnasium environment.
    a
        The reward that is meant: the name of a reward in WORLD, a file .npy, FILE.npz#NAME, FILE.py:factory, or env for
        the environment's own.
    b
        The reward that would be optimised.
    control
        An independently made reward of B's kind; give it several times.
    metric
        CANONICALISATION-NORMALISATION-METRIC, such as val-l2-l2, minimal-w2 or val-range; norms l1, l2, linf, w1, w2,
        winf, range.
    policy
        A file .npy with the policy (S, A) of the canonical form val; the uniform one if not given.
    discount
        Discount of gym:ID, whose environments have none.
    skip_regret
        Leave the worst-case regret out.
    max_distance
        Exit with 1 if the distance is larger.
    max_regret
        Exit with 1 if the worst-case regret of optimising B when A is meant, as a share of A's range, is larger.
    json
        Write the numbers as JSON to this file; - writes them to standard output instead of the text.
    html
        Write the report to this file.
    overwrite
        Replace existing output files.
    quiet
        Print nothing but errors.
    """
    from learnt.rewards.record import compare_rewards

    if max_regret is not None and skip_regret:
        from learnt.core.errors import InputError

        raise InputError("--max-regret", found="a limit, and --skip-regret", expected="one of the two")
    check_outputs((json, html), overwrite)
    mdp, inside = world_of(world, discount)
    first, second, *others = (reward_of(spec, mdp, inside, world) for spec in (a, b, *control))
    form, normalisation, measure = metric_of(metric, policy)
    found = compare_rewards(
        first, second, mdp, names=_names(a, b), canonicalisation=form, normalisation=normalisation, metric=measure,
        regret=not skip_regret,
    )  # fmt: skip
    if json is not None and str(json) != "-":
        from learnt.io.atomic import write_json

        write_json(json, found.to_dict())
        told(json, quiet)
    if html is not None:
        names = found.names
        report = _report(first, second, others, mdp, form, normalisation, names, regret=not skip_regret)
        report.to_html(html, title=f"Would optimising {names[1]} be safe for {names[0]}?")
        told(html, quiet)
    if json is not None and str(json) == "-":
        print(found.to_json(), end="")
    elif not quiet:
        print(found.summary())
    regret = None if found.worst_case_regret is None else found.worst_case_regret.normalised
    return gate((("--max-distance", "distance", found.distance, max_distance),
                  ("--max-regret", "worst-case regret", regret, max_regret)))  # fmt: skip


@app.command
def pairwise(
    world: str,
    /,
    *rewards: str,
    metric: str = "val-w2",
    policy: Path | None = None,
    discount: float | None = None,
    max_distance: float | None = None,
    json: Annotated[Path | None, Parameter(allow_leading_hyphen=True)] = None,
    picture: Path | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> int:
    """Distances between all pairs of rewards, with a heat map.

    Parameters
    ----------
    world
        A decision process: a file .npz, or gym:ID.
    rewards
        Two rewards or more, see: learnt rewards compare --help; all rewards of WORLD if none is given.
    metric
        CANONICALISATION-NORMALISATION-METRIC, see: learnt rewards compare --help.
    policy
        A file .npy with the policy (S, A) of the canonical form val.
    discount
        Discount of gym:ID.
    max_distance
        Exit with 1 if two rewards are farther apart.
    json
        Write the matrix as JSON to this file; - writes it to standard output instead of the table.
    picture
        Write heat map, dendrogram and map to this file, .png, .svg or .pdf.
    overwrite
        Replace existing output files.
    quiet
        Print nothing but errors.
    """
    from learnt.core.errors import InputError
    from learnt.rewards.pairwise import pairwise_rewards

    check_outputs((json, picture), overwrite)
    mdp, inside = world_of(world, discount)
    chosen = rewards or tuple(inside)
    if len(chosen) < 2:
        raise InputError("rewards", found=f"{len(chosen)}", expected="at least two")
    names = distinct_names(chosen)
    form, normalisation, measure = metric_of(metric, policy)
    found = pairwise_rewards(
        {name: reward_of(spec, mdp, inside, world) for name, spec in zip(names, chosen, strict=True)},
        mdp, canonicalisation=form, normalisation=normalisation, metric=measure,
    )  # fmt: skip
    if json is not None and str(json) != "-":
        from learnt.io.atomic import write_json

        write_json(json, found.to_dict())
        told(json, quiet)
    if picture is not None:
        found.save_picture(picture)
        told(picture, quiet)
    if json is not None and str(json) == "-":
        from learnt.io.atomic import dump_json

        print(dump_json(found.to_dict(), name="matrix"))
    elif not quiet:
        print(found)
    largest = float(found.distances.max())
    return gate((("--max-distance", "the largest distance", largest, max_distance),))


@app.command
def score(
    *,
    scores: Annotated[tuple[Path, ...], Parameter(consume_multiple=True)],
    group: str = "prompt_id",
    response: str = "response_id",
    field: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = (),
    length: str | None = None,
    best_of: Annotated[tuple[int, ...], Parameter(consume_multiple=True)] = (),
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    max_distance: float | None = None,
    max_regret: float | None = None,
    json: Annotated[Path | None, Parameter(allow_leading_hyphen=True)] = None,
    html: Path | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> int:
    """Compare reward models by their scores of the same responses; the first model is the one that is meant.

    Parameters
    ----------
    scores
        Files of scores, JSON lines or CSV, one record a response; the rows of several are joined.
    group
        Field of the prompt.
    response
        Field of the response.
    field
        Fields of scores, if they are not called score.
    length
        Field of the response's length, or of its text: the cosine without length is then shown too.
    best_of
        Numbers of responses to pick from; all that the data allow if not given.
    confidence
        Coverage of the intervals.
    resamples
        Repetitions of the bootstrap over prompts.
    seed
        Seed of everything random.
    max_distance
        Exit with 1 if two models are farther apart.
    max_regret
        Exit with 1 if picking the best of N by another model loses more than this many standard deviations of the first
        model's scores within a prompt, at any N.
    json
        Write the numbers as JSON to this file; - writes them to standard output instead of the tables.
    html
        Write a report about the first two models to this file.
    overwrite
        Replace existing output files.
    quiet
        Print nothing but errors.
    """
    from learnt.rewards.best_of_n import best_of_n_regret
    from learnt.rewards.responses import response_distance
    from learnt.rewards.score_files import read_scores

    check_outputs((json, html), overwrite)
    table = read_scores(scores, group=group, response=response, score=field or None, length=length)
    found = response_distance(table, level=confidence, n_boot=resamples, seed=seed)
    true, *others = table.names
    picked = [
        best_of_n_regret(
            table.view(true), table.view(other), table.data, best_of or None, level=confidence, n_boot=resamples,
            seed=seed, names=(true, other),
        )
        for other in others
    ]  # fmt: skip
    record = {"schema": "learnt.responses/1", "distances": found.to_dict(), "best_of_n": [p.to_dict() for p in picked]}
    if json is not None and str(json) != "-":
        from learnt.io.atomic import write_json

        write_json(json, record)
        told(json, quiet)
    if html is not None:
        from learnt.core.compare import compare as ask
        from learnt.rewards.best_of_n_measure import BestOfNRegret
        from learnt.rewards.response_measure import ResponseDistance

        answers = ask(
            table.view(true), table.view(others[0]), table.data, measures=[ResponseDistance(), BestOfNRegret()],
            controls=[table.view(name) for name in others[1:]], confidence=confidence, resamples=max(100, resamples),
            rng=seed, labels=(true, others[0], "other models"), quiet=True,
        )  # fmt: skip
        answers.to_html(html, title=f"Would {others[0]} prefer the same responses as {true}?")
        told(html, quiet)
    if json is not None and str(json) == "-":
        from learnt.io.atomic import dump_json

        print(dump_json(record, name="scores"))
    elif not quiet:
        _print_tables(found, *picked)
    worst = max((e.value for p in picked for e in p.relative if e.defined), default=None)
    largest = max(pair.distance.value for pair in found.pairs)
    return gate((("--max-distance", "the largest distance", largest, max_distance),
                  ("--max-regret", "the largest best-of-N regret", worst, max_regret)))  # fmt: skip


# -- what the words on the command line mean -----------------------------------------------------------------


def _report(
    a: Any, b: Any, controls: list[Any], mdp: TabularMDP, form: Any, norm: Any, names: tuple[str, ...], *, regret: bool
) -> Any:
    from learnt.core.compare import compare as ask
    from learnt.rewards.safety import OptimalRegret, Safety
    from learnt.rewards.starc import STARC

    measures: list[Any] = [STARC(canonicalisation=form, norm=norm)]
    if regret:
        measures += [Safety(), OptimalRegret()]
    labels = (names[0], names[1], "control")
    return ask(a, b, mdp, measures=measures, controls=controls, labels=labels, quiet=True)


def _names(a: str, b: str) -> tuple[str, str]:
    first, second = distinct_names((a, b))
    return first, second


def _print_tables(*results: Any) -> None:
    from rich.console import Console

    from learnt.rewards.score_report import report_tables

    console = Console()
    for table in report_tables(*results):
        console.print(table)
