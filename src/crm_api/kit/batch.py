"""Batches: up to a thousand items in one request, each with a status of its own, or all of them or none.

A resource's batch reads its items with `parse_items`, carries them out set-wise, and answers with `answer`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any
from uuid import UUID

import orjson
from pydantic import Field, JsonValue, ValidationError

from crm_api.kit.body import invalid_from
from crm_api.kit.problems import FieldError, Invalid, NotFound, Problem
from crm_api.kit.schemas import Input, Output

MOST_ITEMS = 1_000
MAX_BYTES = 4_000_000


class Batch(Input):
    """Items to be carried out together."""

    items: Annotated[list[dict[str, JsonValue]], Field(min_length=1, max_length=MOST_ITEMS)]
    atomic: bool = Field(
        False, description="All or none: when an item fails, nothing is written and the answer is 422."
    )


class BatchProblem(Output):
    """Why an item failed."""

    code: str
    detail: str
    errors: list[dict[str, str]]


class BatchResult(Output):
    """What became of an item: the status it would have had as a request of its own."""

    index: int
    status: int
    id: UUID | None
    version: int | None
    problem: BatchProblem | None


class BatchRead(Output):
    """What became of every item, in their order."""

    succeeded: int
    failed: int
    results: list[BatchResult]


@dataclass(slots=True)
class Item:
    """An item on its way."""

    index: int
    body: Any = None
    """The validated model."""
    status: int = 0
    id: UUID | None = None
    version: int | None = None
    problem: Problem | None = None
    plain: bool = False
    """Sent without an ``op``: the item itself is the body."""

    def fail(self, problem: Problem) -> None:
        """The item is refused."""
        self.problem, self.status = problem, problem.status

    def errors(self) -> list[FieldError]:
        """What is wrong, at places of the item as it was sent."""
        found = list(self.problem.errors) if self.problem is not None else []
        return [one._replace(pointer=one.pointer.removeprefix("/body")) for one in found] if self.plain else found


@dataclass(frozen=True, slots=True)
class Parsed:
    """Every item of a batch, and those that can be carried out."""

    every: Sequence[Item]
    good: Sequence[Item] = field(default_factory=tuple)


def parse_items(body: Batch, models: Mapping[str, type[Input]], *, plain: str) -> Parsed:
    """The items by the model that their ``op`` names; one without is the body of a `plain`. An item that does not fit
    has failed already."""
    items = []
    for index, raw in enumerate(body.items):
        item = Item(index, plain="op" not in raw)
        items.append(item)
        if item.plain:
            raw = {"op": plain, "body": raw}
        op = raw.get("op")
        model = models.get(op) if isinstance(op, str) else None
        if model is None:
            item.fail(Invalid.at("/op", "unknown_op", f"op must be one of {', '.join(models)}."))
            continue
        try:
            item.body = model.model_validate_json(orjson.dumps(raw), strict=True)
        except ValidationError as error:
            item.fail(invalid_from(error, model=model, sent=raw))
    return Parsed(items, [item for item in items if item.problem is None])


def failures(items: Sequence[Item]) -> list[FieldError]:
    """What is wrong with the items of a batch that stands or falls as a whole."""
    errors = []
    for item in items:
        if item.problem is not None:
            inner = item.errors() or [FieldError("", item.problem.code, item.problem.detail)]
            errors += [one._replace(pointer=f"/items/{item.index}{one.pointer}") for one in inner]
    return errors


def require_all(items: Sequence[Item]) -> None:
    """422 where an item has failed."""
    if errors := failures(items):
        raise Invalid(
            "The batch is atomic and not every item can be carried out, so none was; see errors.",
            code="batch_refused",
            errors=errors[:50],
        )


def answer(items: Sequence[Item]) -> dict[str, Any]:
    """The answer of a batch."""
    results = [
        {
            "index": item.index,
            "status": item.status,
            "id": item.id,
            "version": item.version,
            "problem": None
            if item.problem is None
            else {
                "code": item.problem.code,
                "detail": item.problem.detail,
                "errors": [one._asdict() for one in item.errors()],
            },
        }
        for item in items
    ]
    failed = sum(item.problem is not None for item in items)
    return {"succeeded": len(items) - failed, "failed": failed, "results": results}


def missing(what: str) -> NotFound:
    """An item names a row that there is not."""
    return NotFound(f"There is no such {what}.")
