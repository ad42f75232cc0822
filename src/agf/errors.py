"""The one exception whose message is meant for the user."""


class UserError(Exception):
    """A mistake in input that the user can mend.

    The message is one sentence that names the file, row or key and says what to do. The command
    line and the workflow's scripts print it without a traceback.
    """
