"""The stand-in upstream: the same wire as the protein-model API, without weights, accounts or costs.

For demos, tests and benchmarks. It knows what the published sampler does with a request, not what it means: tokens
are drawn from a hash. It never serves as a fallback for the real upstream.
"""
