"""What each endpoint answers: its known members, and what makes an answer doubtful. One file for each endpoint.

The members are those that esm 3.2.1 and 3.4.1 read (esm/sdk/forge.py). What is required is what was asked for: the SDK
fails on an answer without it, or hands on nothing.
"""
