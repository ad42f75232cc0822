"""The server behind the page: one model, predictions in a few threads, nothing kept."""

import json
import logging
import os
import socket
import tempfile
from contextlib import contextmanager, suppress
from importlib.resources import files

import anyio
import numpy as np
import uvicorn
from anyio.to_thread import run_sync
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect

from agf.errors import UserError
from agf.faults import describe_fault
from agf.features.audio import AudioError
from agf.predict.model import load, read_checked
from agf.predict.track import CURVE_POINTS, predict_file
from agf.tasks import ALL_TASKS

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"

LIMIT_BYTES = 200_000_000
"""Largest file taken: some 80 minutes of MP3 at the highest bit rate, 20 minutes of CD."""

SHOWN_GROUPS = 3
"""Artist groups named for each task."""

CLOSING_SECONDS = 5
"""Seconds that requests get to end when the server is stopped."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; media-src blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

PAGES = {
    "/": ("agf.serve", "page.html", "text/html"),
    "/serve.css": ("agf.serve", "serve.css", "text/css"),
    "/serve.js": ("agf.serve", "serve.js", "text/javascript"),
    # The report's own style, so that both pages are of one family.
    "/page.css": ("agf.evaluation.report", "page.css", "text/css"),
}

SENTENCES = {
    "unreadable": "This is no audio file that can be read here: MP3, FLAC, Ogg, Opus and WAV can.",
    "truncated": "The file is cut short: it holds less than its header says.",
    "damaged": "The file is damaged and cannot be decoded.",
    "silent": "The file is silent.",
    "too short": "The file is too short: the networks need {seconds:.1f} s at least.",
}
"""What is told of a file that cannot be used, by how its :class:`AudioError` begins."""


def serve(folder, port):
    """Serve the page until it is stopped.

    Parameters
    ----------
    folder : str or pathlib.Path
        What ``agf export`` wrote.
    port : int
        Port of 127.0.0.1; no other machine can reach it.

    Raises
    ------
    UserError
        If the folder is no model folder, or the port cannot be had.
    """
    app = build_app(folder)
    config = uvicorn.Config(
        app,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=CLOSING_SECONDS,
    )
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except (OSError, OverflowError):
            raise UserError(f"Port {port} of {HOST} cannot be had: give another --port.") from None
        # Until it listens, a second server could take the same port.
        listener.listen()
        print(f"http://{HOST}:{listener.getsockname()[1]}  (Ctrl-C stops it)", flush=True)
        # uvicorn closes its connections on Ctrl-C, and then raises it once more.
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


def build_app(folder, limit=LIMIT_BYTES):
    """Return the application.

    Parameters
    ----------
    folder : str or pathlib.Path
        What ``agf export`` wrote.
    limit : int
        Largest file taken, in bytes.

    Returns
    -------
    fastapi.FastAPI
        ``GET /``, the page; ``GET /model``, what it says of the model; ``POST /predict``, whose
        body is an audio file as it is and whose answer is that of :func:`describe_prediction`, or
        ``error``, one sentence.

    Raises
    ------
    UserError
        If the folder is no model folder.
    """
    model = load(folder)
    groups = json.loads(read_checked(folder, model.config, model.config["groups"]))
    # Prediction leaves Python's lock to numpy, soxr and onnxruntime for most of its time.
    limiter = anyio.CapacityLimiter(max(2, os.cpu_count() or 1))
    # FastAPI's own pages of the interface load scripts from elsewhere.
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    # A name that somebody else's server has made point here is not this page.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])

    @app.middleware("http")
    async def add_headers(request, call_next):
        response = await call_next(request)
        response.headers.update(HEADERS)
        return response

    for address, (package, name, kind) in PAGES.items():
        content = (files(package) / name).read_bytes()
        app.add_api_route(address, _page(content, kind), methods=["GET"])

    @app.get("/model")
    async def get_model():
        return describe_model(model.config, limit)

    @app.post("/predict")
    async def predict(request: Request):
        origin = request.headers.get("origin")
        if origin is not None and origin != f"{request.url.scheme}://{request.headers['host']}":
            return _error(403, "Only this server's own page may send files.")
        if request.headers.get("content-type", "").startswith("multipart/"):
            return _error(415, "Send the file itself, not a form: curl --data-binary @FILE.")
        too_large = f"The file is larger than {limit / 1e6:g} MB: send a shorter piece of it."
        if int(request.headers.get("content-length", 0)) > limit:
            return _error(413, too_large)
        try:
            with _temporary_file() as path:
                size = 0
                with open(path, "wb") as file:
                    async for block in request.stream():
                        size += len(block)
                        if size > limit:
                            return _error(413, too_large)
                        file.write(block)
                prediction = await run_sync(predict_file, model, path, limiter=limiter)
        except AudioError as error:
            return _error(422, explain(error, model.config))
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as error:
            logger.exception("a prediction failed")
            return _error(500, describe_fault(error) or "The server failed; its log says why.")
        return describe_prediction(prediction, model.genres, groups)

    return app


def describe_model(config, limit):
    """Return what the page says of the model.

    Parameters
    ----------
    config : dict
        ``config.json`` of the model folder.
    limit : int
        Largest file taken, in bytes.

    Returns
    -------
    dict
        ``case``, ``corpus``, ``tasks`` (titles), ``n_genres``, ``limit_bytes``.
    """
    return {
        "case": config["case"],
        "corpus": config["trained_on"]["corpus"],
        "tasks": [ALL_TASKS[task] for task in config["tasks"]],
        "n_genres": len(config["genres"]),
        "limit_bytes": limit,
    }


def describe_prediction(prediction, genres, groups):
    """Return a prediction as the page reads it.

    Parameters
    ----------
    prediction : agf.predict.Prediction
    genres : list of str
        Titles of the genres.
    groups : dict
        ``groups.json`` of the model folder.

    Returns
    -------
    dict
        ``duration`` in seconds; ``genres``, each with ``title``, ``probability`` (mean over the
        track) and ``curve``, the most probable first; ``seconds``, the times of the curves;
        ``groups``: for each AGF task its title, ``task``, and the most probable ``groups``, each
        with ``number``, ``probability`` and what ``groups.json`` says of it.
    """
    mean = prediction.mean()
    seconds, curves = prediction.curve(CURVE_POINTS)
    return {
        "duration": prediction.duration,
        "genres": [
            {
                "title": genres[genre],
                "probability": float(mean[genre]),
                "curve": curves[:, genre].round(4).tolist(),
            }
            for genre in np.argsort(-mean, kind="stable").tolist()
        ],
        "seconds": seconds.round(3).tolist(),
        "groups": [
            {
                "task": ALL_TASKS[task],
                "groups": [
                    {"number": topic, "probability": float(topics[topic])} | groups[task][topic]
                    for topic in np.argsort(-topics, kind="stable")[:SHOWN_GROUPS].tolist()
                ],
            }
            for task, topics in prediction.topics.items()
        ],
    }


def explain(error, config):
    """Return one sentence for whoever sent the file.

    Parameters
    ----------
    error : agf.features.audio.AudioError
    config : dict
        ``config.json`` of the model folder.

    Returns
    -------
    str
    """
    kind, _, _ = str(error).partition(":")
    settings = config["spectrogram"]
    frames = config["window"]["frames"] - 1
    return SENTENCES[kind].format(seconds=frames * settings["hop_length"] / settings["sample_rate"])


@contextmanager
def _temporary_file():
    """Yield the path of an empty file that is removed whatever happens."""
    handle, path = tempfile.mkstemp(prefix="agf-serve-")
    os.close(handle)
    try:
        yield path
    finally:
        os.remove(path)


def _page(content, kind):
    async def page():
        return Response(content, media_type=f"{kind}; charset=utf-8")

    return page


def _error(status, sentence):
    return JSONResponse({"error": sentence}, status)
