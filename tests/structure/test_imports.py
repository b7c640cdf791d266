"""The contracts of `pyproject.toml` hold, and they cover what they claim to."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import grimp
import pytest
from importlinter import cli

ROOT = Path(__file__).parents[2]
MESSAGE = "run `make contracts` to see which import breaks which contract"


@pytest.fixture(scope="module")
def contracts() -> dict[str, dict[str, Any]]:
    """The contracts by id."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return {one["id"]: one for one in document["tool"]["importlinter"]["contracts"]}


def test_the_contracts_hold(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    status = cli.lint_imports(cache_dir=None, no_cache=True)
    assert status == cli.EXIT_STATUS_SUCCESS, f"{MESSAGE}\n{capsys.readouterr().out[-2000:]}"


def test_every_repository_is_protected(contracts: dict[str, dict[str, Any]]) -> None:
    modules = grimp.build_graph("crm_api", cache_dir=None).modules
    repositories = {name for name in modules if name.endswith(".repository")}
    protected = {
        module for one in contracts.values() if one["type"] == "protected" for module in one["protected_modules"]
    }
    assert repositories <= protected, f"write a contract for {repositories - protected}"
    for one in contracts.values():
        if one["id"].startswith("repository-of-"):
            (module,) = one["protected_modules"]
            assert module.startswith(f"{one['allowed_importers'][0]}."), one["id"]


def test_every_domain_package_is_kept_from_http(contracts: dict[str, dict[str, Any]]) -> None:
    layers = contracts["tiers"]["layers"]
    domain = {
        name.strip() for layer in layers[1:] for name in layer.split("|") if "(" not in name and name.strip() != "kit"
    }
    assert {name.removeprefix("crm_api.") for name in contracts["http"]["source_modules"]} == domain


def test_the_only_exceptions_are_the_known_ones(contracts: dict[str, dict[str, Any]]) -> None:
    """Adding one is a decision for a person: write down why, here and there."""
    assert {one["id"]: one["ignore_imports"] for one in contracts.values() if one.get("ignore_imports")} == {
        "tiers": [
            "crm_api.**.endpoints -> crm_api.idempotency.boundary",
            "crm_api.organizations.members.endpoints -> crm_api.auth.scopes",
        ],
        "http": ["crm_api.**.endpoints -> fastapi", "crm_api.idempotency.boundary -> fastapi"],
    }
