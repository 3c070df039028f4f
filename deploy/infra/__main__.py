"""``python -m infra``: deploy, look after and remove what the pipeline needs in an AWS account."""

import logging
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fruit_pipeline import command_line
from fruit_pipeline.aws import no_answer
from fruit_pipeline.cost.live_prices import PRICING_REGION
from fruit_pipeline.cost.prices import SNAPSHOT_FILE
from fruit_pipeline.errors import PipelineError
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import RunParameters
from infra import doctor as checks
from infra import mwaa as managed_airflow
from infra import price_snapshot, removal
from infra.account_clients import Account
from infra.environment import exports, variables
from infra.linked_roles import create_linked_roles
from infra.stack import Change, Stack, StackError

cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)
console: Final = Console(soft_wrap=True)
_COLOURS: Final = {"right": "green", "doubtful": "yellow", "wrong": "bold red"}

Region = Annotated[str, typer.Option(envvar="FRUITS_REGION", help="an EU region")]
Name = Annotated[str, typer.Option("--stack", help="name of the CloudFormation stack")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="say what would be done, and do nothing")]
Yes = Annotated[bool, typer.Option("--yes", help="do not ask")]
_REGION: Final = "eu-west-1"
_STACK: Final = "fruit-features"
_INTERRUPTED: Final = 130
"""What typer makes of Ctrl-C."""


@cli.command()
def deploy(
    bucket: Annotated[
        str | None, typer.Option(envvar="FRUITS_BUCKET", help="name of the bucket to create, the first time")
    ] = None,
    email: Annotated[
        str | None, typer.Option(help="who is told of the budget, and what Airflow tells")
    ] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="any other parameter of the template, as Name=value")
    ] = None,
    region: Region = _REGION,
    stack: Name = _STACK,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Create or update the stack; show every change first.

    With --dry-run CloudFormation computes the changes, and they are thrown away.
    """
    account = Account(region)
    target = Stack(account.client("cloudformation"), stack)
    given = dict(_pair(each) for each in setting or [])
    given |= {name: value for name, value in (("BucketName", bucket), ("NotificationEmail", email)) if value}
    if target.describe() is None and "BucketName" not in given:
        raise typer.BadParameter(
            "give --bucket a name that nobody in AWS has yet, such as fruits-p9-yourname."
        )
    change_set, changes = target.plan(given)
    if change_set is None:
        console.print(f"Stack {stack} in {region} is as the template wants it: nothing to do.")
        return
    agreed = False
    try:
        console.print(_table(changes))
        agreed = not dry_run and _agreed(yes, f"Make these {len(changes)} changes in {region}?")
    finally:  # whatever became of the question: only to ask it, AWS has kept the changes
        if not agreed:
            target.discard(change_set)
    if not agreed:
        console.print("Nothing was changed.")
        return
    console.print("CloudFormation makes the changes: about three minutes for a new stack.")
    target.execute(change_set)
    for name in create_linked_roles(account.client("iam")):
        console.print(f"Created the role that {name} keeps for itself")
    console.print(f"Stack {stack} in {region} is deployed. Where Airflow starts:", style="green")
    console.print(exports(target.outputs()), highlight=False, end="")
    if not (given.get("NotificationEmail") or target.parameter("NotificationEmail")):
        console.print(
            "Nobody is told of the budget, nor what Airflow tells: deploy again with --email.", style="yellow"
        )


@cli.command()
def env(
    region: Region = _REGION,
    stack: Name = _STACK,
    plain: Annotated[bool, typer.Option(help="NAME=value lines, as docker compose reads them")] = False,
) -> None:
    """Print the FRUITS_* variables of a deployed stack, for a shell to read."""
    outputs = Stack(Account(region).client("cloudformation"), stack).outputs()
    if plain:
        sys.stdout.writelines(f"{name}={value}\n" for name, value in variables(outputs).items())
    else:
        sys.stdout.write(exports(outputs))


@cli.command()
def mwaa(
    output: Annotated[Path, typer.Option(help="folder to write; what is in it goes")] = Path("out/mwaa"),
    region: Region = _REGION,
    stack: Name = _STACK,
    dry_run: DryRun = False,
) -> None:
    """Write what Amazon MWAA takes to run the DAGs with a deployed stack."""
    outputs = Stack(Account(region).client("cloudformation"), stack).outputs()
    if dry_run:
        console.print(f"Would write {output} for stack {stack} in {region}.")
        return
    repository = Path(__file__).resolve().parents[2]
    for path in managed_airflow.build(managed_airflow.Parts(repository), outputs, output):
        console.print(f"{path} {path.stat().st_size / 1e6:.1f} MB", highlight=False)


@cli.command()
def destroy(
    region: Region = _REGION, stack: Name = _STACK, dry_run: DryRun = False, yes: Yes = False
) -> None:
    """End the clusters, empty the bucket, delete the stack, and look for what is left."""
    account = Account(region)
    target = Stack(account.client("cloudformation"), stack)
    described = target.describe()
    if described is None:
        console.print(f"There is no stack {stack} in {region}: nothing to do.")
        return
    installation = target.parameter("Installation")
    bucket = target.parameter("BucketName")
    for line in removal.clusters(account, installation):
        console.print(f"Would end cluster {line}")
    objects = removal.count(account.client("s3"), bucket)
    console.print(
        f"Would delete stack {stack} in {region} ({len(target.resources())} resources), and the bucket "
        f"{bucket} with {objects} objects and versions. They cannot be brought back."
    )
    if dry_run or not _agreed(yes, "Type the bucket's name to do so", bucket):
        console.print("Nothing was changed.")
        return
    console.print("Ending clusters, emptying the bucket, deleting the stack: some minutes.")
    removal.end_clusters(account, installation)
    removal.delete_stack(account, target)
    left = removal.leftovers(account, installation)
    if left:
        raise StackError("The stack is gone, but these are left: " + ", ".join(left))
    console.print("All is gone; nothing with the installation's tags is left in the region.", style="green")


@cli.command()
def doctor(region: Region = _REGION, stack: Name = _STACK, dry_run: DryRun = False) -> None:
    """Check whether a run with default parameters would find what it needs; change nothing.

    Exit code 1 when something is wrong. With --dry-run it lists the checks and the calls they make.
    """
    if dry_run:
        for check in checks.CHECKS:
            console.print(f"{check.__name__:12} {(check.__doc__ or '').strip()}", highlight=False)
        return
    account = Account(region)
    target = checks.Target(
        account,
        Stack(account.client("cloudformation"), stack),
        RunParameters(region=region),
        Deployment(),
    )
    wrong = 0
    for finding in checks.examine(target):
        wrong += finding.verdict == "wrong"
        colour = _COLOURS[finding.verdict]
        console.print(f"[{colour}]{finding.verdict:9}[/] {finding.what:12} {finding.seen}", highlight=False)
        if finding.remedy:
            console.print(f"{'':22} -> {finding.remedy}", highlight=False, markup=False)
    if wrong:
        raise typer.Exit(1)


@cli.command()
def prices() -> None:
    """Write the shipped price snapshot anew, from the account's price list. It asks nothing else of AWS."""
    today = datetime.now(UTC).date()
    regions = price_snapshot.refresh(Account(PRICING_REGION).client("pricing"), today)
    console.print(f"{SNAPSHOT_FILE} has the prices of {today} in {', '.join(regions)}.")


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise typer.BadParameter(f"--set {text!r} has no '=': write it as Name=value.")
    return name, value


def _table(changes: list[Change]) -> Table:
    table = Table()
    for title in ("", "resource", "type", "replaced"):
        table.add_column(title, overflow="fold")
    for change in changes:
        table.add_row(change.action, change.name, change.kind, change.replacement)
    return table


def _agreed(yes: bool, question: str, answer: str | None = None) -> bool:
    """Whether the person agrees: with y, or by typing ``answer``."""
    if yes:
        return True
    if answer is None:
        return typer.confirm(question)
    return bool(typer.prompt(question, default="", show_default=False) == answer)


def main() -> int:
    """Run the command; what AWS or the command refuses is one sentence and exit code 2."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    try:
        code = command_line.call(cli)
        if code == _INTERRUPTED:
            console.print(
                "Interrupted: what AWS has begun goes on there. Wait for it, then repeat the command."
            )
        return code
    except (command_line.UsageError, StackError, PipelineError, managed_airflow.MissingPartError) as error:
        console.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False)
    except ClientError as error:
        console.print(f"[bold red]error:[/] AWS refuses: {escape(str(error))}", highlight=False)
    except BotoCoreError as error:
        console.print(f"[bold red]error:[/] {escape(no_answer.why(error))}", highlight=False)
    return 2


if __name__ == "__main__":
    sys.exit(main())
