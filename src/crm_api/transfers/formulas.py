"""Cells that a spreadsheet would take for a formula: see `kit.formulas`."""

from __future__ import annotations

from crm_api.kit.formulas import guard as guard
from crm_api.kit.formulas import unguard as unguard
