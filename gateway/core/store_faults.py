"""Why a store cannot be used: a closed set of reasons, as labels of metrics and as words for logs and commands."""

from collections.abc import Mapping
from typing import Literal, get_args

StoreName = Literal["state", "cache"]
STORE_NAMES: tuple[StoreName, ...] = ("state", "cache")

StoreFault = Literal[
    "refused",
    "unreachable",
    "timeout",
    "disconnected",
    "protocol",
    "tls",
    "tls_name",
    "authentication",
    "permission",
    "no_primary",
    "read_only",
    "replicas",
    "cluster",
    "full",
    "disk",
    "loading",
    "busy",
    "clients",
    "unsuitable",
    "descriptors",
    "foreign",
    "error",
]
STORE_FAULTS: tuple[StoreFault, ...] = get_args(StoreFault)

FAULT_WORDS: Mapping[StoreFault, str] = {
    "refused": "nobody listens at its address",
    "unreachable": "its address is unknown or cannot be reached",
    "timeout": "it does not answer in time",
    "disconnected": "it closes the connection",
    "protocol": "what answers there does not speak its protocol (TLS where none is expected?)",
    "tls": "TLS fails: its certificate is not trusted or has expired, or it does not speak TLS",
    "tls_name": "its certificate is for another name",
    "authentication": "it refuses the password or the user name, or requires one",
    "permission": "its user lacks a right that the gateway needs",
    "no_primary": "no Sentinel names a primary that is up",
    "read_only": "it is a replica, which takes no changes",
    "replicas": "too few of its replicas answer",
    "cluster": "its cluster is not whole",
    "full": "its memory is full",
    "disk": "it cannot write to its disk",
    "loading": "it is still loading its data",
    "busy": "somebody's script blocks it",
    "clients": "it accepts no more connections",
    "unsuitable": "it is not fit for this use",
    "descriptors": "this process has no file descriptor left",
    "foreign": "it holds a value that the gateway did not write",
    "error": "it answers with an error",
}

REFUSES_CHANGES = frozenset[StoreFault]({"permission", "read_only", "replicas", "full", "disk", "unsuitable"})
"""Reasons under which a store may go on answering questions: that it answers one does not show that it is well."""
