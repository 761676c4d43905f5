"""What one caller can do to the others: attacks on a gateway that runs as deployed, beside a user who is watched.

Each attack is a row (`crashing`, `bodies`, `answers`, `refusals`, `connections`, `odd`); `python -m bench.attacks` runs
them one after the other and says what the watched user felt.
"""
