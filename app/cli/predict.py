"""`firstread predict`: screen files without any server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def predict(
    paths: Annotated[list[Path], typer.Argument(help="DICOM, PNG and JPEG files; folders are searched.")],
    out: Annotated[
        str, typer.Option(help="File to write, a line of JSON for each file; - for standard output.")
    ],
    bundle: Annotated[Path | None, typer.Option(help="The bundle; the default one if left out.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Screen files without a server: outcome, findings and urgency of each, as JSON lines."""
    from app.cli.predictions import run

    sys.exit(run(paths=paths, out=out, bundle=bundle, device=device))
