"""The exceptions that mean "the user gave something that cannot be used", and their words."""

SHOWN_BITS_MAX = 4000  # of a whole number: Python refuses to write larger ones out
SHOWN_CHARACTERS = 60


class InputError(ValueError):
    """Bad input: the message is one line that names the file, the value and what would be right.

    The command-line scripts print it on standard error and exit with code 2.
    """


class FileError(OSError):
    """A file or folder of the user's cannot be written: one line that names it and says why.

    The scripts treat it as bad input. Other OSErrors may be mistakes of the program.
    """


def shown(value: object) -> str:
    """A value for a message, short whatever it is: a container or a huge number by its kind."""
    if isinstance(value, str):
        return f"{value[:SHOWN_CHARACTERS]!r:.60}"
    if isinstance(value, int) and value.bit_length() > SHOWN_BITS_MAX:
        return "a number of more than a thousand digits"
    if value is None or isinstance(value, int | float):
        return f"{value!r:.60}"
    return f"a {type(value).__name__}"
