"""The page of all configuration keys, as Markdown, from the schema alone."""

import re

import yaml

NAMES = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "`true` or `false`",
    "null": "`null`",
    "array": "list",
}
"""Types of the schema in words."""

LIMITS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "maxLength": "at most {} characters",
    "pattern": "matching `{}`",
}
"""Limits of the schema in words."""


def configuration_page(schema):
    """Return a table of keys for the top level and one for each section.

    Parameters
    ----------
    schema : dict
        As :func:`agf.config.read_schema` returns it.

    Returns
    -------
    str
        Markdown: a heading and a table for each section. A key has its dotted name, what it may
        be, its default and what it means.
    """
    sections = {name: part for name, part in schema["properties"].items() if "properties" in part}
    plain = {name: part for name, part in schema["properties"].items() if name not in sections}
    parts = ["## Top level", _table(_rows(plain))]
    for name, section in sections.items():
        parts += [f"## {name}", section.get("description", "")]
        parts.append(_table(_rows(section["properties"], f"{name}.")))
    return "\n\n".join(part for part in parts if part) + "\n"


def describe_type(part):
    """Return in words what a value may be.

    Parameters
    ----------
    part : dict
        What the schema says of a key.

    Returns
    -------
    str
        Markdown, such as ``whole number, at least 1`` or ``one of `a`, `b`, or a list of these``.
    """
    if "anyOf" in part:
        first, *others = part["anyOf"]
        words = [describe_type(first)]
        words += [
            "a list of these" if other.get("items") == first else describe_type(other)
            for other in others
        ]
        return ", or ".join(words)
    if "enum" in part:
        return "one of " + ", ".join(f"`{value}`" for value in part["enum"])
    if "const" in part:
        return f"`{part['const']}`"
    kinds = part["type"] if isinstance(part["type"], list) else [part["type"]]
    words = [" or ".join(NAMES[kind] for kind in kinds)]
    if "items" in part:
        words[0] += f" of: {describe_type(part['items'])}"
    words += [text.format(part[limit]) for limit, text in LIMITS.items() if limit in part]
    return ", ".join(words)


def _rows(properties, path=""):
    for name, part in properties.items():
        if "properties" in part:
            yield f"`{path}{name}`", "section", "", _escaped(part["description"])
            yield from _rows(part["properties"], f"{path}{name}.")
        else:
            default = yaml.safe_dump(part["default"], default_flow_style=True)
            default = default.removesuffix("\n").removesuffix("\n...")
            described = describe_type(part), f"`{default}`", _escaped(part["description"])
            yield f"`{path}{name}`", *described


def _table(rows):
    lines = ["| key | what it may be | default | meaning |", "|---|---|---|---|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def _escaped(text):
    """Return a description without anything that Markdown would take for its own."""
    return re.sub(r"([|*_<`\[\]])", r"\\\1", text)
