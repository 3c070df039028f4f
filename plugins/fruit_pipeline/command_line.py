"""Runs a command line whose words may be wrong: one sentence says so, as for all that is refused.

On a terminal it also shows how far the command is.
"""

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from fruit_pipeline.errors import PipelineError
from fruit_pipeline.settings.parameters import in_a_sentence


class UsageError(PipelineError):
    """The words of a command are wrong; the message names the option, the value and what is allowed."""


def call(cli: typer.Typer, *, of_make: bool = False) -> int:
    """Run the command that the process was started with; its exit code.

    ``of_make``: make gives the options, as variables of the same names. ``UsageError`` for wrong words, and
    for a question that nobody answered.
    """
    try:
        return cli(standalone_mode=False) or 0
    except typer.Abort:
        raise UsageError("Nobody answered, so nothing was changed: answer, or give --yes.") from None
    except typer.TyperException as error:
        raise UsageError(_sentence(error, of_make)) from None


def progress_bar(console: Console) -> Progress:
    """A bar with the count and the time left; it is gone when it ends."""
    return Progress(
        TextColumn("[progress.description]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        # Elsewhere than on a terminal it would leave an empty line.
        disable=not console.is_interactive,
    )


def _sentence(error: typer.TyperException, of_make: bool) -> str:
    if not isinstance(error, typer.BadParameter):
        return error.format_message()
    if error.param is None:
        return error.message
    option = error.param.opts[0]
    name = f"{option.removeprefix('--').upper()}= ({option})" if of_make else option
    if isinstance(error.__cause__, ValidationError):
        [wrong, *_] = error.__cause__.errors()
        return f"{name} is {wrong['input']!r}: {in_a_sentence(wrong['msg'])}."
    if not error.message:
        return f"{name} is missing: give {getattr(error.param, 'help', '')}."
    return f"{name}: {error.message}"
