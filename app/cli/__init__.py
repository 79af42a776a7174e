"""The command line, `firstread`: the composition root, which alone may know every package.

Each command imports what it needs when it runs, so that the web server needs no torch and `--help` is quick.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from app.cli import plain_log_lines  # noqa: F401  (before anything else imports structlog)
from app.cli.audit import audit
from app.cli.backup import backup
from app.cli.calibrate import calibrate
from app.cli.compare import compare
from app.cli.evaluate import evaluate
from app.cli.export import export
from app.cli.keys import keys
from app.cli.patients import patients
from app.cli.predict import predict
from app.cli.promotion import promote, rollback
from app.cli.replay import replay
from app.cli.restore import restore
from app.cli.train import train
from app.cli.users import users

cli = typer.Typer(
    name="firstread",
    help="Puts the chest X-ray that cannot wait in front of the radiologist first.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
cli.add_typer(users, name="user")
cli.add_typer(keys, name="key")
cli.add_typer(audit, name="audit")
cli.add_typer(patients, name="patient")


@cli.command()
def up(
    until_parent_ends: Annotated[
        bool, typer.Option(help="Also stop when the process that started this one has ended.")
    ] = False,
) -> None:
    """Start everything on this machine: database, broker, workers and web server."""
    from app.cli.up import up as run

    run(until_parent_ends=until_parent_ends)


@cli.command()
def web(
    fd: Annotated[int | None, typer.Option(help="Serve on this inherited listening socket.")] = None,
) -> None:
    """Start one web server process."""
    from app.cli.web import web as run

    run(fd=fd)


@cli.command()
def worker() -> None:
    """Start one screening worker; start as many as there are machines or GPUs."""
    from app.cli.worker import screening

    screening()


@cli.command()
def duty() -> None:
    """Start the duty worker: it sweeps up lost work and delivers results. One per site."""
    from app.cli.worker import duty as run

    run()


@cli.command()
def trainer() -> None:
    """Start the training worker: it inspects datasets, trains and evaluates networks. One per site."""
    from app.cli.worker import training

    training()


@cli.command()
def dimse(
    fd: Annotated[int | None, typer.Option(help="Listen on this inherited listening socket.")] = None,
) -> None:
    """Start the DICOM listener: C-STORE and C-ECHO, for the senders that FIRSTREAD_DIMSE_ALLOW lists."""
    from app.cli.dimse import dimse as run

    run(fd=fd)


@cli.command()
def migrate() -> None:
    """Bring the database to this version's schema."""
    from app.cli.prepare import migrate as run

    run()


@cli.command()
def prepare(
    as_json: Annotated[bool, typer.Option("--json", help="Tell the outcome as one JSON object.")] = False,
) -> None:
    """Migrate, and give an empty service its first administrator and sample studies."""
    from app.cli.prepare import prepare as run

    run(as_json=as_json)


@cli.command()
def doctor() -> None:
    """Check this machine and the running service, one line per check."""
    from app.cli.doctor import doctor as run

    sys.exit(run())


@cli.command()
def alive(
    part: Annotated[Literal["web", "screening", "duty", "training", "dimse"], typer.Argument()],
) -> None:
    """Tell by the exit code whether a part answers on this host; for health checks."""
    from app.cli.alive import alive as run

    sys.exit(run(part))


@cli.command()
def send(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files and folders; folders are searched.")
    ] = None,
    phantoms: Annotated[int, typer.Option(min=0, help="Also send this many generated phantoms.")] = 0,
    url: Annotated[str | None, typer.Option(help="The service; the local one if left out.")] = None,
    key: Annotated[
        str | None, typer.Option(envvar="FIRSTREAD_API_KEY", help="API key with scope intake; - reads it.")
    ] = None,
    connections: Annotated[int, typer.Option(min=1, max=64, help="Files sent at the same time.")] = 4,
    seed: Annotated[int, typer.Option(help="First phantom; the same seed makes the same body.")] = 0,
) -> None:
    """Send files, folders or phantoms to a running service: DICOM by STOW-RS, PNG and JPEG by the REST
    API.
    """
    from app.cli.send import send as run

    sys.exit(
        run(paths=paths or [], phantoms=phantoms, url=url, key=key, connections=connections, first_seed=seed)
    )


cli.command()(predict)
cli.command()(train)
cli.command()(calibrate)
cli.command()(evaluate)
cli.command()(compare)
cli.command()(promote)
cli.command()(rollback)
cli.command()(export)
cli.command()(replay)
cli.command()(backup)
cli.command()(restore)


def main() -> None:
    """The entry point: an error that is the caller's to mend is one sentence and exit code 1."""
    from app.cli.refusals import in_words

    try:
        cli()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        sentence = in_words(error)
        if sentence is None:
            raise
        print(sentence, file=sys.stderr)
        sys.exit(1)
