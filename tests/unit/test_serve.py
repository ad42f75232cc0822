"""The server behind the page."""

import re
import subprocess
import sys
import threading

import httpx
import numpy as np
import pytest
import soundfile
from page_model import GENRES, RATE, music, write_page_model

from agf.cli import main
from agf.predict import load, predict_file

pytest.importorskip("fastapi", reason="fastapi is not installed")

from fastapi.testclient import TestClient

from agf.serve import app as module
from agf.serve.app import build_app

HOME = "http://127.0.0.1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_page_model(tmp_path_factory.mktemp("page") / "model")


@pytest.fixture(scope="module")
def tracks(tmp_path_factory):
    """Files of music by name."""
    folder = tmp_path_factory.mktemp("music")
    paths = {}
    for name, seconds in (("a.wav", 3), ("b.flac", 5), ("c.mp3", 9)):
        paths[name] = folder / name
        soundfile.write(paths[name], music(seconds, seconds), RATE)
    return paths


@pytest.fixture
def uploads(tmp_path, monkeypatch):
    """The folder for temporary files."""
    folder = tmp_path / "uploads"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def client(folder, uploads):
    with TestClient(build_app(folder), base_url=HOME) as client:
        yield client


def test_a_file_gets_the_prediction_of_agf_predict(client, tracks, folder, uploads):
    model = load(folder)
    for path in tracks.values():
        answer = client.post("/predict", content=path.read_bytes()).json()
        expected = predict_file(model, path)
        found = {genre["title"]: genre["probability"] for genre in answer["genres"]}
        # The same code on the same bytes: not a bit of difference.
        assert [found[genre] for genre in GENRES] == expected.mean().tolist()
        assert list(found.values()) == sorted(found.values(), reverse=True)
        assert answer["duration"] == expected.duration
        curves = {genre["title"]: genre["curve"] for genre in answer["genres"]}
        found = np.transpose([curves[genre] for genre in GENRES])
        np.testing.assert_allclose(found, expected.windows, rtol=0, atol=5e-5 + 1e-7)
        np.testing.assert_allclose(answer["seconds"], expected.seconds, rtol=0, atol=5e-4 + 1e-7)
    assert list(uploads.iterdir()) == []


def test_the_nearest_groups_are_those_the_network_finds_most_probable(client, tracks, folder):
    answer = client.post("/predict", content=tracks["b.flac"].read_bytes()).json()
    topics = predict_file(load(folder), tracks["b.flac"]).topics["s"]
    (task,) = answer["groups"]
    assert task["task"] == "subgenre"
    numbers = [group["number"] for group in task["groups"]]
    assert numbers == np.argsort(-topics)[:3].tolist()
    for group in task["groups"]:
        assert group["probability"] == topics[group["number"]]
        assert group["artists"][3][0] == f"Trio Noir {group['number']}"


def test_the_page_is_told_of_the_model(client):
    assert client.get("/model").json() == {
        "case": "mtn-gs",
        "corpus": "small",
        "tasks": ["top genre", "subgenre"],
        "n_genres": 8,
        "limit_bytes": 200_000_000,
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no audio file that can be read"),
        (b"Dear diary, " * 500, "no audio file that can be read"),
        ("cut", "cut short"),
        ("short", r"too short: the networks need 1\.0 s"),
        ("silent", "silent"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_in_a_sentence(client, tracks, uploads, content, words):
    wav = tracks["a.wav"].read_bytes()
    if content == "cut":
        content = tracks["c.mp3"].read_bytes()[:-20_000]
    elif content == "short":
        content = wav[: 44 + 2 * 8000]
    elif content == "silent":
        content = wav[:44] + bytes(len(wav) - 44)
    answer = client.post("/predict", content=content)
    assert answer.status_code == 422
    assert re.search(words, answer.json()["error"]) and answer.json()["error"].endswith(".")
    assert list(uploads.iterdir()) == []


@pytest.mark.parametrize("states_length", [True, False])
def test_a_file_beyond_the_limit_is_refused(folder, uploads, states_length):
    content = bytes(1001) if states_length else iter([bytes(600), bytes(401)])
    with TestClient(build_app(folder, limit=1000), base_url=HOME) as client:
        answer = client.post("/predict", content=content)
        assert answer.status_code == 413
        assert answer.json() == {
            "error": "The file is larger than 0.001 MB: send a shorter piece of it."
        }
        # A file of just that size is read.
        assert client.post("/predict", content=bytes(1000)).status_code == 422
    assert list(uploads.iterdir()) == []


def test_a_form_is_told_to_send_the_file_itself(client, tracks):
    answer = client.post("/predict", files={"file": tracks["b.flac"].read_bytes()})
    assert answer.status_code == 415 and "--data-binary" in answer.json()["error"]


def test_a_fault_leaves_nothing_behind_and_is_told(client, tracks, uploads, monkeypatch):
    seen = []

    def fail(model, path):
        seen.append((path, [str(entry) for entry in uploads.iterdir()]))
        raise RuntimeError("a bug")

    monkeypatch.setattr(module, "predict_file", fail)
    answer = client.post("/predict", content=tracks["b.flac"].read_bytes())
    assert answer.status_code == 500
    assert answer.json() == {"error": "The server failed; its log says why."}
    ((path, there),) = seen
    assert there == [path]
    assert list(uploads.iterdir()) == []


def test_two_users_are_served_at_once(client, tracks, folder, monkeypatch):
    """Each prediction waits for the other to have begun: one after the other, neither would end."""
    both = threading.Barrier(2, timeout=60)

    def predict(model, path):
        both.wait()
        return predict_file(model, path)

    monkeypatch.setattr(module, "predict_file", predict)
    answers = {}

    def ask(name):
        answers[name] = client.post("/predict", content=tracks[name].read_bytes()).json()

    threads = [threading.Thread(target=ask, args=(name,)) for name in ("a.wav", "b.flac")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, answer in answers.items():
        expected = predict_file(load(folder), tracks[name]).mean()
        found = [genre["probability"] for genre in answer["genres"]]
        assert found == sorted(expected.tolist(), reverse=True)


def test_the_page_is_answered_while_a_prediction_runs(client, tracks, monkeypatch):
    answered = threading.Event()

    def predict(model, path):
        assert answered.wait(60)
        return predict_file(model, path)

    monkeypatch.setattr(module, "predict_file", predict)
    answers = []
    thread = threading.Thread(
        target=lambda: answers.append(
            client.post("/predict", content=tracks["b.flac"].read_bytes())
        )
    )
    thread.start()
    assert client.get("/").status_code == 200
    answered.set()
    thread.join()
    assert answers[0].status_code == 200


@pytest.mark.parametrize("address", ["/", "/page.css", "/serve.css", "/serve.js", "/model", "/x"])
def test_every_answer_allows_the_pages_own_things_alone(client, address):
    answer = client.get(address)
    assert answer.status_code == (404 if address == "/x" else 200)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy and "http" not in policy and "*" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_page_asks_nobody_else(client):
    for address in ("/", "/page.css", "/serve.css", "/serve.js"):
        text = client.get(address).text.replace("http://www.w3.org/2000/svg", "")
        assert text and not re.search(r"https?:|@import|url\((?!data:)", text)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://elsewhere.example"}, 403),
        ({"Host": "elsewhere.example"}, 400),
        ({"Origin": HOME}, 422),
        ({"Host": "localhost:8000", "Origin": "http://localhost:8000"}, 422),
    ],
)
def test_pages_of_others_cannot_send_files(client, headers, status):
    assert client.post("/predict", content=b"x", headers=headers).status_code == status


def test_no_page_of_fastapis_own_is_there(client):
    assert [client.get(path).status_code for path in ("/docs", "/redoc", "/openapi.json")] == [
        404,
        404,
        404,
    ]


def test_a_folder_that_is_no_model_is_told_in_one_sentence(tmp_path, capsys):
    assert main(["serve", "--model", str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert "config.json does not exist" in message and message.count("\n") == 1


def test_the_command_serves_without_torch_and_ends_quietly(folder, tracks):
    program = """
import sys
from agf.cli import main
code = main(["serve", "--model", sys.argv[1], "--port", "0"])
heavy = {"torch", "pandas", "sklearn", "matplotlib", "librosa", "onnx", "snakemake"}
print(code, sorted(heavy & set(sys.modules)))
"""
    command = [sys.executable, "-c", program, str(folder)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as one:
        address, _, rest = one.stdout.readline().partition("  ")
        assert rest == "(Ctrl-C stops it)\n" and address.startswith("http://127.0.0.1:")
        answer = httpx.post(f"{address}/predict", content=tracks["b.flac"].read_bytes(), timeout=60)
        assert answer.status_code == 200
        port = address.rpartition(":")[2]
        other = subprocess.run(
            [sys.executable, "-c", program.replace('"0"', f'"{port}"'), str(folder)],
            capture_output=True,
            text=True,
        )
        one.send_signal(2)
        output, errors = one.communicate(timeout=60)
    assert output == "0 []\n" and errors == ""
    assert other.stderr == f"agf: Port {port} of 127.0.0.1 cannot be had: give another --port.\n"
    assert other.stdout == "1 []\n"
