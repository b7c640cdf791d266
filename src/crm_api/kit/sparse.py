"""`fields=`: only some members of an answer, by an allow-list taken from the answer's own model."""

from __future__ import annotations

from typing import Any, get_args

import orjson
from pydantic import BaseModel
from starlette.responses import Response

from crm_api.kit.problems import Invalid
from crm_api.kit.reply import Reply, dumps

_ALWAYS = frozenset({"id"})
_MAX_LENGTH = 1000


def members_of(model: Any) -> frozenset[str]:
    """What can be asked for: the members of the model, or of its items where it is a page."""
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return frozenset()
    fields = model.model_fields
    if "data" in fields and "has_more" in fields:
        (item,) = get_args(fields["data"].annotation)
        return members_of(item)
    return frozenset(fields)


def parse_fields(text: str, known: frozenset[str]) -> frozenset[str]:
    """The members asked for; an unknown one is an error, never silence."""
    wanted = frozenset(text.split(",")) if text and len(text) <= _MAX_LENGTH else frozenset({""})
    if not wanted <= known:
        raise Invalid.at("?fields", "unknown_field", f"fields takes, separated by commas: {', '.join(sorted(known))}.")
    return wanted | (_ALWAYS & known)


def prune(response: Response, wanted: frozenset[str]) -> Response:
    """The answer with the wanted members only; its ETag stays, being the resource's."""
    content = orjson.loads(bytes(response.body))
    if "has_more" in content and isinstance(content.get("data"), list):
        content["data"] = [_only(item, wanted) for item in content["data"]]
    else:
        content = _only(content, wanted)
    pruned = Reply(dumps(content), status_code=response.status_code)
    for name, value in response.headers.items():
        if name not in {"content-length", "content-type"}:
            pruned.headers[name] = value
    return pruned


def _only(item: dict[str, Any], wanted: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name in wanted}
