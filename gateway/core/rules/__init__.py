"""Which calls share an answer: a table of rules, each with its condition, its evidence and its test.

`wire` rules hold for any upstream. `sampler` rules hold for the published sampler (esm 3.2.1 and 3.4.1, read and run);
the hosted service is closed and may differ, so each can be switched off, and spot checks verify a sample of hits. A
rule does not change what goes upstream: every call goes there as its own caller wrote it.
"""

from gateway.core.rules.rule import Level, NormalForm, Rule
from gateway.core.rules.rule_set import RULES, SAMPLER, WIRE_NAME, RuleSet, rule_set, unknown_rules

__all__ = ["RULES", "SAMPLER", "WIRE_NAME", "Level", "NormalForm", "Rule", "RuleSet", "rule_set", "unknown_rules"]
