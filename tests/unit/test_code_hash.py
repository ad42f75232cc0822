"""The code hash sees what code does, two imports deep, and nothing else."""

import sys
from types import SimpleNamespace

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

    def find_spec(name):
        path = tmp_path.joinpath(*name.split("."))
        if path.is_dir():
            return SimpleNamespace(origin=path / "__init__.py", submodule_search_locations=[path])
        file = path.with_suffix(".py")
        if not file.exists():
            return None
        return SimpleNamespace(origin=file, submodule_search_locations=None)

    monkeypatch.setattr(module, "find_spec", find_spec)
    return folder


def digest(*names, **options):
    for function in (module.code_hash, module._module, module._is_module):
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


def test_the_real_package_is_found():
    assert "agf.code_hash" in sys.modules
    assert len(digest("agf.corpus.scan")) == 16
