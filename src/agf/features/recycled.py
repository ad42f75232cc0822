"""A function in a process of its own, which is replaced after some calls.

For libraries that keep a little memory at every call. It is neither a pool nor multiprocessing's
Process: the one waits for ever for a process that has crashed, the other runs the main program's
file again where it starts one.
"""

import importlib
import os
import subprocess
import sys
import traceback
from contextlib import contextmanager
from multiprocessing.connection import Connection, Pipe


@contextmanager
def recycled(function, calls):
    """Run a function in another process, and in a new one after so many calls.

    Parameters
    ----------
    function : callable
        A function at the top of its module.
    calls : int
        Calls that one process answers.

    Yields
    ------
    callable
        Does what `function` does. What the function raises is raised, with the traceback of the
        other process as a note. It raises RuntimeError if the process dies.
    """
    process = connection = None
    answered = 0

    def stop():
        # The process ends by itself at the end of its input, as it does if this one is killed.
        if process is not None:
            connection.close()
            process.wait()

    def call(*arguments):
        nonlocal process, connection, answered
        if process is None or answered == calls:
            stop()
            process, connection = _start(function)
            answered = 0
        answered += 1
        try:
            connection.send(arguments)
            raised, value = connection.recv()
        except (EOFError, ConnectionError) as error:
            raise RuntimeError(
                f"The process that ran {function.__name__}{arguments} died with status "
                f"{process.wait()}."
            ) from error
        if raised:
            raise value
        return value

    try:
        yield call
    finally:
        stop()


def _start(function):
    """Start a process that answers calls; return it and the connection to it."""
    here, there = Pipe()
    with there:
        command = [sys.executable, "-m", __name__, str(there.fileno())]
        command += [function.__module__, function.__qualname__]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        process = subprocess.Popen(command, pass_fds=[there.fileno()], env=environment)
    return process, here


def _answer(connection, function):
    """Answer calls until the connection ends."""
    while True:
        try:
            arguments = connection.recv()
        except EOFError:
            return
        try:
            answer = (False, function(*arguments))
        except Exception as error:
            error.add_note(traceback.format_exc())
            answer = (True, error)
        try:
            connection.send(answer)
        except ConnectionError:
            return


if __name__ == "__main__":
    _descriptor, _module, _name = sys.argv[1:]
    _answer(Connection(int(_descriptor)), getattr(importlib.import_module(_module), _name))
