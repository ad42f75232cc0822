"""A hash of what code does: a module and every module of this package that it imports.

Comments, formatting and docstrings do not count, nor do the modules around a job that change none
of its results, so that only a real change reruns a job.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent
"""Folder of this package. Modules are found by path: asking Python imports what stands above them,
and with it torch into every command of the workflow."""


ASIDE = {
    *("agf.errors", "agf.faults", "agf.job", "agf.lifeline", "agf.locks", "agf.progress"),
    "agf.further_tasks",
}
"""Modules that log, guard and end jobs, or say which ones there are, and decide nothing that is
written."""


@cache
def code_hash(*modules, scripts=()):
    """Hash modules, what they import from this package, and scripts.

    Parameters
    ----------
    *modules : str
        Full names, for example ``"agf.features.mel"``.
    scripts : tuple of str
        Paths of Python files outside the package, hashed with the package modules they import.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    trees = {}
    todo = list(modules)
    for script in scripts:
        tree = _parse(Path(script))
        trees[Path(script).name] = _digest(tree)
        todo += _imports(tree, "")
    while todo:
        module = todo.pop()
        if module not in trees:
            trees[module], imported = _module(module)
            todo += imported
    return hashlib.sha256(repr(sorted(trees.items())).encode()).hexdigest()[:16]


@cache
def _module(name):
    path = _path(name)
    tree = _parse(path)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    return _digest(tree), tuple(_imports(tree, package))


@cache
def _path(name):
    """Return the file of a module of this package; None where there is no such module."""
    path = PACKAGE.joinpath(*name.split(".")[1:])
    for file in (path / "__init__.py", path.with_name(f"{path.name}.py")):
        if file.is_file():
            return file
    return None


def _parse(path):
    tree = ast.parse(path.read_bytes(), filename=str(path))
    for node in _statements(tree):
        body = getattr(node, "body", None)
        if body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                body[0] = ast.Pass()
    return tree


def _statements(tree):
    """Yield a module and all its statements; expressions, most of a tree, hold none."""
    todo = [tree]
    while todo:
        node = todo.pop()
        yield node
        for field in ("body", "orelse", "handlers", "finalbody", "cases"):
            todo += getattr(node, field, ())


def _digest(tree):
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _imports(tree, package):
    names = set()
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                parents = parents[: len(parents) - node.level + 1]
                base = ".".join(parents + ([base] if base else []))
            names.add(base)
            names.update(f"{base}.{alias.name}" for alias in node.names)
    return sorted(
        name for name in names - ASIDE if name.split(".")[0] == PACKAGE.name and _path(name)
    )
