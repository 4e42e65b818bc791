"""The one exception that means "the user gave something that cannot be used"."""


class InputError(ValueError):
    """Bad input: the message is one line that names the file, the value and what would be right.

    The command-line scripts print it on standard error and exit with code 2.
    """
