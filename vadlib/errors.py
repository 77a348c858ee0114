"""The one exception that means: the data, the run or a value is at fault, not the program."""


class InputError(ValueError):
    """Bad input. The message names the file or value, what was expected, what was found, and how to mend it.

    The command line prints it as one line and exits with status 1. Every other exception is a bug of ours and keeps its
    traceback.

    Args:
        message: the one line.
        trap: the name of a known trap of the datasets, such as "git-lfs-pointer"; `vadlib data check` reports it. "" for any other fault.
    """

    def __init__(self, message: str, trap: str = ""):
        super().__init__(message)
        self.trap = trap
