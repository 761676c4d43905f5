"""The one exception by which wiring tells why something cannot be set up."""


class SetupError(Exception):
    """Why no gateway can be served, or no command carried out, in one sentence."""
