"""What all commands share: the settings, output for people and programs, and error messages.

Output is text, or with `--json` one JSON value, on standard output. An error is one sentence on standard error with
exit status 1 (2 for wrong usage). Whatever a store or a command line holds can be printed, on any terminal.
"""

import asyncio
import functools
import json
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any, TypeVar

import click
import orjson

from gateway.core.problems import Problem
from gateway.core.store_faults import FAULT_WORDS
from gateway.flow.admin_arguments import InvalidArgument
from gateway.ports import AuditUnavailable, StateClosed, StoreUnavailable
from gateway.settings import InvalidSettings, Loaded, Settings, load_here
from gateway.wiring import SetupError
from gateway.wiring.process import system_user as system_user  # the default of `--by`

T = TypeVar("T")


class CommandError(Exception):
    """Why a command failed, in one sentence."""


class SecondsRange(click.FloatRange):
    """Seconds within bounds. click lets "nan" pass: it is neither below nor above."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        seconds = super().convert(value, param, ctx)
        if isnan(seconds):
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        return seconds


REPORTED_ERRORS = (
    CommandError,
    SetupError,
    InvalidArgument,
    InvalidSettings,
    StoreUnavailable,
    AuditUnavailable,
    Problem,
    OSError,
)


@dataclass(frozen=True, slots=True)
class CommandOptions:
    """The options that all commands share."""

    config: Path | None
    as_json: bool

    def loaded(self) -> Loaded:
        return load_here(self.config)

    def settings(self) -> Settings:
        return self.loaded().settings

    def show(self, content: Any, lines: Iterable[str], *, done: str = "") -> None:
        """`content` for programs, `lines` for people; lines are not made where they are not wanted.

        `done` is a sentence about what was changed: it is said where the output cannot be written.
        """
        try:
            for line in (_json(content),) if self.as_json else map(printable, lines):
                click.echo(line)
        except OSError as error:
            if done:
                raise CommandError(f"{done} The output could not be written ({error.strerror}).") from None
            raise


def with_options(function: Callable[..., T]) -> Callable[..., T]:
    """Add `--config` and `--json`, and pass the command its CommandOptions."""

    @click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="Settings file (TOML).")
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON value, for programs.")
    @functools.wraps(function)
    def wrapped(config: Path | None, as_json: bool, *args: Any, **kwargs: Any) -> T:
        return function(CommandOptions(config, as_json), *args, **kwargs)

    return wrapped


def run(work: Awaitable[T]) -> T:
    """Run asynchronous work in an event loop of its own."""

    async def main() -> T:
        return await work

    return asyncio.run(main())


def error_text(error: BaseException) -> str:
    """An error in one sentence (of settings: one line per error)."""
    if isinstance(error, InvalidSettings):
        return "the settings are not valid:\n" + "\n".join(f"  {each}" for each in error.errors)
    if isinstance(error, StateClosed):
        return f"Nothing was changed: {error}. Find out why; `esm-gateway state accept` goes on without what is lost."
    if isinstance(error, StoreUnavailable):
        words = error.detail or FAULT_WORDS[error.fault]
        return f"A store cannot be used ({error}, {error.fault}): {words}; whether anything was changed is unknown."
    if isinstance(error, AuditUnavailable):
        return f"The audit record could not be written, so nothing was changed: {error}."
    if isinstance(error, Problem):
        return _problem(error)
    if isinstance(error, OSError):
        return printable(f"{error.filename or 'The system'}: {error.strerror or type(error).__name__}")
    return printable(str(error))


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Aligned columns; absent values are a dash. Nothing is computed before the first line is asked for."""
    texts = [list(head), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[at]) for row in texts) for at in range(len(head))]
    for row in texts:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


def printable(text: str) -> str:
    """The text without what would steer a terminal, or is no text at all: such characters are shown by their code."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _cell(value: object) -> str:
    return "-" if value is None or value == "" else printable(str(value))


def _json(content: Any) -> str:
    """One JSON value, in ASCII where standard output has no other letters or the content is not text."""
    try:
        text = orjson.dumps(content, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
        return text
    except (TypeError, UnicodeEncodeError):  # no text: half a surrogate pair; or an integer of more than 64 bits
        return json.dumps(content, default=str)


def _problem(problem: Problem) -> str:
    lines = [" ".join(part for part in (problem.type.title, problem.detail) if part)]
    lines += [f"  {fault.pointer or '(the body)'}: {fault.detail}" for fault in problem.errors]
    return "\n".join(lines)
