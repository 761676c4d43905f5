"""The benchmarks: what the gateway costs, as ratios against baselines that ran beside it in the same minutes.

Absolute figures of one machine say little about another; ratios carry over. Nothing here is part of the product.
"""
