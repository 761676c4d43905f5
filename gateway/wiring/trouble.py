"""The one exception by which wiring tells why something cannot be set up."""


class CannotServe(Exception):
    """Why no gateway can be served, or no command carried out, in one sentence."""
