"""Rules that a reader of this code may rely on. Each failure names the file, the line and what to do instead."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

import crm_api
from crm_api.kit.db import Statement

ROOT = Path(crm_api.__file__).parent
LONGEST_FUNCTION = 60
LONGEST_FILE = 400


@dataclass(frozen=True)
class Source:
    """A file of the package."""

    name: str
    text: str
    tree: ast.Module

    def at(self, node: ast.AST) -> str:
        """Where a node is."""
        return f"{self.name}:{getattr(node, 'lineno', 0)}"


@cache
def sources() -> tuple[Source, ...]:
    """Every file, read once."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        text = path.read_text()
        found.append(Source(str(path.relative_to(ROOT)), text, ast.parse(text)))
    return tuple(found)


def _calls(source: Source) -> Iterator[tuple[str, ast.Call]]:
    """Every call, by its dotted name as far as it is one."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_only_the_clock_reads_the_clock() -> None:
    """A test organization's clock can be moved; whoever reads the machine's would not notice."""
    wrong = []
    clocks = {"now", "utcnow", "today", "fromtimestamp", "utcfromtimestamp"}
    for source in sources():
        if source.name == "kit/clock.py":
            continue
        for name, node in _calls(source):
            owner, _, method = name.rpartition(".")
            reads = method in clocks and owner.rpartition(".")[2] in {"datetime", "date", "dt"}
            times = owner == "time" and method in {
                "time",
                "time_ns",
                "monotonic",
                "perf_counter",
                "localtime",
                "gmtime",
            }
            if reads or times:
                wrong.append(f"{source.at(node)}: {name}() - use kit.clock")
    outside = ("embedded/",)  # starts processes and knows no organization
    assert [line for line in wrong if not line.startswith(outside)] == []


COMMITS = {
    "kit/db.py": "the session's own",
    "idempotency/boundary.py": "the boundary of a request",
}


def test_services_never_commit() -> None:
    wrong = []
    for source in sources():
        for name, node in _calls(source):
            if name.rpartition(".")[2] in {"commit", "rollback"} and source.name not in COMMITS:
                wrong.append(f"{source.at(node)}: {name}() - the boundary commits")
    assert wrong == []


def test_functions_and_files_are_short() -> None:
    wrong = []
    for source in sources():
        lines = source.text.count("\n")
        if lines > LONGEST_FILE:
            wrong.append(f"{source.name}: {lines} lines; split it by verb")
        for node in ast.walk(source.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                length = node.end_lineno - node.lineno + 1
                if length > LONGEST_FUNCTION:
                    wrong.append(f"{source.at(node)}: {node.name} has {length} lines")
    assert wrong == []


TALKERS = ("cli", "dev.py", "doctor.py", "simulate", "demo")
"""What a person runs in a terminal."""


def test_nothing_prints_beside_the_command_line() -> None:
    wrong = [
        f"{source.at(node)}: print() - use kit.log"
        for source in sources()
        for name, node in _calls(source)
        if name == "print" and not source.name.startswith(TALKERS)
    ]
    assert wrong == []


def _public(source: Source) -> Iterator[ast.AST]:
    """Modules, classes, functions and methods that others may use."""
    yield source.tree
    waiting: list[ast.AST] = [source.tree]
    while waiting:
        for node in ast.iter_child_nodes(waiting.pop()):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith(
                "_"
            ):
                yield node
                if isinstance(node, ast.ClassDef):
                    waiting.append(node)
            elif isinstance(node, ast.If | ast.Try):
                waiting.append(node)


def _explained(node: ast.AST) -> bool:
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        overload = getattr(node, "decorator_list", [])
        names = {ast.unparse(item) for item in overload}
        return bool(ast.get_docstring(node)) or bool(names & {"overload", "override"})
    return True


def test_everything_public_is_explained() -> None:
    """Methods of a Protocol's one-line body and methods that override a documented one need no second text."""
    wrong = []
    for source in sources():
        if not source.text.strip():
            continue
        known = _documented_methods()
        for node in _public(source):
            name = getattr(node, "name", "the module")
            if not _explained(node) and name not in known and not _is_stub(node):
                wrong.append(f"{source.at(node)}: {name} has no docstring")
    assert wrong == []


@cache
def _documented_methods() -> frozenset[str]:
    """Names of methods that some class of ours explains: those that override them need not say it again."""
    found = set()
    for source in sources():
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ClassDef):
                found |= {
                    inner.name
                    for inner in node.body
                    if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(inner)
                }
    return frozenset(found)


def _is_stub(node: ast.AST) -> bool:
    body = getattr(node, "body", [])
    return len(body) == 1 and isinstance(body[0], ast.Expr) and ast.unparse(body[0]) == "..."


UNBOUND = ("crm_due_organizations(", "crm_ledger_alarms(", "crm_lookup_", "pg_advisory_xact_lock", "pg_stat_activity")
"""What is asked before a tenant is known, locks, whose names hold the organization, and what is no tenant's: sessions."""


def test_every_statement_says_whose_rows() -> None:
    """Beside the policy: the planner folds it into a one-time filter, and a reader sees that it was thought of."""
    for source in sources():
        if source.name.endswith(("service.py", "repository.py", "tasks.py", "endpoints.py", "runner.py", "rows.py")):
            import_module("crm_api." + source.name.removesuffix(".py").replace("/", "."))
    # The packages' own: what other tests have prepared meanwhile is theirs.
    modules = [module for name, module in sys.modules.items() if name.startswith("crm_api.")]
    statements = [one for module in modules for one in vars(module).values() if type(one) is Statement]
    assert len(statements) > 60
    wrong = [
        one.sql for one in statements if "organization_id" not in one.names and not any(u in one.sql for u in UNBOUND)
    ]
    assert wrong == []
