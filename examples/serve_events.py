"""New events judged over HTTP on a history that grows: a run folder behind two addresses.

    pip install fastapi uvicorn
    RUN=run HISTORY=history uvicorn examples.serve_events:from_environment --factory

`HISTORY` holds `facts/NAME.parquet` and `labels/NAME.parquet`, a table a predicate or attribute.
What is posted are columns by name: `{"facts": {"Pays": {"p": ["p9"], "c": ["c1"]}, ...}}`.
"""

import os
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse

import knowreason as kr

Event = dict[str, dict[str, dict[str, list[Any]]]]  # "facts", "labels" ...: tables of columns


def app_of(run: str, history: str) -> FastAPI:
    """An application that serves one run on one history."""
    reasoner = kr.load_run(run).reasoner
    tables = {
        kind: {path.stem: str(path) for path in sorted((Path(history) / kind).glob("*.parquet"))}
        for kind in ("facts", "labels")
    }
    server = reasoner.serve(kr.Dataset.from_frames(reasoner.program, **tables))
    queries = [p.name for p in reasoner.program.predicates if p.kind == "query"]
    app = FastAPI()

    @app.post("/score")
    def score(event: Event, why: bool = False) -> list[dict[str, Any]]:
        """Probability of each asked atom, and reasons; the history stays as it is."""
        beliefs = server.score(event.pop("facts"), **event)
        asked = [zip(*beliefs.probabilities(name), strict=True) for name in queries]
        rows = [(beliefs.grounding.atom_name(int(i)), float(p)) for own in asked for i, p in own]
        told = [{"why": str(reasoner.explain(beliefs, atom))} if why else {} for atom, _ in rows]
        return [{"atom": a, "probability": p} | t for (a, p), t in zip(rows, told, strict=True)]

    @app.post("/observe")
    def observe(event: Event) -> None:
        """Events, and labels, that are history from now on."""
        server.observe(event.pop("facts", {}), **event)

    @app.exception_handler(kr.KnowreasonError)
    def refused(_: object, error: kr.KnowreasonError) -> JSONResponse:
        """What is wrong with an event, with its code."""
        return JSONResponse({"error": str(error)}, 422)

    return app


def from_environment() -> FastAPI:
    """The application of the run and history that the environment names."""
    return app_of(os.environ["RUN"], os.environ["HISTORY"])
