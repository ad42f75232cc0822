"""The code hash sees what code does, two imports deep, and nothing else."""

import subprocess
import sys

import pytest

from agf import code_hash as module


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package `agf` of three modules: top imports middle, middle imports bottom."""
    folder = tmp_path / "agf"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "top.py").write_text("from agf import middle\n")
    (folder / "middle.py").write_text('"""Doc."""\nfrom .bottom import f\nimport json\n')
    (folder / "bottom.py").write_text('def f(x):\n    """Double."""\n    return 2 * x\n')
    (folder / "other.py").write_text("y = 1\n")
    monkeypatch.setattr(module, "PACKAGE", folder)
    return folder


def digest(*names, **options):
    for function in (module.code_hash, module._module, module._path):
        function.cache_clear()
    return module.code_hash(*names, **options)


def test_comments_and_docstrings_do_not_count(package):
    before = digest("agf.top")
    (package / "bottom.py").write_text('# New.\ndef f(x):\n    """Twice."""\n    return (2 * x)\n')
    assert digest("agf.top") == before


def test_a_change_two_imports_deep_counts(package):
    before = digest("agf.top"), digest("agf.other")
    (package / "bottom.py").write_text("def f(x):\n    return 3 * x\n")
    after = digest("agf.top"), digest("agf.other")
    assert before[0] != after[0]
    assert before[1] == after[1]


def test_a_script_counts_with_what_it_imports(package, tmp_path):
    script = tmp_path / "script.py"
    script.write_text("from agf.top import middle\nprint(middle)\n")
    before = digest(scripts=(str(script),))
    (package / "bottom.py").write_text("def f(x):\n    return 3 * x\n")
    deep = digest(scripts=(str(script),))
    script.write_text("from agf.top import middle\nprint(1, middle)\n")
    assert len({before, deep, digest(scripts=(str(script),))}) == 3


def test_the_real_package_is_found_without_importing_it():
    script = (
        "import sys; from agf.code_hash import code_hash;"
        "print(code_hash('agf.networks.training')); assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.strip()) == 16
    assert done.stdout.strip() == digest("agf.networks.training")
