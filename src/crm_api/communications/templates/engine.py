"""A small, closed dialect of Liquid: no loader, no partials, no clock, only plain data, a limit on everything.

Import this module only where a letter is really rendered: Liquid is heavy. The limits stop a template that loops or
grows; they cannot stop one that keeps a filter or the parser itself busy, so templates written by an organization run
in `sandbox`, a process that can be killed, and only the bundled ones are rendered in process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NoReturn

from liquid import BoundTemplate, DictLoader, Environment, RenderContext
from liquid import exceptions as liquid_errors
from liquid.token import TOKEN_CONTENT, TOKEN_ILLEGAL, TOKEN_OUTPUT
from liquid.undefined import FalsyStrictUndefined, Undefined
from liquid.utils import ReadOnlyChainMap

from crm_api.communications.templates.context import plain
from crm_api.communications.templates.problems import Finding, TemplateInvalid

MAX_SOURCE = 64_000
"""Longest source of one part, in characters."""
MAX_OUTPUT = 256_000
"""Longest result of one part, in bytes."""
MAX_ITERATIONS = 2_000
"""Loop rounds of one part, all loops together."""
MAX_VARIABLES_BYTES = 200_000
MAX_NESTING = 30

TAGS = frozenset(["if", "unless", "case", "for", "break", "continue", "assign", "capture", "comment", "echo", "#"])
"""No `include` or `render` (there is nothing to load), nothing that only repeats what these can do."""
_SYNTAX = frozenset({TOKEN_CONTENT, TOKEN_OUTPUT, TOKEN_ILLEGAL})
FILTERS = frozenset(
    [
        "append",
        "prepend",
        "capitalize",
        "downcase",
        "upcase",
        "default",
        "escape",
        "escape_once",
        "strip",
        "lstrip",
        "rstrip",
        "strip_newlines",
        "newline_to_br",
        "squish",
        "replace",
        "replace_first",
        "remove",
        "remove_first",
        "truncate",
        "truncatewords",
        "size",
        "split",
        "join",
        "first",
        "last",
        "url_encode",
        "plus",
        "minus",
    ]
)
"""No `safe` (a donor's name would become markup), no `date` (it reads the clock), nothing that multiplies."""

_CODES: tuple[tuple[type[Exception], str, str], ...] = (
    (liquid_errors.BlockNestingError, "template_too_deep", "The template is nested too deeply."),
    (liquid_errors.ContextDepthError, "template_too_deep", "The template is nested too deeply."),
    (liquid_errors.LoopIterationLimitError, "template_loops", f"The loops run more than {MAX_ITERATIONS} times."),
    (liquid_errors.OutputStreamLimitError, "template_output_too_long", f"The result is over {MAX_OUTPUT} bytes."),
    (liquid_errors.LocalNamespaceLimitError, "template_memory", "The variables of the template grow too large."),
    (liquid_errors.UndefinedError, "variable_unknown", ""),
    (liquid_errors.UnknownFilterError, "filter_unknown", ""),
    (liquid_errors.LiquidSyntaxError, "template_syntax", ""),
    (liquid_errors.FilterError, "filter_failed", "A filter cannot be used on this value."),
    (liquid_errors.FilterArgumentError, "filter_failed", "A filter cannot be used on this value."),
    (MemoryError, "template_memory", "The template uses too much memory."),
    (RecursionError, "template_too_deep", "The template is nested too deeply."),
)


class _StrictUndefined(FalsyStrictUndefined):
    """A missing variable may be tested and given a default, but not printed."""

    force_liquid_default = True


class _Context(RenderContext):
    """No clock in scope, and one budget of loop rounds for the whole template instead of one per nest of loops."""

    def __init__(self, template: BoundTemplate, **options: object) -> None:
        super().__init__(template, **options)  # type: ignore[arg-type]
        self.scope = ReadOnlyChainMap(self.locals, self.globals, self.counters)
        self.rounds = 0

    def raise_for_loop_limit(self, length: int = 1) -> None:
        """Count the rounds a loop is about to make; a nested loop comes by once per round of its outer one."""
        self.rounds += length
        if self.rounds > MAX_ITERATIONS:
            raise liquid_errors.LoopIterationLimitError("too many rounds", token=None)


class _Template(BoundTemplate):
    context_class = _Context


class _Environment(Environment):
    template_class = _Template
    block_nesting_limit = MAX_NESTING
    context_depth_limit = MAX_NESTING
    loop_iteration_limit = MAX_ITERATIONS
    local_namespace_limit = MAX_VARIABLES_BYTES
    output_stream_limit = MAX_OUTPUT

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        """Only the tags and filters on the lists above."""
        super().setup_tags_and_filters(extra=False)
        self.tags = {name: tag for name, tag in self.tags.items() if name in TAGS | _SYNTAX}
        self.filters = {name: self.filters[name] for name in FILTERS}


@lru_cache(maxsize=4)
def _environment(html: bool, strict: bool) -> _Environment:
    undefined: type[Undefined] = _StrictUndefined if strict else Undefined
    return _Environment(loader=DictLoader({}), undefined=undefined, autoescape=html, strict_filters=True)


def _line(error: Exception) -> int | None:
    try:
        place = error.context() if isinstance(error, liquid_errors.LiquidError) else None
    except ValueError:  # an error at the very end of the source
        return None
    return place[0] if place else None


def _refuse(error: Exception, part: str | None) -> NoReturn:
    """Raise `TemplateInvalid` for whatever Liquid raised."""
    cause = error
    while type(cause) is liquid_errors.LiquidError and isinstance(cause.__cause__, Exception):
        cause = cause.__cause__  # 'unexpected liquid parsing error'
    for kind, code, detail in _CODES:
        if isinstance(cause, kind):
            said = str(getattr(cause, "message", "") or "")[:200]
            raise TemplateInvalid(code, detail or said, _line(cause), part) from None
    raise TemplateInvalid("template_failed", "The template cannot be rendered.", _line(cause), part) from None


def _parse(source: str, html: bool, strict: bool, part: str | None) -> BoundTemplate:
    if len(source) > MAX_SOURCE:
        raise TemplateInvalid("template_too_long", f"A part may have {MAX_SOURCE} characters.", None, part)
    if "\x00" in source or not _encodable(source):
        raise TemplateInvalid("template_characters", "The template holds characters that are not text.", None, part)
    try:
        return _environment(html, strict).from_string(source)
    except Exception as error:
        _refuse(error, part)


_parse_bundled = lru_cache(maxsize=256)(_parse)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def render(
    source: str, context: Mapping[str, object], *, html: bool, strict: bool = False, part: str | None = None
) -> str:
    """The template filled in. A missing variable is empty, or with ``strict`` an error that names it."""
    return _render(_parse(source, html, strict, part), context, part)


def _render(template: BoundTemplate, context: Mapping[str, object], part: str | None) -> str:
    plain(context)
    try:
        return template.render(context)
    except Exception as error:
        _refuse(error, part)


def inspect(source: str, known: Iterable[str], *, html: bool, part: str | None = None) -> tuple[Finding, ...]:
    """Every unknown variable and filter of a template, also in branches that a rendering would not reach.

    ``known`` holds dotted paths; a path also makes its own beginnings known (`gift` for `gift.amount_text`).
    """
    template = _parse(source, html, True, part)
    paths = set(known)
    for path in tuple(paths):
        while "." in path:
            path = path.rpartition(".")[0]
            paths.add(path)
    try:
        analysis = template.analyze(include_partials=False)
    except Exception as error:
        _refuse(error, part)
    found = []
    for uses in analysis.globals.values():
        for use in uses:
            name = str(use)
            if name not in paths and name.removesuffix(".size") not in paths:
                line = use.span.line_col(source)[0]
                found.append(Finding("variable_unknown", f"There is no variable {name[:100]!r}.", line, part))
    for name, spans in analysis.filters.items():
        if name not in FILTERS:
            line = spans[0].line_col(source)[0]
            found.append(Finding("filter_unknown", f"There is no filter {name[:100]!r}.", line, part))
    return tuple(sorted(found, key=lambda finding: finding.line or 0))


def render_parts(
    parts: Mapping[str, str],
    context: Mapping[str, object],
    *,
    strict: bool = False,
    known: Iterable[str] | None = None,
    bundled: bool = False,
) -> dict[str, str]:
    """All parts of a letter (only ``html`` is escaped). With ``known``, every unknown name is an error first."""
    if known is not None:
        names = tuple(known)
        found: list[Finding] = []
        for part, source in parts.items():
            found += inspect(source, names, html=part == "html", part=part)
        if found:
            raise TemplateInvalid.of(tuple(found))
    parse = _parse_bundled if bundled else _parse
    return {part: _render(parse(source, part == "html", strict, part), context, part) for part, source in parts.items()}
