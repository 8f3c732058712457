"""Starter projects for ``knowreason new``; each runs as it is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from knowreason.project.manifests import run_folder
from knowreason.registry import Registry
from knowreason.resources import rulesets_path

Template = Callable[[Path], str]
TEMPLATES: Registry[Template] = Registry("template", "knowreason.templates")

SKIMMING = """\
# Payments at terminals of which some are skimmed. The tables in data/ are generated
# (knowreason.data.worlds.skimming): nothing in them is real.
program = "skimming.kr"
seed = 0

[tables.payments]
path = "data/payments.parquet"
[tables.cards]
path = "data/cards.parquet"
[tables.terminals]
path = "data/terminals.parquet"
[tables.days]
path = "data/days.parquet"
[tables.labels]
path = "data/labels.parquet"

[bind]
Pays   = { table = "payments", columns = ["id", "card", "terminal"] }
On     = { table = "payments", columns = ["id", "day"] }
Next   = { table = "days", columns = ["day", "next"] }
day    = { table = "payments", columns = ["id"], value = "day" }
at     = { table = "payments", columns = ["id"], value = "time" }
amount = { table = "payments", columns = ["id"], value = "amount" }
entry  = { table = "payments", columns = ["id"], value = "entry" }
home   = { table = "cards", columns = ["card"], value = "region" }
region = { table = "terminals", columns = ["terminal"], value = "region" }
Fraud  = { table = "labels", columns = ["id"], label = "fraud" }

# Frauds get looked into, other payments hardly ever: half of the two dozen labels are fraud, of all
# payments some 2 % (a bank knows from its books). Without this line probabilities would be many
# times too high, and `train` would say so (try it).
[labels]
prevalence = 0.02

[split]                    # weights are learned on the past, measured on the future
by = "day"
train = "< 30"
test = ">= 30"

[learn]
fold_count = 3
folds = "random"           # a dozen frauds are too few for folds of whole terminals
# From day 30 frauds no longer have large amounts: the model `amount` is wrong, and no label says so
# yet. But what rules and `signs` take for fraud has other amounts than in training: the model is
# named, and with this line what it says is passed through what is left of it.
adapt = "reliability"

[report]
question = "Which payments are fraud, and which terminals were skimmed on which days?"
by = "day"
metrics = ["average_precision", "roc_auc", "tpr@fpr=0.01", "log_loss", "ece"]

[show]                     # what `explain` and the report show of things
Payment = ["at", "amount", "entry", "card", "terminal"]
Card = ["home"]
Terminal = ["region"]
"""


@TEMPLATES.register("skimming")
def skimming(folder: Path) -> str:
    """Card fraud at skimmed terminals, on generated tables: train, eval, explain, report."""
    import pyarrow.parquet as pq

    from knowreason.data.worlds.skimming import skimming as world

    shutil.copy(rulesets_path() / "skimming.kr", folder)
    (folder / "knowreason.toml").write_text(SKIMMING, encoding="utf-8")
    (folder / "data").mkdir()
    for name, table in world(seed=0, drift=0.5).items():
        if name not in ("truth", "compromised"):
            pq.write_table(table, folder / "data" / f"{name}.parquet")
    return "knowreason train {folder} -o {folder}/run"


@TEMPLATES.register("smokers")
def smokers(folder: Path) -> str:
    """Friends and smokers, a rule file and a facts file: marginals in a second."""
    for name in ("smokers.kr", "smokers.facts"):
        shutil.copy(rulesets_path() / name, folder)
    return "knowreason infer {folder}/smokers.kr {folder}/smokers.facts"


LABELLING = """\
# Comments, some of them spam, and eight functions that say so or abstain. No comment that is
# learned from has a label; 300 later ones have been read, to measure by. The tables in data/ are
# generated (knowreason.data.worlds.comments): nothing in them is real.
program = "labelling.kr"
seed = 0

[tables.comments]
path = "data/comments.parquet"
[tables.votes]             # one row a function that speaks; where it abstains there is none
path = "data/votes.parquet"
[tables.labels]
path = "data/labels.parquet"

[bind]
text  = { table = "comments", columns = ["comment"], value = "text" }
week  = { table = "comments", columns = ["comment"], value = "week" }
fires = { table = "votes", columns = ["comment", "function"], value = "spam" }
Spam  = { table = "labels", columns = ["comment"], label = "spam" }

[split]
by = "week"
train = "< 4"
test = ">= 4"

[report]
question = "Which comments are spam?"
metrics = ["accuracy", "average_precision", "roc_auc", "log_loss", "ece"]
"""


@TEMPLATES.register("labelling")
def labelling(folder: Path) -> str:
    """Spam without a label: functions that vote or abstain, and a text; generated comments."""
    import pyarrow.parquet as pq

    from knowreason.data.worlds.comments import comments as world

    shutil.copy(rulesets_path() / "labelling.kr", folder)
    (folder / "knowreason.toml").write_text(LABELLING, encoding="utf-8")
    (folder / "data").mkdir()
    for name, table in world(seed=0).items():
        if name != "truth":
            pq.write_table(table, folder / "data" / f"{name}.parquet")
    return "knowreason train {folder} -o {folder}/run"


def new_project(folder: Path, template: str) -> str:
    """Write a starter project; the command that runs it is returned.

    Raises:
        UnknownNameError: for a template that does not exist.
        ProjectError: KR914 where the folder is there.
    """
    fill = TEMPLATES[template]
    with run_folder(folder) as partial:
        command = fill(partial)
    return command.format(folder=folder)
