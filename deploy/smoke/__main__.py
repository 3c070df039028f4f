"""``python -m smoke``: two small runs in a real AWS account, and the answers to what only it can tell."""

import fcntl
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Final

import boto3
import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape

from fruit_pipeline import command_line
from fruit_pipeline.aws import no_answer
from fruit_pipeline.errors import PipelineError
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.upload.folder import read_folder
from fruit_pipeline.upload.uploading import Summary, send
from infra import removal
from infra.account_clients import Account
from infra.linked_roles import create_linked_roles
from infra.stack import Stack, StackError
from local_run import generated_photos
from local_run.airflow_server import AirflowError
from local_run.processes import ChildEndedError
from smoke import answers, runs, sightings, undoing
from smoke.interruption import Interruption
from smoke.made import Made, Place
from smoke.runs import SmokeError

cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)
console: Final = Console(soft_wrap=True, highlight=False)
_AGAIN: Final = "make aws-smoke ARGS=--remove"
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_STATE: Final = runs.REPOSITORY / ".state" / "aws-smoke"
_EVIDENCE: Final = runs.REPOSITORY / "docs" / "evidence"

Output = Annotated[Path, typer.Option(help="folder of aws-smoke.json and aws-smoke.md")]


@cli.command()
def smoke(
    region: Annotated[str, typer.Option(envvar="FRUITS_REGION", help="an EU region")] = "eu-west-1",
    stack: Annotated[
        str | None,
        typer.Option(help="a deployed stack with an empty bucket and no Airflow; without it one is made"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="remove what a killed call has left")] = False,
    questions: Annotated[
        bool, typer.Option("--questions", help="write the page of the questions, and ask nobody")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="say what would be done, and do nothing")
    ] = False,
    state_dir: Annotated[Path, typer.Option(help="where to keep state")] = _STATE,
    output: Output = _EVIDENCE,
) -> None:
    """Two small runs in a real AWS account, and the answers to what only it can tell."""
    if questions:
        if not dry_run:
            answers.write_page(output)
        return
    state_dir.mkdir(parents=True, exist_ok=True)
    with _alone(state_dir):
        test = SmokeTest(state_dir.resolve(), Made.read(state_dir / "made.json"))
        if remove:
            test.remove(dry_run)
            return
        green = test.run(region, stack, yes, output, dry_run)
    if not green:
        raise typer.Exit(1)


class SmokeTest:
    """One smoke test, from the refusal or the agreement to the removal of all that it made."""

    def __init__(self, state: Path, earlier: Made | None) -> None:
        self._state, self._earlier, self._journal = state, earlier, state / "made.json"
        self._poll = Deployment().poll_seconds

    def run(self, region: str, given_stack: str | None, yes: bool, output: Path, dry_run: bool) -> bool:
        """Both runs, their answers, and whether both were green."""
        if self._earlier:
            raise SmokeError(f"An earlier call has left {self._earlier.stack}: run `{_AGAIN}` first.")
        made = Made.anew(region, given_stack)
        account = _account(region)
        # A look alone comes before the archive is built, which takes a minute.
        if not dry_run and not (archive := Deployment().runtime_archive).exists():
            raise SmokeError(f"{archive} is missing: run `make runtime`.")
        stack = Stack(account.client("cloudformation"), made.stack)
        place = Place.of(made, stack)
        _check(account, stack, place, given_stack)
        folder = generated_photos.generate(self._state / "photos", runs.PHOTOS)
        size = sum(photo.size for photo in read_folder(folder).photos)
        costs = runs.check_cost(account, made, place, size, Deployment().usd_per_eur)
        what = f"the stack {stack.name}" if given_stack else f"a stack of its own, {stack.name}"
        console.print(f"Two runs in {region}, with {what}: {costs}. What is made is removed at the end.")
        if dry_run or not (yes or typer.confirm("Start?")):
            return True
        with self._removed_afterwards(account, made) as took:
            seen = self._play(account, made, stack, place, folder)
        seen.removal.update(took)
        answers.write(output, seen, account.id)
        console.print(f"{output / answers.FILE} and {answers.PAGE} have the answers: read and commit them.")
        return seen.plain.state == "success" and (seen.spot is None or seen.spot.state == "success")

    def remove(self, dry_run: bool) -> None:
        """What a killed call has left."""
        if self._earlier is None:
            console.print("No earlier call has left anything: nothing to do.")
            return
        if dry_run:
            console.print(f"Would remove {self._earlier.stack} in {self._earlier.region}.")
            return
        with self._removed_afterwards(_account(self._earlier.region), self._earlier):
            undoing.end_strays(runs.home_of(self._state))

    def _play(self, account: Account, made: Made, stack: Stack, place: Place, folder: Path) -> sightings.Seen:
        if made.given_stack is None:
            _deploy(account, stack, made)
        send(
            account.client("s3"),
            read_folder(folder, place.prefix),
            place.bucket,
            place.prefix,
            console,
            Summary(),
        )
        planned = dict(zip(made.run_ids, runs.parameters(made, place), strict=True))
        (plain, _), (spot, interrupted) = planned.items()
        interruption, states = Interruption(account, made, place, self._poll), {}
        with runs.airflow(self._state, stack.outputs(), console) as airflow:
            console.print(f"{plain}: a plain run that may grow")
            states[plain] = airflow.play(plain, planned[plain])
            if interruption.allow():
                console.print(f"{spot}: a run that loses a Spot worker")
                states[spot] = airflow.play(spot, interrupted, interruption.look)
        # Now: EMR delivers the last logs some minutes after a cluster's end.
        played = [sightings.run_seen(account, place, i, planned[i], states[i]) for i in states]
        return sightings.seen(account, made, played, interruption.ended())

    @contextmanager
    def _removed_afterwards(self, account: Account, made: Made) -> Iterator[dict[str, float]]:
        """Whatever happens inside, and whoever interrupts it; inside the dict is empty, then has seconds."""
        took: dict[str, float] = {}
        try:
            made.note(self._journal)
            yield took
        finally:
            _hear(signal.SIG_IGN)
            try:
                undoing.ask_clusters_to_end(account, made)
                _hear(_interrupt)
                took |= undoing.remove(account, made, self._poll, _say)
            except (KeyboardInterrupt, ClientError, BotoCoreError, PipelineError, StackError) as error:
                _hear(signal.SIG_IGN)
                why = str(error) or "it was interrupted"
                raise SmokeError(
                    f"The removal is not complete ({why}): {_what_is_left(account, made)}; run `{_AGAIN}`."
                ) from error
            self._journal.unlink(missing_ok=True)


def _what_is_left(account: Account, made: Made) -> str:
    try:
        found = [each.what for each in undoing.left(account, made, 1.0)]
        return f"left are {', '.join(found)}" if found else "nothing seems to be left"
    except (ClientError, BotoCoreError) as error:
        return f"what is left is not known ({error}), its names begin with fruits-{made.token}"


def _account(region: str) -> Account:
    """``SmokeError`` without credentials."""
    account = Account(region)
    if boto3.Session().get_credentials() is None:
        raise SmokeError(f"There are no AWS credentials: {no_answer.SIGN_IN}.")
    account.id  # noqa: B018 - asked for now, for wrong credentials are refused before anything is made
    return account


def _check(account: Account, stack: Stack, place: Place, given_stack: str | None) -> None:
    """What must hold before anything is made."""
    if given_stack is None:
        return
    state = (stack.describe() or {}).get("StackStatus", "not there")
    if not state.endswith(("CREATE_COMPLETE", "UPDATE_COMPLETE")):
        raise SmokeError(
            f"Stack {given_stack!r} is {state} in {account.region}: name a finished one, or none."
        )
    if not place.bucket:
        raise SmokeError(f"Stack {given_stack!r} is not one of `make deploy`: name such a one, or none.")
    if there := removal.clusters(account, place.installation):
        raise SmokeError(
            f"An Airflow is at work with stack {given_stack!r} ({there[0]}), and would end clusters that are "
            "not its own: leave --stack out."
        )
    if account.client("s3").list_objects_v2(Bucket=place.bucket, MaxKeys=1)["KeyCount"]:
        raise SmokeError(
            f"Bucket {place.bucket!r} of stack {given_stack!r} is not empty, and its results would be "
            "replaced: leave --stack out."
        )


def _deploy(account: Account, stack: Stack, made: Made) -> None:
    console.print(f"Deploying {stack.name}")
    change_set, _ = stack.plan(made.parameters)
    assert change_set is not None, "a new stack has something to make"
    stack.execute(change_set)
    for name in create_linked_roles(account.client("iam")):
        console.print(f"Created the role that {name} keeps for itself: it stays, and is free")


@contextmanager
def _alone(state: Path) -> Iterator[None]:
    with (state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SmokeError(f"Another call is at work in {state}: wait for it, or interrupt it.") from None
        yield


def _say(words: str) -> None:
    """To whoever still listens: a terminal that was closed keeps nothing from being removed."""
    with suppress(OSError):
        console.print(words)


def _hear(handler: Callable[..., Any] | signal.Handlers) -> None:
    for each in _SIGNALS:
        signal.signal(each, handler)


def _interrupt(*_: object) -> None:
    """The first one is heard. Others are not, until what it began is under way."""
    _hear(signal.SIG_IGN)
    _say("Interrupted: everything that was made is removed now; that may take minutes.")
    raise KeyboardInterrupt


def main() -> int:
    """Run the command; what is refused is one sentence and exit code 2."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    _hear(_interrupt)
    try:
        return command_line.call(cli)
    except (PipelineError, StackError, AirflowError, ChildEndedError) as error:
        problem = str(error)
    except ClientError as error:
        problem = f"AWS refuses: {error}"
    except BotoCoreError as error:
        problem = no_answer.why(error)
    console.print(f"[bold red]error:[/] {escape(problem)}")
    return 2


if __name__ == "__main__":
    sys.exit(main())
