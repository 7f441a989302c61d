"""How is a program kept in a file? Strict JSON, schema `learnt.program/1`, in which nothing is left to guess.

    {"schema", "vocab", "labels", "k", "n_ctx", "causal",
     "pool"?, "embeddings"?, "masked_labels"?, "cardinalities"?, "meta"?,
     "layers": [{"cat_heads"?: [{"query", "key", "value", "predicate", "name"?}], "num_heads"?: the same,
                 "cat_mlps"?: [{"inputs", "table", "name"?}],
                 "num_mlps"?: [{"inputs", "sizes" and "table", "W_in" and "b_in" and "W_out" and "b_out", "name"?}]}],
     "classifier": {variable: votes}}

A field that is unknown or missing, a value out of range, NaN or a duplicate key is an error that names its place. A
module without a name has the one of its place (`attn_0_2`, `num_attn_1_0`, `mlp_0_1`, `num_mlp_1_0`); only other
names are written. Equal programs have equal text.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from learnt.core.errors import InputError, LearntError
from learnt.io.atomic import dump_json, read_json, show, write_text
from learnt.io.strict import parse_json
from learnt.programs._checked import MOST
from learnt.programs._frozen import integer, sequence, short, text, thawed
from learnt.programs.program import KINDS, Head, Layer, NumMLP, Program, ReluNet, TableMLP

SCHEMA = "learnt.program/1"
LIMIT = 256 << 20  # bytes of a file: a vocabulary of 10,000 words with its embeddings takes less than 1 MB
_REQUIRED = ("vocab", "labels", "k", "n_ctx", "causal", "layers", "classifier")
_OPTIONAL = ("pool", "embeddings", "masked_labels", "cardinalities", "meta")
_HEAD = ("query", "key", "value", "predicate")
_NET = ("W_in", "b_in", "W_out", "b_out")


def to_fields(program: Program) -> dict[str, Any]:
    """The program as plain lists and dictionaries, with its schema.

    Args:
        program: to write.
    """
    fields: dict[str, Any] = {
        "schema": SCHEMA,
        "vocab": program.vocab,
        "labels": program.labels,
        "k": program.k,
        "n_ctx": program.n_ctx,
        "causal": program.causal,
        "pool": program.pool,
        "masked_labels": program.masked_labels,
        "layers": [_layer_fields(layer, index) for index, layer in enumerate(program.layers)],
        "classifier": program.classifier,
    }
    if program.embeddings is not None:
        fields["embeddings"] = program.embeddings
    if program.cardinalities:
        fields["cardinalities"] = program.cardinalities
    if program.meta:
        fields["meta"] = program.meta
    return thawed(fields)


def to_json(program: Program) -> str:
    """The program as JSON text of one line, keys sorted; equal programs, equal text."""
    return dump_json(to_fields(program), name="program") + "\n"


def save(program: Program, path: str | os.PathLike[str]) -> Path:
    """Write the program atomically and return the path; StorageError if that cannot be done.

    Args:
        program: to write.
        path: of the file; one that is there is replaced.
    """
    return write_text(path, to_json(program))


def from_json(document: str | bytes, *, name: str = "program") -> Program:
    """The program of a JSON document.

    Args:
        document: JSON text.
        name: what errors call the whole.

    Raises:
        InputError, ShapeError, NonFiniteError: with line and column, or with the place inside the program.
    """
    return from_fields(parse_json(document, name=name), name=name)


def load(path: str | os.PathLike[str]) -> Program:
    """The program of a file; errors as `from_json`, and StorageError for one that cannot be read.

    Args:
        path: of a file that `save` wrote, or of one with the same fields.

    Raises:
        InputError, ShapeError, NonFiniteError: as `from_json`. StorageError: a file that cannot be read.
    """
    fields, name = read_json(path, max_bytes=LIMIT), show(path)
    try:
        return from_fields(fields, name="program")
    except LearntError as error:
        raise type(error)(
            f"{name}, {error.argument}", found=error.found, expected=error.expected, remedy=error.remedy
        ) from None


def from_fields(fields: Any, *, name: str = "program", schema: bool = True) -> Program:
    """The program of plain lists and dictionaries.

    Args:
        fields: as `to_fields` returns them.
        name: what errors call the whole.
        schema: whether the field `schema` must be there; if False it may be absent.

    Raises:
        InputError, ShapeError, NonFiniteError: with the place inside the program.
    """
    if not isinstance(fields, Mapping):
        raise InputError(name, found=short(fields), expected="an object with the fields of a program")
    if schema or "schema" in fields:
        version = fields.get("schema")
        if version != SCHEMA:
            raise InputError(
                f"{name}: schema",
                found="none" if version is None else f"the unknown version {short(version)}",
                expected=repr(SCHEMA),
                remedy="A newer file needs a newer learnt." if str(version).startswith("learnt.program/") else "",
            )
    _only(fields, name, _REQUIRED, ("schema", *_OPTIONAL))
    if "embeddings" in fields and fields["embeddings"] is None:
        raise InputError("embeddings", found="null", expected="a list, or no such field")
    given = {field: fields[field] for field in (*_REQUIRED, *_OPTIONAL) if field in fields}
    given["k"], given["n_ctx"] = integer(given["k"], "k", 1, MOST), integer(given["n_ctx"], "n_ctx", 1, MOST)
    layers = sequence(given["layers"], "layers", "layers")
    given["layers"] = tuple(_layer(layer, f"layers[{index}]") for index, layer in enumerate(layers))
    return Program(**given)


def _only(fields: Any, where: str, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> None:
    if not isinstance(fields, Mapping):
        raise InputError(where, found=short(fields), expected="an object")
    for field in required:
        if field not in fields:
            raise InputError(where, found=f"no field {field!r}", expected=f"the fields {', '.join(required)}")
    for field in fields:
        if field not in required and field not in optional:
            known = ", ".join((*required, *optional))
            raise InputError(where, found=f"the unknown field {short(field)}", expected=f"only {known}")


def _layer(fields: Any, where: str) -> Layer:
    _only(fields, where, (), tuple(KINDS))
    readers = {"cat_heads": _head, "num_heads": _head, "cat_mlps": _table_mlp, "num_mlps": _num_mlp}
    parts: dict[str, Any] = {}
    for kind, read in readers.items():
        modules = sequence(fields.get(kind, ()), f"{where}.{kind}", "modules")
        parts[kind] = tuple(read(module, f"{where}.{kind}[{i}]") for i, module in enumerate(modules))
    return Layer(**parts)


def _head(fields: Any, where: str) -> Head:
    _only(fields, where, _HEAD, ("name",))
    return Head(**fields | _name(fields, where))


def _table_mlp(fields: Any, where: str) -> TableMLP:
    _only(fields, where, ("inputs", "table"), ("name",))
    return TableMLP(**fields | _name(fields, where))


def _num_mlp(fields: Any, where: str) -> NumMLP:
    _only(fields, where, ("inputs",), ("sizes", "table", *_NET, "name"))
    for together in (("sizes", "table"), _NET):
        present = [field for field in together if field in fields]
        if present and len(present) < len(together):
            missing = ", ".join(field for field in together if field not in fields)
            raise InputError(where, found=f"{', '.join(present)} without {missing}", expected="all of them or none")
        for field in present:
            if fields[field] is None:
                raise InputError(f"{where}.{field}", found="null", expected="a list, or no such field")
    net = ReluNet(**{field: fields[field] for field in _NET}) if "W_in" in fields else None
    rest: dict[str, Any] = {field: fields[field] for field in ("sizes", "table") if field in fields}
    rest.update(_name(fields, where))
    return NumMLP(inputs=fields["inputs"], weights=net, **rest)


def _name(fields: Mapping[str, Any], where: str) -> dict[str, str]:
    if "name" in fields and not text(fields["name"], f"{where}.name"):
        raise InputError(f"{where}.name", found="''", expected="a name, or no such field")
    return {"name": fields.get("name", "")}


def _layer_fields(layer: Layer, index: int) -> dict[str, Any]:
    return {
        kind: [_module_fields(m, f"{stem}_{index}_{i}") for i, m in enumerate(getattr(layer, kind))]
        for kind, stem in KINDS.items()
    }


def _module_fields(module: Head | TableMLP | NumMLP, default: str) -> dict[str, Any]:
    if isinstance(module, Head):
        fields: dict[str, Any] = {field: getattr(module, field) for field in _HEAD}
    elif isinstance(module, TableMLP):
        fields = {"inputs": module.inputs, "table": module.table}
    else:
        fields = {"inputs": module.inputs}
        if module.table is not None:
            fields |= {"sizes": module.sizes, "table": module.table}
        if module.weights is not None:
            fields |= {field: getattr(module.weights, field) for field in _NET}
    return fields if module.name == default else fields | {"name": module.name}
