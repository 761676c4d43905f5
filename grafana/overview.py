"""The overview dashboard: what an operator asks, from "is it up" down to "what fills the memory", one row a question.

Rows and their order stand here; what is in a row stands in callers.py and world.py.
"""

import callers
import world
from board import Board

OVERVIEW = Board(
    "ESM gateway",
    "esm-gateway-overview",
    "Is it up, how well, for whom, and what does the upstream do. Alerts: docs/operating.md.",
    (
        ("Is it well?", callers.at_a_glance),
        ("Requests", callers.requests),
        ("Cache", callers.cache),
        ("Quotas and units", callers.quotas),
        ("Upstream", world.upstream),
        ("Policy, keys and audit", world.policy),
        ("Stores and memory", world.stores_and_memory),
    ),
)
