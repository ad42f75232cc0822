"""A web server on 127.0.0.1 that answers as a test tells it to, faults included."""

import socket
import struct
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def serving(*answers):
    """Run a server that gives the n-th request the n-th answer, and the last one ever after.

    Parameters
    ----------
    *answers : callable
        Made by the functions of this module.

    Yields
    ------
    tuple of str and list of dict
        The server's address, and the header fields of every request so far.
    """
    asked = []
    over = threading.Event()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        finished = over

        def do_GET(self):
            with lock:
                answer = answers[min(len(asked), len(answers) - 1)]
                asked.append(dict(self.headers))
            answer(self)

        def log_message(self, *args):
            """Keep the test's output free of one line per request."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request, client_address):
            """Say nothing of a client that hangs up, which is what some tests are about."""
            if not isinstance(sys.exception(), ConnectionError):
                super().handle_error(request, client_address)

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/data/clips.zip", asked
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def file(
    content,
    etag='"one"',
    modified=None,
    ranges=True,
    if_range=True,
    drop_after=None,
    reset=False,
    stall=False,
    claimed=None,
    chunked=False,
    at_most=None,
):
    """An answer with a file, or with the part of it that is asked for.

    Parameters
    ----------
    content : bytes
        The file.
    etag, modified : str or None
        Its ETag and Last-Modified.
    ranges, if_range : bool
        Whether the server knows the request's field Range, and minds If-Range.
    drop_after : int or None
        Bytes of the body after which the connection is closed.
    reset, stall : bool
        Whether it is reset instead of closed, or stays open in silence until the test ends.
    claimed : int or None
        A Content-Length that is not true.
    chunked : bool
        Send no Content-Length, but chunks.
    at_most : int or None
        Bytes that are sent of a range at most.
    """

    def answer(handler):
        start, wanted = 0, handler.headers.get("Range")
        condition = handler.headers.get("If-Range")
        if wanted and ranges and (not if_range or condition in (None, etag, modified)):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        body = content[start:]
        if start and at_most is not None:
            body = body[:at_most]
        if start >= len(content) > 0:
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(content)}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.send_response(206 if start else 200)
        if start:
            last, total = start + len(body) - 1, len(content)
            handler.send_header("Content-Range", f"bytes {start}-{last}/{total}")
        for name, value in (("ETag", etag), ("Last-Modified", modified)):
            if value:
                handler.send_header(name, value)
        if chunked:
            handler.send_header("Transfer-Encoding", "chunked")
        else:
            handler.send_header("Content-Length", str(len(body) if claimed is None else claimed))
        handler.end_headers()
        sent = body[:drop_after]
        if chunked:
            chunk = b"%x\r\n%s" % (len(body), sent) if body else b""
            end = b"\r\n0\r\n\r\n" if body else b"0\r\n\r\n"
            sent = chunk + (end if drop_after is None else b"")
        handler.wfile.write(sent)
        if stall:
            handler.finished.wait()
        if reset:
            linger = struct.pack("ii", 1, 0)
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            handler.connection.close()
        if drop_after is not None or claimed is not None:
            handler.close_connection = True

    return answer


def status(code, **fields):
    """An answer without a file: an error, or with ``Location`` a redirection."""

    def answer(handler):
        handler.send_response(code)
        for name, value in {**fields, "Content-Length": "0"}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()

    return answer


def silence(handler):
    """No answer at all: the connection is closed once the request has been read."""
    handler.close_connection = True
