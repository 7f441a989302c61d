"""A study: many pieces of work in a directory that can be stopped anywhere and resumed, with the same result.

    manifest.json     settings and provenance, written first
    journal.jsonl     one line for each finished chunk, with its hash
    chunks/           one file for each result: JSON, or safetensors if it holds tensors or arrays
    lock              held while somebody writes

Only the process that holds the lock writes, and it writes atomically: the chunk, then its line in the journal.
So SIGKILL, a power cut or a full disk costs at most the chunk in progress (one for each worker). On resuming, the
hash of every chunk is checked again; a damaged one is computed again, with a warning. Results are always what
reading the chunk gives, so a resumed run and an undisturbed one see equal values, and so does any number of jobs.
"""

from __future__ import annotations

import functools
import os
import shlex
import signal
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, final

from learnt.core.errors import InputError, Interrupted, LearntError, ResumeError, StorageError
from learnt.io.atomic import dump_json, ensure_directory, show, sweep_temporaries
from learnt.io.lock import run_lock
from learnt.io.manifest import NAME, Manifest, open_manifest, plain, provenance
from learnt.run import chunks, journal
from learnt.run.journal import Journal
from learnt.run.pool import Lost, outcomes, workers
from learnt.train.progress import progress


@final
class Study:
    """A directory of finished pieces of work; made by `Study.open`.

    As a context manager it holds the directory's lock for the whole block; otherwise each `map` holds it for itself.
    """

    def __init__(self, directory: Path, manifest: Manifest, threads: int, command: str) -> None:
        self.directory, self.manifest, self.threads, self.command = directory, manifest, threads, command
        self._functions: dict[str, Any] = {}
        self._held = ExitStack()
        self._holding = False

    @staticmethod
    def open(
        directory: str | os.PathLike[str],
        *,
        config: Mapping[str, Any] | None = None,
        threads: int = 1,
        command: str | None = None,
    ) -> Study:
        """Open a study, or begin one in a new or empty directory.

        Args:
            directory: created if needed.
            config: the settings that the results depend on, plain JSON values; they must equal those of the first run.
            threads: threads for each item in every process; as bits depend on it, it must equal the first run's too.
            command: what to type to resume; by default the command line of this process.

        Raises:
            ResumeError: the directory was made with other settings (the text names them), or its manifest is damaged.
            BusyError: another process is at work in it.
            StorageError: it cannot be created or written to.
            InputError: `config` is not plain JSON.
        """
        settings = plain(config or {}, name="config")
        command = command or shlex.join(sys.orig_argv) or "the same command"
        path = ensure_directory(directory)
        with suppress(OSError):  # the working directory may have been deleted
            path = Path(os.path.abspath(path))
        with run_lock(path):
            sweep_temporaries(path)
            _check_place(path)
            manifest = open_manifest(path, settings, provenance(command=command, threads=threads))
            _check_machinery(manifest, path, threads)
            ensure_directory(path / chunks.FOLDER)
            sweep_temporaries(path / chunks.FOLDER)
        return Study(path, manifest, threads, command)

    def __enter__(self) -> Study:
        self._held.enter_context(run_lock(self.directory))
        self._holding = True
        return self

    def __exit__(self, *_: object) -> None:
        self._holding = False
        self._held.close()

    def map(
        self,
        function: Callable[[Any], Any],
        items: Sequence[Any],
        *,
        keys: Sequence[str] | None = None,
        jobs: int = 1,
        name: str | None = None,
        quiet: bool | None = None,
    ) -> list[Any]:
        """`[function(item) for item in items]`, computing only what the directory does not hold yet.

        Args:
            function: of one item; returns plain JSON values, or a dictionary by text of tensors, arrays and such
                values. Its results must depend on the item and the study's config only.
            items: the work; plain JSON values unless `keys` are given.
            keys: one different text for each item, which names it for ever.
            jobs: number of processes, -1 for one a core. The results do not depend on it.
            name: sets the results of this function apart from those of others in the study; its own name by default.
            quiet: True shows no progress.

        Raises:
            Interrupted: SIGINT or SIGTERM came; the text holds the command that resumes.
            BusyError: another process is at work in the directory.
            StorageError: the disk is full or not writable; finished chunks are safe.
            InputError: keys that are not different texts, or a result that cannot be stored.
            LearntError: some items killed their worker process three times (after all others were finished).
            Exception: whatever `function` raises; chunks that finished before are safe.
        """
        items = list(items)
        workers(jobs)
        labels = self._labels(function, items, keys, name)
        with nullcontext() if self._holding else run_lock(self.directory), _stoppable() as stop:
            log = Journal(self.directory)
            if log.damaged:
                warnings.warn(
                    f"{show(self.directory)}: {log.damaged} damaged line(s) of the journal dropped; "
                    "their chunks are computed again",
                    RuntimeWarning,
                    stacklevel=2,
                )
            results = {}
            for index, label in enumerate(labels):
                found = self._stored(log, label)
                if found is not None:
                    results[index] = found[0]
            missing = [index for index in range(len(items)) if index not in results]
            lost: dict[int, Lost] = {}
            try:
                work = outcomes(function, [items[index] for index in missing], jobs=jobs, threads=self.threads)
                with progress(len(missing), show(name or _name(function)), quiet=quiet) as bar, closing(work):
                    for position, outcome in work:
                        index = missing[position]
                        if isinstance(outcome, Lost):
                            lost[index] = outcome
                        else:
                            results[index] = self._store(log, labels[index], outcome)
                        bar.advance()
            except KeyboardInterrupt:
                raise Interrupted(
                    show(self.directory),
                    found=f"{stop.get('name', 'SIGINT')} after {len(results)} of {len(items)} chunks",
                    expected="time to finish",
                    remedy=f"Finished chunks are kept. Resume with: {self.command}",
                ) from None
        if lost:
            names = ", ".join(show(labels[index]) for index in sorted(lost)[:5])
            first = lost[min(lost)]
            raise LearntError(
                show(self.directory),
                found=f"{len(lost)} chunk(s) that killed their worker process {first.deaths} times: {names}",
                expected="work that lets its process live",
                remedy=f"The other {len(results)} are kept. The pool says: {first.reason}. Is there enough memory?",
            )
        return [results[index] for index in range(len(items))]

    def _labels(
        self, function: Callable[[Any], Any], items: list[Any], keys: Sequence[str] | None, name: str | None
    ) -> list[str]:
        stem = name or _name(function)
        if not name and ("<lambda>" in stem or self._functions.setdefault(stem, function) != function):
            raise InputError(
                "name",
                found=f"a function called {stem!r}, which does not tell it from another one",
                expected="a name for its results",
                remedy='Pass name="...", different for each function of the study.',
            )
        texts = _default_keys(items) if keys is None else list(keys)
        if len(texts) != len(items):
            raise InputError("keys", found=f"{len(texts)} keys", expected=f"{len(items)}, one for each item")
        for text in texts:
            if not isinstance(text, str):
                raise InputError("keys", found=f"a {type(text).__name__}", expected="text for each item")
        repeated = [text for text, count in Counter(texts).items() if count > 1]
        if repeated:
            raise InputError(
                "keys", found=f"{show(repeated[0])} more than once", expected="a different key for each item"
            )
        return [f"{stem}/{text}" for text in texts]

    def _stored(self, log: Journal, label: str) -> tuple[Any] | None:
        entry = log.entries.get(label)
        if entry is None:
            return None
        try:
            return (chunks.read(self.directory, entry),)
        except LearntError as error:
            warnings.warn(f"chunk {show(label)} is damaged and computed again ({error})", RuntimeWarning, stacklevel=3)
            return None

    def _store(self, log: Journal, label: str, value: Any) -> Any:
        entry, result = chunks.write(self.directory, label, value)
        log.add(entry)
        return result


def _check_place(path: Path) -> None:
    """Refuse a directory that holds results without saying of what, or that leads elsewhere."""
    if (path / chunks.FOLDER).is_symlink():
        raise StorageError(
            show(path / chunks.FOLDER), found="a symbolic link", expected="a directory of the study's own"
        )
    if (path / journal.NAME).exists() and not (path / NAME).exists():
        raise ResumeError(
            show(path),
            found=f"a {journal.NAME} without a {NAME}",
            expected="both or neither",
            remedy="The settings of these results are unknown; choose a new directory.",
        )


def _check_machinery(manifest: Manifest, path: Path, threads: int) -> None:
    """Refuse another number of threads, and warn of other versions: both can change the last bits of new chunks."""
    if manifest.provenance.get("threads") != threads:
        raise ResumeError(
            show(path),
            found=f"a directory made with {manifest.provenance.get('threads')} threads",
            expected=f"{threads}, as asked for now",
            remedy="Use that number, or choose a new directory.",
        )
    old, new = manifest.provenance.get("versions"), provenance(threads=threads)["versions"]
    if old != new and isinstance(old, dict):
        changed = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
        text = ", ".join(f"{show(name)} {show(str(old.get(name)))} there, {new.get(name)} here" for name in changed)
        warnings.warn(f"{show(path)} was begun with other versions: {text}", RuntimeWarning, stacklevel=3)


def _name(function: Callable[[Any], Any]) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__qualname__", type(function).__qualname__)


def _default_keys(items: list[Any]) -> list[str]:
    seen: Counter[str] = Counter()
    keys = []
    for item in items:
        try:
            text = item if isinstance(item, str) else dump_json(item, name="item")
        except InputError as error:
            raise InputError(
                "keys",
                found=f"none, for an item of type {type(item).__name__}",
                expected="a text that names each item for ever",
                remedy="Pass keys=[...], one different text for each item.",
            ) from error
        seen[text] += 1
        keys.append(text if seen[text] == 1 else f"{text}#{seen[text]}")
    return keys


@contextmanager
def _stoppable() -> Iterator[dict[str, str]]:
    """SIGINT and SIGTERM raise KeyboardInterrupt while the block runs; the dictionary then holds the signal's name."""
    stop: dict[str, str] = {}
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handler(number: int, _frame: Any) -> None:
        stop["name"] = signal.Signals(number).name
        restore()  # a second signal is not for us: it ends the process as it always would
        raise KeyboardInterrupt

    def restore() -> None:
        for number, old in before.items():
            signal.signal(number, old if old is not None else signal.SIG_DFL)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, handler)
    try:
        yield stop
    finally:
        restore()
