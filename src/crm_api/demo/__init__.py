"""Demo data: four years in the life of a small fund, the same for the same seed and day.

What is to be loaded is worked out first, without a database (`people`, `giving`, `stripe`, `rates`); `load` then takes
it through the services that the API uses, in one transaction.
"""

from __future__ import annotations

from crm_api.demo.load import DemoTrouble, load_demo

__all__ = ["DemoTrouble", "load_demo"]
