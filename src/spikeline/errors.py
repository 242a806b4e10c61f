"""The one exception that a user's mistake raises."""


class InputError(ValueError):
    """Bad input, said in one line: the file or key, what is wrong, what to do.

    The command line prints it without a traceback and exits non-zero.
    """
