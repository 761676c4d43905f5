"""The overview dashboard: what an operator asks, from "is it up" to "what uses the memory", one row per question.

Rows and their order are here; the panels of a row are in callers.py and world.py.
"""

import callers
import world
from board import Board

OVERVIEW = Board(
    "ESM gateway",
    "esm-gateway-overview",
    "Health, requests, cache, quotas, upstream and stores. Alerts: docs/operating.md.",
    (
        ("At a glance", callers.at_a_glance),
        ("Requests", callers.requests),
        ("Cache", callers.cache),
        ("Quotas and units", callers.quotas),
        ("Upstream", world.upstream),
        ("Policy, keys and audit", world.policy),
        ("Stores and memory", world.stores_and_memory),
    ),
)
