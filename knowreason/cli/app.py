"""The verbs put together; what goes wrong becomes an exit code, never a traceback."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from knowreason.cli.run_verbs import audit_verb as audit
from knowreason.cli.run_verbs import augment_verb as augment
from knowreason.cli.run_verbs import backtest_verb as backtest
from knowreason.cli.run_verbs import diff_verb as diff
from knowreason.cli.run_verbs import eval_verb as eval
from knowreason.cli.run_verbs import explain_verb as explain
from knowreason.cli.run_verbs import predict_verb as predict
from knowreason.cli.run_verbs import train_verb as train
from knowreason.cli.screen import Screen, set_screen, show_error, warnings_as_findings
from knowreason.cli.verbs import check_verb as check
from knowreason.cli.verbs import compile_verb as compile
from knowreason.cli.verbs import explain_code_verb as explain_code
from knowreason.cli.verbs import export_verb, import_verb, lsp_verb, schema_verb
from knowreason.cli.verbs import fmt_verb as fmt
from knowreason.cli.verbs import infer_verb as infer
from knowreason.cli.verbs import init_verb as init
from knowreason.cli.verbs import models_verb as models
from knowreason.cli.verbs import new_verb as new
from knowreason.cli.verbs import plan_verb as plan
from knowreason.cli.verbs import suggest_verb as suggest
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
app.command("init")(init.init)
app.command("check")(check.check)
app.command("fmt")(fmt.fmt)
app.command("infer")(infer.infer)
app.command("plan")(plan.plan)
app.command("compile")(compile.compile)
app.command("train")(train.train)
app.command("predict")(predict.predict)
app.command("explain")(explain.explain)
app.command("eval")(eval.evaluate)
app.command("audit")(audit.audit)
app.command("backtest")(backtest.backtest)
app.command("diff")(diff.diff)
app.command("augment")(augment.augment)
app.command("suggest")(suggest.suggest)
app.command("models")(models.models)
app.command("explain-code")(explain_code.explain_code)
app.command("import")(import_verb.import_files)
app.command("export")(export_verb.export)
app.command("schema")(schema_verb.schema)
app.command("lsp")(lsp_verb.lsp)


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
