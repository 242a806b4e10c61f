"""The one exception that a user's mistake raises."""


class InputError(ValueError):
    """Bad input, said in one line: the file or key, what is wrong, what to do.

    The command line prints it without a traceback and exits non-zero.
    """


def one_line(error: Exception) -> str:
    """What an error says, on one line and without what would command a terminal."""
    text = " ".join(str(error).splitlines())
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
