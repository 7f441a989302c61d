"""Which ids stand for these tokens? Padding, unknown words, and the errors for input that a program cannot take.

Padding is `<pad>` (id 0, where the vocabulary has it) and stands only after an input; it is taken off before anything
is counted, so that it cannot change a prediction. A token outside the vocabulary becomes `<unk>` where the vocabulary
has that word (`unknown="auto"`), never (`"error"`), or always (`"unk"`, an error where it has not).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from learnt.core.errors import InputError
from learnt.programs._frozen import short
from learnt.programs.program import PAD, UNKNOWN, Program


def token_ids(program: Program, tokens: Sequence[str], *, unknown: str = "auto", name: str = "tokens") -> list[int]:
    """The ids of one input, without padding.

    Args:
        program: has the vocabulary.
        tokens: the input, beginning-of-sequence token included.
        unknown: ``"auto"``, ``"error"`` or ``"unk"``: see the module.
        name: what errors call the input.

    Raises:
        InputError: no token, more than n_ctx, padding before a token, a token that is no text or not in the vocabulary.
    """
    return Vocabulary(program, unknown=unknown).ids(tokens, name=name)


class Vocabulary:
    """The ids of a program's tokens, looked up once for many inputs; arguments as `token_ids`."""

    def __init__(self, program: Program, *, unknown: str = "auto") -> None:
        if unknown not in ("auto", "error", "unk"):
            raise InputError("unknown", found=short(unknown), expected='"auto", "error" or "unk"')
        if unknown == "unk" and UNKNOWN not in program.vocab:
            raise InputError("unknown", found=f"'unk', and no {UNKNOWN!r} in the vocabulary", expected="'error'")
        self._program = program
        self._ids = {token: index for index, token in enumerate(program.vocab)}
        self._other = None if unknown == "error" else self._ids.get(UNKNOWN)
        self._pad = 0 if program.padded else None

    def ids(self, tokens: Iterable[str], *, name: str) -> list[int]:
        """The ids of one input, without padding; errors as `token_ids`.

        Args:
            tokens: of one input.
            name: what errors call it.
        """
        if isinstance(tokens, str) or not isinstance(tokens, Iterable):
            raise InputError(name, found=short(tokens), expected="a list of tokens")
        words = list(tokens)
        try:
            found = [self._ids[word] for word in words]
        except (KeyError, TypeError):
            found = [self._look_up(word, f"{name}[{i}]") for i, word in enumerate(words)]
        if self._pad is not None:
            while found and found[-1] == self._pad:
                found.pop()
            if self._pad in found:
                raise InputError(
                    f"{name}[{found.index(self._pad)}]", found=f"{PAD!r} before a token", expected="padding at the end"
                )
        if not found:
            raise InputError(name, found="an empty input", expected="at least one token")
        if len(found) > self._program.n_ctx:
            raise InputError(name, found=f"{len(found)} tokens", expected=f"at most n_ctx = {self._program.n_ctx}")
        return found

    def _look_up(self, word: object, where: str) -> int:
        if not isinstance(word, str):
            raise InputError(where, found=short(word), expected="text")
        if word in self._ids:
            return self._ids[word]
        if self._other is not None:
            return self._other
        near = get_close_matches(word[:60], self._ids, n=3, cutoff=0.0)
        raise InputError(
            where,
            found=f"the unknown token {short(word)}",
            expected=f"a token of the vocabulary, nearest {', '.join(map(short, near))}",
        )
