"""A program as SMT-LIB 2 definitions: truth values for what a variable is, bit-vectors for sums and votes.

    token.i                one unknown a position: its id in the vocabulary; token.i.is.v, that it is v
    NAME.i.is.v            variable NAME has value v at position i
    NAME.i.to.j            head NAME attends from i to j
    NAME.i.sum             value of a numerical variable that may have too many values for conditions
    votes.i.l              votes for label l, in steps of the grid of `_smt_votes`
    prediction.i           id of the label; one, prediction.0, if the program pools
    answered               no numerical MLP is asked for values that it has no answer for

Values that a variable cannot have at a position (positions are constants, tables omit outputs) are never written.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from learnt.core.errors import NotApplicable
from learnt.programs import _smt_terms as t
from learnt.programs._smt_votes import votes
from learnt.programs.evaluator import net_outputs
from learnt.programs.program import UNANSWERED, Head, NumMLP, Program, TableMLP

ONE_BY_ONE = 96  # a sum of at most this much has a condition for each of its values; a larger one is a bit-vector
CELLS = 1 << 22  # value tuples of a numerical MLP that are tabulated

Number = t.Values | str  # the condition of each value, or a bit-vector
State = dict[str, list[Any]]  # one `Values` a position and categorical variable, one `Number` for a numerical one


class Encoding:
    """One program on inputs of one length, written into a script.

    Args:
        script: to write into.
        program: to write.
        inputs: by position, the condition of each token id; see `unknown_tokens`.
        prefix: of names, to keep two programs apart. What they have in common is written once.
    """

    def __init__(self, script: t.Script, program: Program, inputs: Sequence[t.Values], prefix: str = "") -> None:
        self.script, self.program, self.prefix = script, program, prefix
        self.length = len(inputs)
        self.highest = {"ones": 1}
        for layer in program.layers:
            self.highest |= {head.name: self.length * self.highest[head.value] for head in layer.num_heads}
        self.width = {name: bound.bit_length() for name, bound in self.highest.items()}
        self.votes = votes(program, self.highest, self.length)
        self.label_width = max(1, (len(program.labels) - 1).bit_length())
        self._missing: list[str] = []
        state = self._inputs(inputs)
        for layer in program.layers:
            written: State = {}
            for head in layer.cat_heads:
                written[head.name] = self._attention(head, state)
            for head in layer.num_heads:
                written[head.name] = self._counting(head, state)
            state |= written
            written = {mlp.name: self._table(mlp, state) for mlp in layer.cat_mlps}
            written |= {mlp.name: self._numerical(mlp, state) for mlp in layer.num_mlps}
            state |= written
        self._predictions(state)
        term = t.negation(t.disjunction(self._missing))
        self.answered = script.define(self._name("answered"), term, always=True)

    # -- variables ---------------------------------------------------------------------------------------------

    def _inputs(self, tokens: Sequence[t.Values]) -> State:
        state: State = {"positions": [{i: t.TRUE} for i in range(self.length)], "ones": [{1: t.TRUE}] * self.length}
        if self.program.embeddings is None:
            return state | {"tokens": list(tokens)}
        for e, name in enumerate(self.program.input_variables):
            column = [row[e] for row in self.program.embeddings]
            state[name] = [
                self._value(name, i, _grouped((column[v], condition) for v, condition in here.items()))
                for i, here in enumerate(tokens)
            ]
        return state

    def _attention(self, head: Head, state: State) -> list[t.Values]:
        matches, values, out = self._matches(head, state), state[head.value], []
        for i in range(self.length):
            order = sorted((j for j in matches[i] if j != i), key=lambda j: (abs(i - j), j))
            earlier: list[str] = []
            cases: list[tuple[int, str]] = []
            for j in [*order, i]:  # itself last
                term = t.conjunction([matches[i][j], *map(t.negation, earlier)])
                cases.append((j, self.script.define(self._name(f"{head.name}.{i}.to.{j}"), term)))
                earlier.append(matches[i][j])
            cases.append((0, t.negation(t.disjunction(earlier))))  # nothing matches: the first token
            pairs = ((v, t.conjunction([there, c])) for j, there in cases for v, c in values[j].items())
            out.append(self._value(head.name, i, _grouped(pairs)))
        return out

    def _counting(self, head: Head, state: State) -> list[Number]:
        matches, values, out = self._matches(head, state), state[head.value], []
        for i in range(self.length):
            terms = [(match, values[j]) for j, match in matches[i].items() if match != t.FALSE]
            exact = all(isinstance(value, dict) for _, value in terms) and self.highest[head.name] <= ONE_BY_ONE
            out.append(self._steps(head.name, i, terms) if exact else self._binary(head, i, terms))
        return out

    def _steps(self, name: str, i: int, terms: list[tuple[str, Any]]) -> t.Values:
        """The sum of the values that match, as a running sum: the condition of each total after each position."""
        totals: dict[int, str] = {0: t.TRUE}
        for step, (match, values) in enumerate(terms):
            pairs = [(total, t.conjunction([c, t.negation(match)])) for total, c in totals.items()]
            for value, has in values.items():
                pairs += [(total + value, t.conjunction([c, match, has])) for total, c in totals.items()]
            totals = self._value(name, i, _grouped(pairs), f"upto.{step}." if step < len(terms) - 1 else "is.")
        return totals

    def _binary(self, head: Head, i: int, terms: list[tuple[str, Number]]) -> str:
        width = self.width[head.name]
        zero, parts = t.bits(0, width), []
        for match, value in terms:
            wide = _widened(self._bits(value, self.width[head.value]), self.width[head.value], width)
            parts.append(t.choice([(match, wide), (t.TRUE, zero)]))
        return self.script.define(self._name(f"{head.name}.{i}.sum"), t.addition(parts, width), f"(_ BitVec {width})")

    def _bits(self, value: Number, width: int) -> str:
        """A numerical variable as a bit-vector."""
        if isinstance(value, str):
            return value
        return t.choice([(condition, t.bits(v, width)) for v, condition in value.items()])

    def _matches(self, head: Head, state: State) -> list[dict[int, str]]:
        """For each position i, by position j that it may see: whether j has the key that i looks for."""
        rows, queries, keys = [], state[head.query], state[head.key]
        for i in range(self.length):
            looks: dict[int, list[int]] = {}
            for q in queries[i]:
                looks.setdefault(head.predicate[q], []).append(q)
            wants = {
                k: self.script.define(self._name(f"{head.name}.{i}.wants.{k}"), t.within(queries[i], qs))
                for k, qs in looks.items()
            }
            row = {}
            for j in range(i + 1 if self.program.causal else self.length):
                pairs = [t.conjunction([wants[k], c]) for k, c in keys[j].items() if k in wants]
                row[j] = self.script.define(self._name(f"{head.name}.{i}.matches.{j}"), t.disjunction(pairs))
            rows.append(row)
        return rows

    def _table(self, mlp: TableMLP, state: State) -> list[t.Values]:
        sizes = [self.program.cardinality[name] for name in mlp.inputs]
        table, names, out = np.array(mlp.table).reshape(sizes), list(dict.fromkeys(mlp.inputs)), []
        for i in range(self.length):
            pairs = []
            for cell in product(*(state[name][i].items() for name in names)):
                value = {name: v for name, (v, _) in zip(names, cell, strict=True)}
                entry = int(table[tuple(value[name] for name in mlp.inputs)])
                pairs.append((entry, t.conjunction(condition for _, condition in cell)))
            out.append(self._value(mlp.name, i, _grouped(pairs)))
        return out

    def _numerical(self, mlp: NumMLP, state: State) -> list[t.Values]:
        names = list(dict.fromkeys(mlp.inputs))
        box = [self.highest[name] + 1 for name in names]
        cells = 1
        for size in box:
            cells *= size
        if cells > CELLS:
            raise NotApplicable(
                mlp.name,
                found=f"{cells:,} combinations of values on inputs of {self.length} tokens",
                expected=f"at most {CELLS:,}",
                remedy="Simplify the program, or ask about shorter inputs.",
            )
        points = np.stack([axis.ravel() for axis in np.meshgrid(*map(np.arange, box), indexing="ij")], 1)
        answers = tabulated(mlp, points[:, [names.index(name) for name in mlp.inputs]]).reshape(box)
        out = []
        for i in range(self.length):
            pairs = self._regions(mlp.name, i, [(n, state[n][i]) for n in names], answers)
            self._missing += [term for answer, term in pairs if answer == UNANSWERED]
            out.append(self._value(mlp.name, i, _grouped((max(answer, 0), term) for answer, term in pairs)))
        return out

    def _regions(
        self, name: str, i: int, inputs: list[tuple[str, Number]], answers: np.ndarray
    ) -> list[tuple[int, str]]:
        """(answer, condition) that cover a box of values: intervals of the first input with equal slices, and so on."""
        if not inputs:
            return [(int(answers), t.TRUE)]
        (variable, number), width = inputs[0], self.width[inputs[0][0]]
        slices: dict[bytes, list[tuple[int, int]]] = {}
        first: dict[bytes, int] = {}
        previous = None
        for value in range(len(answers)):
            key = np.ascontiguousarray(answers[value]).tobytes()
            if key == previous:
                slices[key][-1] = (slices[key][-1][0], value)
            else:
                slices.setdefault(key, []).append((value, value))
            first.setdefault(key, value)
            previous = key
        found: list[tuple[int, str]] = []
        for part, (key, intervals) in enumerate(slices.items()):
            if isinstance(number, str):
                inside = [_between(number, low, high, width, len(answers) - 1) for low, high in intervals]
                here = t.TRUE if len(slices) == 1 else t.disjunction(inside)
            else:
                here = t.within(number, (v for low, high in intervals for v in range(low, high + 1)))
            if here == t.FALSE:
                continue
            here = self.script.define(self._name(f"{name}.{i}.{variable}.{part}"), here)
            rest = self._regions(f"{name}.{part}", i, inputs[1:], answers[first[key]])
            found += [(answer, t.conjunction([here, condition])) for answer, condition in rest]
        return found

    # -- answers -----------------------------------------------------------------------------------------------

    def _predictions(self, state: State) -> None:
        program, grid = self.program, self.votes
        labels = [y for y in range(len(program.labels)) if y not in program.masked_labels]
        if program.pool:
            rows = {y: [self._vote(state, i, y) for i in range(self.length)] for y in labels}
            self.outputs = [self._predict(0, {y: t.addition(terms, grid.width) for y, terms in rows.items()})]
        else:
            self.outputs = [self._predict(i, {y: self._vote(state, i, y) for y in labels}) for i in range(self.length)]

    def _vote(self, state: State, i: int, label: int) -> str:
        grid, terms = self.votes, []
        for name, rows in grid.weights.items():
            if name in self.program.cardinality:
                weights = {v: rows[v][label] for v in state[name][i]}
                terms.append(self._chosen(state[name][i], weights))
            elif rows[0][label]:
                weight, value = rows[0][label], state[name][i]
                if not isinstance(value, str):
                    terms.append(self._chosen(value, {v: v * weight for v in value}))
                    continue
                width = max(grid.width, self.width[name])  # a vote never needs fewer bits than what is counted
                product = f"(bvmul {t.bits(weight, width)} {_widened(value, self.width[name], width)})"
                terms.append(product if width == grid.width else f"((_ extract {grid.width - 1} 0) {product})")
        return t.addition(terms, grid.width)

    def _chosen(self, values: t.Values, weights: dict[int, int]) -> str:
        """The weight of the value that a variable has; values with the most frequent weight come last, unasked."""
        groups: dict[int, list[int]] = {}
        for value, weight in weights.items():
            groups.setdefault(weight, []).append(value)
        order = sorted(groups.items(), key=lambda item: (len(item[1]), item[0]))
        return t.choice([(t.within(values, chosen), t.bits(weight, self.votes.width)) for weight, chosen in order])

    def _predict(self, i: int, rows: dict[int, str]) -> str:
        width, sort = self.label_width, f"(_ BitVec {self.votes.width})"
        named = {y: self.script.define(self._name(f"votes.{i}.{y}"), term, sort) for y, term in rows.items()}
        name = self._name(f"prediction.{i}")
        if self.votes.slack:
            return self.script.once(f"{width} {named} {self.votes.slack}", lambda: self._near_best(name, i, named))
        cases = []
        for y, term in named.items():
            wins = [f"({'bvslt' if z < y else 'bvsle'} {other} {term})" for z, other in named.items() if z != y]
            cases.append((t.conjunction(wins), t.bits(y, width)))
        return self.script.define(name, t.choice(cases), f"(_ BitVec {width})", always=True)

    def _near_best(self, name: str, i: int, named: dict[int, str]) -> str:
        """Any label whose vote is within the slack of the highest."""
        width, sort = self.label_width, f"(_ BitVec {self.votes.width})"
        self.script.declare(name, f"(_ BitVec {width})")
        slack = t.bits(self.votes.slack, self.votes.width)
        for y, term in named.items():
            near = self.script.define(self._name(f"votes.{i}.{y}.near"), f"(bvadd {term} {slack})", sort)
            wins = t.conjunction(f"(bvsle {other} {near})" for z, other in named.items() if z != y)
            if wins != t.TRUE:
                self.script.claim(f"(=> (= {name} {t.bits(y, width)}) {wins})")
        self.script.claim(t.disjunction(f"(= {name} {t.bits(y, width)})" for y in named))
        return name

    def _value(self, name: str, i: int, conditions: dict[int, str], what: str = "is.") -> dict[int, str]:
        possible = {v: c for v, c in sorted(conditions.items()) if c != t.FALSE}
        if len(possible) == 1:
            return dict.fromkeys(possible, t.TRUE)
        return {v: self.script.define(self._name(f"{name}.{i}.{what}{v}"), c) for v, c in possible.items()}

    def _name(self, name: str) -> str:
        full = self.prefix + name
        return full if full.isascii() else f"|{full}|"


def token_width(program: Program) -> int:
    """Bits of a token id."""
    return max(1, (len(program.vocab) - 1).bit_length())


def unknown_tokens(script: t.Script, program: Program, rows: Sequence[Sequence[int]]) -> list[dict[int, str]]:
    """Unknowns `token.i`, each one of the ids in its row; the condition of each id, by position."""
    width, out = token_width(program), []
    for i, ids in enumerate(rows):
        symbol = script.declare(f"token.{i}", f"(_ BitVec {width})")
        here = {v: script.define(f"token.{i}.is.{v}", f"(= {symbol} {t.bits(v, width)})") for v in ids}
        if len(here) < 1 << width:
            script.claim(t.disjunction(here.values()))
        out.append(here if len(here) > 1 else dict.fromkeys(here, t.TRUE))
    return out


def tabulated(mlp: NumMLP, points: np.ndarray) -> np.ndarray:
    """The answers of a numerical MLP to (T, n) tuples of values, -1 where it has none."""
    out = np.full(len(points), UNANSWERED)
    if mlp.table is not None and mlp.sizes is not None:
        inside = (points < np.array(mlp.sizes)).all(1)
        out[inside] = np.array(mlp.table).take(np.ravel_multi_index(tuple(points[inside].T), tuple(mlp.sizes)))
    left = out == UNANSWERED
    if mlp.weights is not None and left.any():
        out[left] = net_outputs(mlp.weights, points[left])
    return out


def _grouped(pairs: Any) -> dict[int, str]:
    """One condition a value, from many."""
    groups: dict[int, list[str]] = {}
    for value, condition in pairs:
        groups.setdefault(value, []).append(condition)
    return {value: t.disjunction(conditions) for value, conditions in groups.items()}


def _widened(term: str, width: int, wanted: int) -> str:
    return term if wanted == width else f"((_ zero_extend {wanted - width}) {term})"


def _between(term: str, low: int, high: int, width: int, most: int) -> str:
    if low == high:
        return f"(= {term} {t.bits(low, width)})"
    parts = [f"(bvuge {term} {t.bits(low, width)})"] if low else []
    parts += [f"(bvule {term} {t.bits(high, width)})"] if high < most else []
    return t.conjunction(parts)
