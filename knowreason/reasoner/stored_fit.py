"""Learned weights on disk: ``weights.toml`` for people, ``weights.safetensors`` exactly."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from knowreason.diagnostics import Diagnostic
from knowreason.errors import ProjectError
from knowreason.factors import ParameterTable
from knowreason.learning import EstimatorReport, Fit
from knowreason.reasoner.rule_weights import RuleWeights

_TABLE = (
    "start",
    "prior_mean",
    "prior_sd",
    "lower",
    "upper",
    "learned",
    "log_normal",
    "owner",
)
_NETWORK = "gcn.safetensors"
_KNOWGRAPH = "knowgraph.safetensors"
_FINDING = ("code", "message", "severity", "help")


def save_fit(fit: Fit, folder: Path, weights: RuleWeights | None = None) -> None:
    """Write ``weights.toml``, ``weights.safetensors``, ``weights.json``, ``history.jsonl``.

    ``gcn.safetensors`` is the GCN posterior, where one was fitted, ``knowgraph.safetensors`` the
    network of method ``knowgraph``, where one was trained.
    ``weights`` are those of the fit, where they have intervals of a bootstrap.
    """
    from safetensors.numpy import save_file

    arrays = {
        "theta": fit.theta,
        "standard_errors": fit.standard_errors,
        "covariance": np.ascontiguousarray(fit.covariance),
        "spread": fit.spread,
    }
    for name in _TABLE:
        column = np.ascontiguousarray(getattr(fit.parameters, name))
        arrays[f"table.{name}"] = column.astype(np.uint8) if column.dtype == bool else column
    save_file(arrays, folder / "weights.safetensors")
    document = {
        "names": fit.parameters.names,
        "kinds": fit.parameters.kinds,
        "status": fit.status,
        "objective": fit.objective,
        "log_likelihood": fit.log_likelihood,
        "iterations": fit.iterations,
        "converged": fit.converged,
        "notes": fit.notes,
        "findings": [{name: getattr(one, name) for name in _FINDING} for one in fit.findings],
        "design_effect": fit.design_effect,
        "clusters": fit.clusters,
        "estimators": [asdict(report) for report in fit.estimators],
        "gcn": None if fit.gcn is None else asdict(fit.gcn.errors),
        "knowgraph": None if fit.knowgraph is None else asdict(fit.knowgraph.shape),
    }
    if fit.gcn is not None:
        from knowreason.inference.gcn.gcn_training import save_gcn

        save_gcn(fit.gcn.network, folder / _NETWORK)
    if fit.knowgraph is not None:
        from knowreason.inference.gcn.instance_network import save_instance_network

        save_instance_network(fit.knowgraph, folder / _KNOWGRAPH)
    (folder / "weights.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    (folder / "weights.toml").write_text(
        weights_toml(weights or RuleWeights.of(fit)), encoding="utf-8"
    )
    lines = "".join(json.dumps(record, default=float) + "\n" for record in fit.history)
    (folder / "history.jsonl").write_text(lines, encoding="utf-8")


def load_fit(folder: Path) -> Fit:
    """Read what :func:`save_fit` wrote (without the history).

    Raises:
        ProjectError: KR911 for a folder without stored weights.
    """
    from safetensors.numpy import load_file

    try:
        document = json.loads((folder / "weights.json").read_text(encoding="utf-8"))
        arrays = load_file(folder / "weights.safetensors")
    except (OSError, ValueError) as error:
        raise ProjectError(f"`{folder}` holds no stored weights: {error}", code="KR911") from None
    columns = {name: arrays[f"table.{name}"] for name in _TABLE}
    for name in ("learned", "log_normal"):
        columns[name] = columns[name].astype(bool)
    gcn = None
    if document.get("gcn") is not None:
        from knowreason.inference.gcn.gcn_fitting import FittedGcn, GcnErrors
        from knowreason.inference.gcn.gcn_training import load_gcn

        gcn = FittedGcn(load_gcn(folder / _NETWORK), GcnErrors(**document["gcn"]))
    knowgraph = None
    if document.get("knowgraph") is not None:
        from knowreason.inference.gcn.instance_network import NetworkShape, load_instance_network

        shape = NetworkShape(**document["knowgraph"])
        knowgraph = load_instance_network(folder / _KNOWGRAPH, shape)
    table = ParameterTable(tuple(document["names"]), tuple(document["kinds"]), **columns)
    return Fit(
        theta=arrays["theta"],
        standard_errors=arrays["standard_errors"],
        status=tuple(document["status"]),
        objective=document["objective"],
        log_likelihood=document["log_likelihood"],
        iterations=document["iterations"],
        converged=document["converged"],
        history=(),
        parameters=table,
        covariance=arrays["covariance"],
        spread=arrays["spread"],
        notes=tuple(document["notes"]),
        design_effect=document.get("design_effect", 1.0),
        clusters=document.get("clusters", 0),
        estimators=tuple(EstimatorReport(**one) for one in document.get("estimators", ())),
        findings=tuple(Diagnostic(**one) for one in document.get("findings", ())),
        gcn=gcn,
        knowgraph=knowgraph,
    )


def weights_toml(weights: RuleWeights) -> str:
    """Weights for people: one table a parameter."""
    lines = ["# prior -> learned weights, in log-odds; `status` says what the data had to say"]
    lines += [f"# {report}" for report in weights.estimators]
    for weight in weights:
        low, high = weight.interval
        lines += [
            "",
            f"[{json.dumps(weight.name)}]",
            f'kind = "{weight.kind}"',
            f"weight = {_number(weight.value)}",
            f"standard_error = {_number(weight.standard_error)}",
            f"interval_95 = [{_number(low)}, {_number(high)}]",
            f"prior_mean = {_number(weight.prior_mean)}",
            f"prior_sd = {_number(weight.prior_sd)}",
            f"status = {json.dumps(weight.status)}",
        ]
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return str(float(f"{value:.6g}")).replace("Infinity", "inf")
