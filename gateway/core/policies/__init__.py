"""The policies, one file each: who may send what. A new policy is a new file here with a `from_settings` in it.

`from_settings(settings)` gets the `[policy]` table of the settings by name and returns a `Policy`.
"""

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from gateway.core.policy import Policy

MODULES = tuple(import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))


def policies(settings: Mapping[str, Any]) -> tuple[Policy, ...]:
    """All policies in the order in which they are asked.

    Those without audit records come first, so that no call is recorded as permitted that another one refuses anyway.
    """
    built: list[Policy] = [module.from_settings(settings) for module in MODULES]
    return tuple(sorted(built, key=lambda policy: (policy.audited, policy.name)))
