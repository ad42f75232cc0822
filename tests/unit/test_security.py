"""What comes from outside is read as data and never run: docs/security.md.

Names that lead out of an archive are in test_archive.py, audio files in test_broken_files.py, and
the instructions of a pickle one by one in test_paper_split.py.
"""

import ast
import io
import os
import pickle
import re
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from snakemake.common.configfile import load_configfile
from snakemake.exceptions import WorkflowError

from agf.config import read_schema
from agf.corpus.fma import COLUMNS, read_tracks
from agf.corpus.paper_split import read_paper_split
from agf.errors import UserError
from agf.tensors import reading_tensors

ROOT = Path(__file__).parents[2]
CODE = sorted(
    path for top in ("src", "workflow", "benchmarks") for path in ROOT.glob(f"{top}/**/*.py")
)
RULES = [ROOT / "Snakefile", *sorted((ROOT / "workflow" / "rules").glob("*.smk"))]

MODULES = {
    *("pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"),
    *("tarfile", "multiprocessing.connection", "multiprocessing.managers"),
}
"""Modules that nothing imports: what they read can run code, or lead out of a folder."""

CALLS = {
    *("eval", "exec", "__import__", "builtins.eval", "builtins.exec", "pandas.eval"),
    *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"),
    *("tempfile.mktemp", "shutil.unpack_archive", "ssl._create_unverified_context"),
    *("torch.load", "torch.jit.load", "torch.hub.load", "pandas.read_pickle"),
    *("yaml.unsafe_load", "yaml.unsafe_load_all", "yaml.full_load", "yaml.full_load_all"),
}
"""Functions that nothing calls, by the names they are defined under."""

METHODS = {"extractall", "extract", "Unpickler", "read_pickle"}
"""Methods that nothing calls, whatever they belong to."""

KEYWORDS = {"shell": True, "allow_pickle": True, "weights_only": False, "verify": False}
"""Values that no call is given."""

EXCEPTIONS = {
    ("src/agf/features/recycled.py", "multiprocessing.connection"): "a pipe to its own child",
    ("benchmarks/measure.py", "pickle"): "files in a temporary folder, from and to its own child",
    ("benchmarks/memory.py", "pickle"): "a job's object for its own child, as Snakemake does it",
}
"""What is pickled between a process and another that it has started comes from nowhere else."""


def dangers(source):
    """Return what a module imports or calls that it must not, by name."""
    tree = ast.parse(source)
    known = {}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            known |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            known |= dict(zip((a.asname or a.name for a in node.names), names, strict=True))
        else:
            continue
        found |= {name for name in names if name in CALLS}
        found |= {m for name in names for m in MODULES if f"{name}.".startswith(f"{m}.")}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = dotted(node.func, known)
            found |= {name} & CALLS
            found |= {node.func.attr} & METHODS if isinstance(node.func, ast.Attribute) else set()
            given = {word.arg: word.value for word in node.keywords}
            if name in ("yaml.load", "yaml.load_all"):
                loader = given.get("Loader", node.args[1] if len(node.args) > 1 else None)
                if dotted(loader, known) not in ("yaml.SafeLoader", "yaml.CSafeLoader"):
                    found.add(name)
            for word, value in KEYWORDS.items():
                # What is no constant may be anything.
                if word in given and getattr(given[word], "value", value) is value:
                    found.add(f"{word}={value}")
        elif isinstance(node, ast.Name | ast.Attribute):
            # A forbidden function can be handed on as well as called.
            found |= {dotted(node, known)} & (CALLS - {"eval", "exec"})
    return found


def dotted(node, known):
    """Return the name a call goes to, aliases replaced by what they stand for."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value, known)}.{node.attr}"
    return known.get(node.id, node.id) if isinstance(node, ast.Name) else ""


def test_no_code_reads_what_could_run():
    assert len(CODE) > 80
    found = {
        (path.relative_to(ROOT).as_posix(), danger)
        for path in CODE
        for danger in dangers(path.read_text(encoding="utf-8"))
    }
    assert found == EXCEPTIONS.keys()


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import pickle as innocent",
        "from pickle import loads",
        "def f():\n    from _pickle import Unpickler",
        "import joblib",
        "from multiprocessing import connection",
        "from multiprocessing.connection import Client",
        "import tarfile",
        "import torch\ntorch.load('weights.pt')",
        "import torch as t\nt.load('weights.pt')",
        "from torch import load as read\nread('weights.pt')",
        "read = __import__('os').system",
        "import os\nlist(map(os.system, names))",
        "import os as o\no.popen('ls')",
        "import numpy as np\nnp.load('a.npy', allow_pickle=True)",
        "import numpy as np\nnp.load('a.npy', allow_pickle=wanted)",
        "import pandas as pd\npd.read_pickle('a.pkl')",
        "frame.read_pickle('a.pkl')",
        "import yaml\nyaml.load(text)",
        "import yaml\nyaml.load(text, Loader=yaml.Loader)",
        "import yaml\nyaml.load(text, yaml.FullLoader)",
        "from yaml import load, UnsafeLoader as SafeLoader\nload(text, SafeLoader)",
        "import yaml\nyaml.unsafe_load(text)",
        "eval('1 + 1')",
        "exec(text)",
        "import subprocess\nsubprocess.run(command, shell=True)",
        "from subprocess import Popen\nPopen(command, shell=wanted)",
        "import tempfile\ntempfile.mktemp()",
        "import zipfile\nzipfile.ZipFile('a.zip').extractall('folder')",
        "with ZipFile('a.zip') as file:\n    file.extract('member')",
        "import shutil\nshutil.unpack_archive('a.zip')",
        "import requests\nrequests.get(url, verify=False)",
    ],
)
def test_the_search_finds_what_it_is_for(source):
    assert dangers(source)


@pytest.mark.parametrize(
    "source",
    [
        "import pickletools",
        "model.eval()",
        "import ast\nast.literal_eval('[1]')",
        "import yaml\nyaml.safe_load(text)",
        "import yaml\nyaml.load(text, Loader=yaml.SafeLoader)",
        "import numpy as np\nnp.load('a.npy', allow_pickle=False)",
        "import subprocess\nsubprocess.run(['git', 'status'], shell=False)",
        "import json\njson.load(file)",
        "import re\nre.compile('a')",
    ],
)
def test_the_search_lets_pass_what_is_safe(source):
    assert not dangers(source)


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_no_rule_has_a_command_for_a_shell(path):
    # So that no name of a file ever stands where a shell would read it.
    assert not re.search(r"^\s*(shell|run)\s*(:|\()", path.read_text(encoding="utf-8"), re.M)
    assert not re.search(r"\b(eval|exec|pickle|subprocess|system|popen)\b", path.read_text())


class Evil:
    """Runs a function as soon as a plain unpickler reads it."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def touch(path):
    Path(path).touch()


def evil_pickles(trace):
    command = f"open({str(trace)!r}, 'w')"
    array = np.empty(1, object)
    array[0] = Evil(eval, command)
    text = command.encode()
    return {
        "system": Evil(os.system, f"touch '{trace}'"),
        "eval": Evil(eval, command),
        "exec": Evil(exec, command),
        "a function of a module": Evil(touch, str(trace)),
        "getattr": Evil(getattr, Evil(eval, command), "name"),
        "numpy's reconstruct": array,
        "inside the dict": {"train": [Evil(eval, command)], "valid": ["000002"]},
        "as a key": {"train": ["000003"], Evil(eval, command): ["000002"]},
        # A name with dots is looked up attribute by attribute.
        "dotted": b"\x80\x04\x8c\x07pathlib\x8c\x0aPath.touch\x93\x8c\x07pathlib\x8c\x04Path\x93"
        + b"\x8c%c%s\x85R\x85R." % (len(str(trace)), str(trace).encode()),
        "eval by its opcode": b"cbuiltins\neval\n(V%s\ntR." % text,
        "an instance": b"(V%s\nibuiltins\neval\n." % text,
    }


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", evil_pickles("trace"))
def test_a_hostile_pickle_does_nothing(tmp_path, kind, protocol):
    trace = tmp_path / "trace"
    evil = evil_pickles(trace)[kind]
    data = evil if isinstance(evil, bytes) else pickle.dumps(evil, protocol)
    with suppress(AttributeError, TypeError):  # of what becomes of it once it has run
        pickle.Unpickler(io.BytesIO(data)).load()
    assert trace.exists(), "this pickle is meant to be dangerous"
    trace.unlink()
    path = tmp_path / "fma_labels.split"
    path.write_bytes(data)
    with pytest.raises(UserError, match="is not the authors' split, because it holds the pickle"):
        read_paper_split(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    "tag", ["object/apply:os.system", "object/new:os.system", "name:os.system"]
)
def test_yaml_makes_no_objects(tmp_path, tag):
    trace, path = tmp_path / "trace", tmp_path / "mine.yaml"
    path.write_text(f"corpus: !!python/{tag} ['touch {trace}']\n")
    with pytest.raises(yaml.constructor.ConstructorError, match=f"python/{tag}"):
        read_schema(path)
    with pytest.raises(WorkflowError, match="not valid JSON or YAML"):
        load_configfile(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    "header",
    [
        (2**63).to_bytes(8, "little"),
        (2**40).to_bytes(8, "little") + b"{}",
        (2**64 - 1).to_bytes(8, "little") + b"{}",
        (8).to_bytes(8, "little") + b"[" * 8,
        (100_000).to_bytes(8, "little") + b"[" * 100_000,
        (2).to_bytes(8, "little") + b"{}" + b"unclaimed",
        *(
            len(text).to_bytes(8, "little") + text + bytes(16)
            for text in (
                b'{"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 999]}}',
                b'{"a": {"dtype": "F32", "shape": [4], "data_offsets": [16, 0]}}',
                b'{"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 16]}}',
                b'{"a": {"dtype": "U8", "shape": [4294967296, 4294967296], '
                b'"data_offsets": [0, 16]}}',
                b'{"a": {"dtype": "U8", "shape": [16], "data_offsets": [-16, 0]}}',
                b'{"a": {"dtype": "evil", "shape": [16], "data_offsets": [0, 16]}}',
            )
        ),
    ],
    ids=lambda header: repr(header[:40]),
)
def test_a_tensor_file_that_lies_is_one_sentence(tmp_path, header):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(header)
    refused = pytest.raises(UserError, match=r"weights\.safetensors is missing or no safetensors")
    with refused, reading_tensors(path):
        pass


@pytest.mark.parametrize(
    "genres",
    ["__import__('os').system('touch trace')", "[().__class__]", "[" * 100_000, "[9**9**9]"],
)
def test_lists_in_metadata_are_no_expressions(tmp_path, monkeypatch, genres):
    monkeypatch.chdir(tmp_path)
    row = dict(artist_id=1, artist="A", album_id=1, album="B", title="T", genre_top="Rock")
    row |= dict(genres=genres, duration=30, subset="small", official_split="training")
    columns = pd.MultiIndex.from_tuples(COLUMNS.values())
    table = pd.DataFrame([[row[name] for name in COLUMNS]], pd.Index([2], name="id"), columns)
    table.to_csv("tracks.csv")
    with pytest.raises(UserError, match=r"track 2 has the genres .* not a list of numbers"):
        read_tracks("tracks.csv")
    assert not Path("trace").exists()


def test_every_package_is_pinned_to_one_version():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    packages = [line for line in lines if not line.startswith("#")]
    assert len(packages) > 50
    for line in packages:
        assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*==[0-9][0-9A-Za-z.]*", line), line
