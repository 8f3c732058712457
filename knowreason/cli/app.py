"""The verbs put together; what goes wrong becomes an exit code, never a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable
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

VERBS: tuple[tuple[str, Callable[..., None], str], ...] = (
    ("new", new.new, "Make a project that runs as it is; lists the templates."),
    ("init", init.init, "Make a project from tables, guesses said."),
    ("check", check.check, "Check rules and projects, all faults at once."),
    ("fmt", fmt.fmt, "Lay rule files out canonically."),
    ("infer", infer.infer, "Marginals of what is asked, without learning."),
    ("plan", plan.plan, "What grounding will cost: rows, memory, seconds."),
    ("compile", compile.compile, "Ground the training part, and store the graph."),
    ("train", train.train, "Fit the models, learn the weights, write a run."),
    ("predict", predict.predict, "Predict with a run."),
    ("explain", explain.explain, "Why a run concludes what it does; what if."),
    ("eval", eval.evaluate, "What to do with a run, and how good it is."),
    ("audit", audit.audit, "What to doubt about a run."),
    ("backtest", backtest.backtest, "Each rule, and all together, on past slices."),
    ("diff", diff.diff, "Which conclusions change between two rule files."),
    ("augment", augment.augment, "Tables with generated cases of a rare class."),
    ("suggest", suggest.suggest, "Rules that the data speak for."),
    ("models", models.models, "Kinds of models, and their options."),
    ("explain-code", explain_code.explain_code, "What a code such as KR201 means."),
    ("import", import_verb.import_files, "Make a project of Markov logic, PSL or triples."),
    ("export", export_verb.export, "Write a factor graph (uai) or Markov logic (mln)."),
    ("schema", schema_verb.schema, "The JSON schema of project files."),
    ("lsp", lsp_verb.lsp, "The language server, for editors."),
)
for _name, _verb, _short in VERBS:
    app.command(_name, short_help=_short)(_verb)


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
