"""What can be wrong with a template. Kept apart from the engine so that saying so does not import Liquid."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with a template: a stable code, a sentence for its author, and where it is."""

    code: str
    detail: str
    line: int | None = None
    part: str | None = None
    """Which part of the letter: subject, text or html."""


class TemplateInvalid(ValueError):
    """A template that cannot be used. Never carries a value of the person the letter is for."""

    def __init__(self, code: str, detail: str, line: int | None = None, part: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.line = line
        self.part = part
        self.findings: tuple[Finding, ...] = (Finding(code, detail, line, part),)

    @classmethod
    def of(cls, findings: tuple[Finding, ...]) -> TemplateInvalid:
        """One error for several findings; its own code and line are those of the first."""
        first = findings[0]
        error = cls(first.code, first.detail, first.line, first.part)
        error.findings = findings
        return error
