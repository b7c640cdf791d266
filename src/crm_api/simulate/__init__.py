"""`crm-api simulate`: send a correctly signed sample event, as its provider would, and watch what follows from it.

Only the public API is used, so it shows what any client could see: `target` finds the API and a connection, `follow`
sends and watches, `view` shows it live.
"""

from __future__ import annotations

from crm_api.simulate.run import run_simulation
from crm_api.simulate.trouble import SimulationTrouble

__all__ = ["SimulationTrouble", "run_simulation"]
