"""The one exception that means: the data, the run or a value is at fault, not the program."""


class InputError(ValueError):
    """Bad input. The message names the file or value, what was expected, what was found, and how to mend it.

    The command line prints it as one line and exits with status 1. Every other exception is a bug of ours and keeps its
    traceback.
    """
