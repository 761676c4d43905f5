"""The ESM gateway: a caching, quota-keeping, policy-enforcing door in front of a protein-model HTTP API."""

__version__ = "0.1.0"
