"""Request bodies, read strictly: what a program did not mean to send is refused, never guessed and never a 500."""

from __future__ import annotations

import json
import math
from functools import lru_cache
from typing import Any, NoReturn, TypeVar, cast, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from crm_api.kit.problems import BadRequest, FieldError, Invalid

Model = TypeVar("Model", bound=BaseModel)
_MAX_DEPTH = 32
_MAX_INTEGER = 2**63 - 1
_UNKNOWN: Any = object()


class _Refused(ValueError):
    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Refused("duplicate_key", "A JSON object holds the same member twice. Send each member once.")
    return found


def _integer(digits: str) -> int:
    if len(digits) > 20 or abs(value := int(digits)) > _MAX_INTEGER:
        raise _Refused("number_out_of_range", "A whole number does not fit in 64 bits.")
    return value


def _decimal(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise _Refused("number_out_of_range", "A number is too large.")
    return value


def _constant(_: str) -> NoReturn:
    raise _Refused("number_not_finite", "NaN and Infinity are not JSON.")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_decimal, parse_constant=_constant, strict=True
)


def _check_text(value: Any, pointer: str, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise Invalid.at(pointer, "too_deep", f"JSON is nested deeper than {_MAX_DEPTH} levels.")
    if isinstance(value, str):
        if "\x00" in value:
            raise Invalid.at(pointer, "nul_character", "Text must not hold the NUL character.")
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise Invalid.at(pointer, "lone_surrogate", "Text holds half of a surrogate pair.") from error
    elif isinstance(value, dict):
        for name, item in value.items():
            _check_text(name, pointer, depth)
            _check_text(item, f"{pointer}/{escape(name)}", depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_text(item, f"{pointer}/{index}", depth + 1)


def escape(token: str) -> str:
    """One token of a JSON pointer; cut short, since a member's name is the sender's text."""
    return token[:64].encode("utf-8", "replace").decode().replace("~", "~0").replace("/", "~1")


def parse_json(raw: bytes) -> Any:
    """Decode JSON, refusing duplicate members, numbers out of range, NaN, NUL, lone surrogates and deep nesting."""
    try:
        value = _DECODER.decode(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadRequest("The body is not UTF-8.", code="invalid_encoding") from error
    except _Refused as error:
        raise Invalid.at("", error.code, error.detail) from error
    except (ValueError, RecursionError) as error:
        raise BadRequest("The body is not valid JSON.", code="invalid_json") from error
    _check_text(value, "", 0)
    return value


@lru_cache(maxsize=512)
def _adapter(model: Any) -> TypeAdapter[Any]:
    return TypeAdapter(model)


def parse_model(model: type[Model], raw: bytes) -> Model:
    """The validated body. JSON's own strict rules apply: ``"1"`` is not 1, ``true`` is not 1, unknown members are
    errors."""
    if not raw:
        raise BadRequest("The body is empty; send a JSON object.", code="body_missing")
    sent = parse_json(raw)
    try:
        return cast("Model", _adapter(model).validate_json(raw, strict=True))
    except ValidationError as error:
        raise invalid_from(error, model=model, sent=sent) from None


def invalid_from(
    error: ValidationError, prefix: str = "", *, model: type[BaseModel] | None = None, sent: Any = _UNKNOWN
) -> Invalid:
    """Our 422 from pydantic's error, without the rejected values. With the model, an unknown member is answered by the
    known ones; with what was sent, pointers name places in it, and not alternatives of ours."""
    errors = []
    for item in error.errors(include_url=False, include_input=False, include_context=False)[:50]:
        place = item["loc"] if sent is _UNKNOWN else _place(item["loc"], sent, missing=item["type"] == "missing")
        said = _sentence(str(item["msg"]))
        if item["type"] == "extra_forbidden" and model is not None and (known := _members(model, item["loc"][:-1])):
            said = f"There is no such member here. Known are: {', '.join(known)}."
        if (
            item["type"] == "string_pattern_mismatch"
            and model is not None
            and (example := _example(model, item["loc"]))
        ):
            said = f"{said[:-1]}, such as {example}."
        pointer = prefix + "".join(f"/{escape(str(part))}" for part in place)
        errors.append(FieldError(pointer, str(item["type"]), said))
    count = len(errors)
    return Invalid(f"{count} field{'s are' if count > 1 else ' is'} not acceptable; see errors.", errors=errors)


def _place(loc: tuple[int | str, ...], sent: Any, *, missing: bool) -> list[int | str]:
    """The parts of pydantic's place that are there in the body: it also names the alternative it tried."""
    place: list[int | str] = []
    for number, part in enumerate(loc, 1):
        there: Any = range(len(sent)) if isinstance(sent, list) else sent if isinstance(sent, dict) else ()
        if part in there:
            sent = sent[part]
        elif not (missing and number == len(loc)):
            continue
        place.append(part)
    return place


def _members(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """The members that an object at this place can have; none where that cannot be told."""
    found, _ = _at(model, loc)
    return list(dict.fromkeys(field.alias or name for one in found for name, field in one.model_fields.items()))


def _example(model: type[BaseModel], loc: tuple[int | str, ...]) -> str | None:
    """A text that would do at this place, where the model has one."""
    _, fields = _at(model, loc)
    found = [one for field in fields for one in (*(field.examples or ()), *_examples(field.annotation))]
    return next((one for one in found if isinstance(one, str)), None)


def _examples(annotation: Any) -> list[Any]:
    told = [one for part in getattr(annotation, "__metadata__", ()) for one in getattr(part, "examples", None) or ()]
    return told + [one for inner in get_args(annotation) for one in _examples(inner)]


def _at(model: type[BaseModel], loc: tuple[int | str, ...]) -> tuple[set[type[BaseModel]], list[FieldInfo]]:
    """The models that an object at this place can be of, and the members of that name that led there."""
    found, last = {model}, list[FieldInfo]()
    for part in loc:
        fields = [(field, field.alias or name) for one in found for name, field in one.model_fields.items()]
        inner = [field for field, name in fields if name == part]
        if inner:
            last = inner
            found = {one for field in inner for one in _models(field.annotation)}
    return found, last


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Every model that an annotation holds, in lists, mappings and unions, too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models(inner)]


def _sentence(message: str) -> str:
    message = message.removeprefix("Value error, ")
    return message if message.endswith(".") else message + "."
