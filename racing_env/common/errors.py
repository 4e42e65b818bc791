"""The exceptions that mean "the user gave something that cannot be used", and their words."""


class InputError(ValueError):
    """Bad input: the message is one line that names the file, the value and what would be right.

    The command-line scripts print it on standard error and exit with code 2.
    """


class FileError(OSError):
    """A file or folder of the user's cannot be written: one line that names it and says why.

    The scripts treat it as bad input. Other OSErrors may be mistakes of the program.
    """
