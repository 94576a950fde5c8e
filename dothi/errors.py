"""The one way a command refuses: a sentence that names the thing, its value, what is allowed and what to do."""


class Refused(Exception):
    """The thing checked or asked for failed. The message is what the user reads; exit code 1."""

    exit_code = 1


class WrongUsage(Refused):
    """Wrong usage or configuration. The message names the setting, its value and what is allowed; exit code 2."""

    exit_code = 2
