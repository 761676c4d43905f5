"""The upstream's endpoints, one file each. A new endpoint is a new file here with an `ENDPOINT` in it.

A file whose name begins with an underscore is shared by several of them and is no endpoint.
"""

import pkgutil
from importlib import import_module
from typing import Any

from gateway.core.endpoint import Endpoint

AnyEndpoint = Endpoint[Any]

ENDPOINTS: tuple[AnyEndpoint, ...] = tuple(
    import_module(f"{__name__}.{module.name}").ENDPOINT
    for module in sorted(pkgutil.iter_modules(__path__))
    if not module.name.startswith("_")
)
BY_PATH = {endpoint.path: endpoint for endpoint in ENDPOINTS}


def named(name: str) -> AnyEndpoint:
    """The endpoint of this name, which is one of them."""
    return BY_PATH[f"/api/v1/{name}"]


def find(path: str) -> AnyEndpoint | None:
    """The endpoint that answers at this path."""
    return BY_PATH.get(path)
