"""Answers, mutated: does anything unsafe pass, is anything hollow kept? `python -m bench.answers --help`.

`recordings.py` has real answers, `mutations.py` spoils them, `sdk.py` says what the SDK would do with what passes, and
`truth.py` what is hollow. Neither of the last two shares a line with what it checks.
"""
