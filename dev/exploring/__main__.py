"""``python -m exploring``: JupyterLab on a result, or the notebooks from their reviewed text."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from exploring.lab import Lab
from exploring.places import REPOSITORY, ExploringError
from fruit_pipeline import command_line

_WRONG_INPUT = 2

cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@cli.command()
def lab(
    port: Annotated[int, typer.Option(help="port of JupyterLab on 127.0.0.1")] = 8888,
    state_dir: Annotated[Path, typer.Option(help="where its state is kept")] = REPOSITORY / ".state",
    out_dir: Annotated[Path, typer.Option(help="where the copy of the notebook is")] = REPOSITORY / "out",
) -> None:
    """Open the notebook in JupyterLab until Ctrl-C; what `make up` serves can be read in it."""
    place = Lab(state_dir.resolve(), out_dir.resolve())
    place.check(port)
    where = "local AWS, which is up" if place.account() else "the AWS account of this shell"
    typer.echo(f"Your copy of the notebook is {place.notebook()}. A bucket in it is one of {where}.")
    sys.stdout.flush()
    place.start(port)


@cli.command()
def write() -> None:
    """Write notebooks/*.ipynb from the texts beside them."""
    from exploring import twins  # only this needs jupytext

    for notebook in twins.write(REPOSITORY / "notebooks"):
        typer.echo(f"Wrote {notebook.relative_to(REPOSITORY)}")


def main() -> int:
    """Run the command; what is refused is one sentence and exit code 2."""
    try:
        return command_line.call(cli, of_make=True)
    except (command_line.UsageError, ExploringError) as error:
        typer.echo(f"error: {error}", err=True)
        return _WRONG_INPUT


if __name__ == "__main__":
    sys.exit(main())
