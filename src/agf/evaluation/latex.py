"""Tables as LaTeX, to be read by ``\\input`` into a paper."""

import re

import pandas as pd

LONG = 40
"""Rows beyond which a table does not fit a page as a float and becomes a ``longtable``."""

WIDE = 8
"""Columns beyond which the words of a heading are stacked."""

NUMBER = re.compile(r"[-+]?[\d,]*\.?\d+(e[-+]?\d+)?( ± \d*\.?\d+)?( †)?")
"""A cell that is a number, with its deviation or a mark: its column is aligned to the right."""

MINUS = "\N{MINUS SIGN}"

SYMBOLS = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        # A bracket at the start of a row would be read as an argument of the line break before.
        "[": "{[}",
        "]": "{]}",
        "†": r"\textsuperscript{\dag}",
        "±": r"\ensuremath{\pm}",
        "\N{MULTIPLICATION SIGN}": r"\ensuremath{\times}",
        MINUS: r"\ensuremath{-}",
        "≤": r"\ensuremath{\leq}",
        "≥": r"\ensuremath{\geq}",
        "\N{EN DASH}": "--",
        "\N{EM DASH}": "---",
        "…": r"\ldots{}",
    }
)
"""What LaTeX reads as a command or may lack in a font, and what is written instead."""


def latex_text(text):
    """Return text so that LaTeX prints it as it is."""
    return text.translate(SYMBOLS)


def latex_table(frame, caption, label, notes=(), bold=None, warnings=()):
    """Return a table as LaTeX that needs the packages booktabs, longtable and adjustbox.

    Parameters
    ----------
    frame : pandas.DataFrame
        What to print: the column names are the headings, the index is left out. Floats get four
        digits, what is missing is empty, columns of numbers are aligned to the right. Text is
        printed as it is: whatever LaTeX would read as a command is escaped.
    caption, label : str
        The table's caption, and the label for ``\\ref``.
    notes : sequence of str
        Sentences under the table, each a paragraph.
    bold : pandas.DataFrame of bool, optional
        Which cells are bold; of the shape of `frame`.
    warnings : sequence of str
        Sentences above the table, marked as warnings.

    Returns
    -------
    str
        A ``table`` no wider than the text, or a ``longtable`` where the frame has more than 40
        rows.
    """
    cells = frame.reset_index(drop=True).map(_cell)
    wide = len(frame.columns) > WIDE
    cells.columns = [_stacked(str(name)) if wide else latex_text(str(name)) for name in frame]
    if bold is not None:
        marked = bold.to_numpy(dtype=bool)
        cells = cells.where(~marked, "\\textbf{" + cells + "}")
    column_format = "".join("r" if _is_numeric(frame[name]) else "l" for name in frame)
    above = [
        rf"{{\footnotesize\raggedright \textbf{{Warning.}} {latex_text(text)}\par}}"
        for text in warnings
    ]
    below = [rf"{{\footnotesize\raggedright {latex_text(text)}\par}}" for text in notes]
    style = cells.style.hide(axis="index")
    if len(frame) > LONG:
        body = style.to_latex(
            environment="longtable",
            column_format=column_format,
            caption=latex_text(caption),
            label=label,
            hrules=True,
        )
        lines = [r"\begingroup\small", *above, body.rstrip("\n"), *below, r"\endgroup"]
    else:
        body = style.to_latex(column_format=column_format, hrules=True)
        lines = [
            r"\begin{table}",
            r"\centering\small",
            rf"\caption{{{latex_text(caption)}}}",
            rf"\label{{{label}}}",
            *above,
            r"\begin{adjustbox}{max width=\textwidth}",
            body.rstrip("\n"),
            r"\end{adjustbox}",
            *(["", r"\smallskip", *below] if below else []),
            r"\end{table}",
        ]
    return "% Needs \\usepackage{booktabs,longtable,adjustbox}\n" + "\n".join(lines) + "\n"


def _stacked(heading):
    """Return a heading with one word above the other."""
    words = r"\\".join(latex_text(word) for word in heading.split())
    return rf"\shortstack[r]{{{words}}}"


def _cell(value):
    if pd.isna(value):
        return ""
    text = f"{value:.4f}" if isinstance(value, float) else str(value)
    if NUMBER.fullmatch(text):
        # A hyphen is no minus sign.
        text = re.sub("^-", MINUS, text)
    return latex_text(text)


def _is_numeric(column):
    cells = ["" if pd.isna(value) else str(value) for value in column]
    filled = [cell for cell in cells if cell]
    return bool(filled) and all(NUMBER.fullmatch(cell) for cell in filled)
