"""The only place that knows every concrete class: from settings to a running gateway, or to what a command needs."""


class SetupError(Exception):
    """Why the gateway cannot be served, or a command not carried out, in one sentence."""
