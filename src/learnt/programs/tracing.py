"""What does a program do with this input, step by step? Every variable, every look with its reason, every vote.

A `Trace` is a `Run` for people: values stand as the token, position or number that they mean, each head says where it
looked and why, and each variable what it adds to the two labels with most votes. The semantics are those of
`learnt.programs.interpreter`; nothing is computed a second way. It prints as a table, is written as one HTML page
with arrows (`learnt.programs.trace_html`), and answers "why not X" (`learnt.programs.votes`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

from learnt.programs._frozen import FrozenMap, integer
from learnt.programs._typed import Kind, kinds, reads, shown, spelled
from learnt.programs.interpreter import Run, attend, run
from learnt.programs.program import Head, Program
from learnt.programs.votes import Votes, Why, top_two, votes, why_of

SCHEMA = "learnt.trace/1"
Reason = Literal["match", "nearest", "self", "default", "sum"]


@final
@dataclass(frozen=True, kw_only=True)
class Look:
    """What one head does at one position.

    Attributes:
        query: the value that asks.
        wanted: the key value that it looks for.
        matches: all positions with this key value, the own one included.
        position: the position attended to; None for a numerical head, which sums over all matches.
        reason: ``"match"``: the only one beside itself; ``"nearest"``: of several; ``"self"``: only it matches itself;
            ``"default"``: nothing matches, so position 0; ``"sum"``: a numerical head.
    """

    query: str | int
    wanted: str | int
    matches: tuple[int, ...]
    position: int | None
    reason: Reason


@final
@dataclass(frozen=True, kw_only=True)
class TracedVariable:
    """One variable at all n positions.

    Attributes:
        name: of the variable.
        kind: what its values stand for: ``"token"`` or ``"position"`` of the input, ``"embedding"`` (of `emb_e`),
            ``"value"`` (an output of an MLP), ``"number"``. A categorical head has the kind of what it copies.
        layer: that writes it; None for variables of the input.
        module: ``"input"``, ``"attn"``, ``"num_attn"``, ``"mlp"`` or ``"num_mlp"``.
        reads: (role, variable): query, key and value of a head, inputs of an MLP.
        values: tokens as text, all else as integers.
        looks: of a head, one a position; else empty.
    """

    name: str
    kind: Kind
    layer: int | None
    module: str
    reads: tuple[tuple[str, str], ...]
    values: tuple[str | int, ...]
    looks: tuple[Look, ...] = ()

    def reading(self, role: str) -> str:
        """The variable that is read in a role.

        Args:
            role: "query", "key" or "value" of a head.
        """
        return dict(self.reads)[role]


@final
@dataclass(frozen=True, kw_only=True)
class Answer:
    """The prediction at one position, or for the input.

    Attributes:
        position: of the token; None if the program pools.
        labels: the predicted label and the next best; only one if no other may be predicted.
        logits: theirs.
        votes: what each variable adds to these logits.
    """

    position: int | None
    labels: tuple[str, ...]
    logits: tuple[float, ...]
    votes: FrozenMap[tuple[float, ...]]


@final
@dataclass(frozen=True, kw_only=True)
class Trace:
    """What a program does with one input of n tokens.

    Attributes:
        program: that was run.
        given: the tokens as they were given, without padding.
        run: values as integers.
        variables: all of them, in the order in which they are written: layer by layer.
        answers: one a token; one if the program pools.
        votes: each variable's vote for each label.
    """

    program: Program
    given: tuple[str, ...]
    run: Run
    variables: tuple[TracedVariable, ...]
    answers: tuple[Answer, ...]
    votes: Votes

    @property
    def tokens(self) -> tuple[str, ...]:
        """The tokens as the program read them: unknown ones are `<unk>`."""
        return self.run.tokens

    @property
    def predictions(self) -> tuple[str, ...]:
        """The label of each token; one if the program pools."""
        return self.run.predictions

    def __getitem__(self, name: str) -> TracedVariable:
        """One variable by name; KeyError if there is none."""
        for variable in self.variables:
            if variable.name == name:
                return variable
        raise KeyError(name)

    def __str__(self) -> str:
        return self.text()

    def text(self, *, width: int = 100) -> str:
        """A table of variables by positions, and the votes; wrapped into blocks of at most `width` columns.

        Args:
            width: columns of a block.
        """
        from learnt.programs._trace_text import table

        return table(self, width)

    def why(self, position: int | None = None, instead: str | None = None, *, label: str | None = None) -> Why:
        """Why `label` (the predicted one) and not `instead` (the next best); see `learnt.programs.votes.why`.

        Args:
            position: of the token that is labelled; None if the program pools.
            instead: by default the next best label.
            label: by default the predicted one.

        Raises:
            InputError: a position outside the input, labels that do not exist or are one.
        """
        return why_of(self.program, self.run, self.votes, position, label, instead)

    def reasons(self, position: int) -> tuple[str, ...]:
        """One sentence a module: what it read at a position; for a head also where it looked, and why there.

        Args:
            position: counted from 0.

        Raises:
            InputError: a position outside the input.
        """
        place = integer(position, "position", 0, len(self.tokens) - 1)
        return tuple(f"{v.name}: {sentence(self, v, place)}" for v in self.variables if v.layer is not None)

    def to_fields(self) -> dict[str, Any]:
        """The trace as plain lists and dictionaries, with its schema `learnt.trace/1`."""
        return {
            "schema": SCHEMA,
            "given": list(self.given),
            "tokens": list(self.tokens),
            "predictions": list(self.predictions),
            "variables": [
                {
                    "name": v.name,
                    "kind": v.kind,
                    "layer": v.layer,
                    "module": v.module,
                    "reads": [list(pair) for pair in v.reads],
                    "values": list(v.values),
                    "looks": [_look_fields(look) for look in v.looks],
                }
                for v in self.variables
            ],
            "answers": [
                {
                    "position": a.position,
                    "labels": list(a.labels),
                    "logits": list(a.logits),
                    "votes": {name: list(row) for name, row in a.votes.items()},
                }
                for a in self.answers
            ],
        }

    def to_html(self, path: str | os.PathLike[str], *, title: str | None = None) -> Path:
        """Write one self-contained HTML page, atomically; `learnt.programs.trace_html.write`.

        Args:
            path: of the page; one that is there is replaced.
            title: of the page; by default the tokens.
        """
        from learnt.programs.trace_html import write

        return write(self, path, title=title)


def trace(program: Program, tokens: Sequence[str], *, unknown: str = "auto") -> Trace:
    """What a program does with one input.

    Args:
        program: to run.
        tokens: the input, beginning-of-sequence token included.
        unknown: what to do with a token outside the vocabulary; see `learnt.programs.tokens`.

    Raises:
        InputError: an input that the program cannot take, or numerical values that an MLP has no answer for.
    """
    words = list(tokens) if isinstance(tokens, Iterable) and not isinstance(tokens, str) else tokens
    ran = run(program, words, unknown=unknown)
    cast = votes(program, ran)
    return Trace(
        program=program,
        given=tuple(words[: len(ran.tokens)]),
        run=ran,
        variables=_variables(program, ran),
        answers=tuple(_answer(program, cast, row, None if program.pool else i) for i, row in enumerate(ran.logits)),
        votes=cast,
    )


def sentence(trace: Trace, variable: TracedVariable, position: int) -> str:
    """What a module does at a position, in words."""
    if not variable.looks:
        inputs = ", ".join(f"{name} = {shown(trace[name].values[position], 40)}" for _, name in variable.reads)
        return f"{inputs} gives {variable.values[position]}"
    look = variable.looks[position]
    asks = f"{variable.reading('query')} = {shown(look.query, 40)} looks for {variable.reading('key')} = "
    asks += shown(look.wanted, 40)
    places = ", ".join(map(str, look.matches))
    value = shown(variable.values[position], 40)
    if look.reason == "sum":
        source = variable.reading("value")
        where = f"found at {places}" if look.matches else "found nowhere"
        return f"{asks}: {where}; the sum of {source} is {value}"
    where = f"reads {variable.reading('value')} = {value} at position {look.position}"
    reason = {
        "match": "the only match" if position not in look.matches else "the only match beside itself",
        "nearest": f"the nearest of the matches {places}",
        "self": "only this position itself matches",
        "default": "nothing matches, so the start",
    }[look.reason]
    return f"{asks}: {where} ({reason})"


def _variables(program: Program, ran: Run) -> tuple[TracedVariable, ...]:
    kind, read = kinds(program), reads(program)
    names = {"cat_heads": "attn", "num_heads": "num_attn", "cat_mlps": "mlp", "num_mlps": "num_mlp"}

    def traced(name: str, layer: int | None, module: str, looks: tuple[Look, ...] = ()) -> TracedVariable:
        values = tuple(spelled(program, kind[name], value) for value in ran.variables[name])
        return TracedVariable(
            name=name, kind=kind[name], layer=layer, module=module, reads=read.get(name, ()), values=values, looks=looks
        )

    found = [traced(name, None, "input") for name in (*program.input_variables, "positions", "ones")]
    for layer, field, module in program.modules():
        looks = _looks(program, ran, module, kind) if isinstance(module, Head) else ()
        found.append(traced(module.name, layer, names[field], looks))
    return tuple(found)


def _looks(program: Program, ran: Run, head: Head, kind: Mapping[str, Kind]) -> tuple[Look, ...]:
    queries, keys = ran.variables[head.query], ran.variables[head.key]
    categorical = head.name in ran.attended
    found = ran.attended[head.name] if categorical else attend(queries, keys, head.predicate, causal=program.causal)
    return tuple(
        Look(
            query=spelled(program, kind[head.query], query),
            wanted=spelled(program, kind[head.key], head.predicate[query]),
            matches=at.matches,
            position=at.position if categorical else None,
            reason=at.reason if categorical else "sum",
        )
        for query, at in zip(queries, found, strict=True)
    )


def _answer(program: Program, cast: Votes, row: Sequence[float], position: int | None) -> Answer:
    best = top_two(program, row)
    return Answer(
        position=position,
        labels=tuple(program.labels[y] for y in best),
        logits=tuple(row[y] for y in best),
        votes=FrozenMap({name: tuple(cast.at(name, position)[y] for y in best) for name in cast.by_variable}),
    )


def _look_fields(look: Look) -> dict[str, Any]:
    return {
        "query": look.query,
        "wanted": look.wanted,
        "matches": list(look.matches),
        "position": look.position,
        "reason": look.reason,
    }
