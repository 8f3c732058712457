"""The verbs put together; what goes wrong becomes an exit code, never a traceback."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from knowreason.cli import (
    check,
    compile,
    eval,
    explain,
    explain_code,
    fmt,
    infer,
    models,
    new,
    plan,
    predict,
    train,
)
from knowreason.cli.render import Screen, set_screen, show_error, warnings_as_findings
from knowreason.errors import KnowreasonError, ProjectError
from knowreason.version import __version__

app = typer.Typer(
    name="knowreason",
    help="Weighted first-order rules over learned models: calibrated, explained predictions.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("new")(new.new)
app.command("check")(check.check)
app.command("fmt")(fmt.fmt)
app.command("infer")(infer.infer)
app.command("plan")(plan.plan)
app.command("compile")(compile.compile)
app.command("train")(train.train)
app.command("predict")(predict.predict)
app.command("explain")(explain.explain)
app.command("eval")(eval.evaluate)
app.command("models")(models.models)
app.command("explain-code")(explain_code.explain_code)


@app.callback(invoke_without_command=True)
def common(
    quiet: Annotated[bool, typer.Option("-q", help="Only results and errors.")] = False,
    verbose: Annotated[bool, typer.Option("-v", help="Say more.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """Data goes to stdout, everything else to stderr.

    Exit codes: 0 good, 1 findings or a failed check, 2 wrong usage or input.
    """
    set_screen(Screen(quiet=quiet, verbose=verbose))
    if version:
        sys.stdout.write(f"knowreason {__version__}\n")
        raise typer.Exit


def run() -> None:
    """Run a command line; ends the process with its exit code."""
    try:
        with warnings_as_findings():
            app()
    except KnowreasonError as error:
        show_error(error)
        sys.exit(2)
    except (BrokenPipeError, KeyboardInterrupt):
        sys.exit(130)
    except OSError as error:
        where = f"`{error.filename}`: " if error.filename else ""
        show_error(ProjectError(f"{where}{error.strerror or error}", code="KR923"))
        sys.exit(2)
