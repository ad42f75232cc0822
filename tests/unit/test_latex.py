"""LaTeX tables: structure that any LaTeX reads, and text that it prints as it was given."""

import re

import pandas as pd
import pytest

from agf.evaluation.latex import latex_table, latex_text


def check_structure(text):
    """Check braces, environments and the number of cells in each row; return the rows."""
    plain = re.sub(r"(?<!\\)%.*", "", re.sub(r"\\[\\{}%&]", "  ", text))
    depth = 0
    for character in plain:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    opened = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", plain):
        if kind == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert opened == []
    assert plain.count(r"\begingroup") == plain.count(r"\endgroup")
    (column_format,) = re.findall(r"\\begin\{(?:tabular|longtable)\}\{([lr]+)\}", text)
    rows = [line for line in text.splitlines() if line.endswith(r" \\") and "caption" not in line]
    for row in rows:
        spanned = sum(int(n) for n in re.findall(r"\\multicolumn\{(\d+)\}", row))
        spanned -= len(re.findall(r"\\multicolumn", row))
        assert len(re.findall(r"(?<!\\)&", row)) + 1 + spanned == len(column_format), row
    return column_format, rows


FRAME = pd.DataFrame(
    {
        "name_of_it": ["R&B", "100 % #1", "{a}~b^c\\d$", None],
        "log loss": [0.25, -0.5, None, 12.0],
        "mean": ["0.8213 ± 0.0120", "0.1 †", "", "-0.3000"],
        "N": [1, 2, 3, 4],
    }
)


def test_a_table_has_balanced_groups_and_rows_of_equal_length():
    text = latex_table(FRAME, "What & why", "tab:x", ["Note 1 %.", "Note_2."])
    column_format, rows = check_structure(text)
    assert column_format == "lrrr"
    assert len(rows) == 1 + 4
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 1
    assert r"\caption{What \& why}" in text and r"\label{tab:x}" in text
    assert text.index(r"\caption") < text.index(r"\toprule")
    assert text.index(r"\bottomrule") < text.index(r"Note 1 \%.") < text.index(r"Note\_2.")


def test_cells_are_escaped_minus_signs_are_right_and_what_is_missing_is_empty():
    _, rows = check_structure(latex_table(FRAME, "C", "tab:x"))
    assert rows == [
        r"name\_of\_it & log loss & mean & N \\",
        r"R\&B & 0.2500 & 0.8213 \ensuremath{\pm} 0.0120 & 1 \\",
        r"100 \% \#1 & \ensuremath{-}0.5000 & 0.1 \textsuperscript{\dag} & 2 \\",
        r"\{a\}\textasciitilde{}b\textasciicircum{}c\textbackslash{}d\$ &  &  & 3 \\",
        r" & 12.0000 & \ensuremath{-}0.3000 & 4 \\",
    ]


def test_bold_cells_are_bold_and_no_other():
    bold = pd.DataFrame(False, index=FRAME.index, columns=FRAME.columns)
    bold.iloc[1, 1] = True
    text = latex_table(FRAME, "C", "tab:x", bold=bold)
    check_structure(text)
    assert text.count(r"\textbf{") == 1
    assert r"& \textbf{\ensuremath{-}0.5000} &" in text


def test_warnings_stand_above_the_table():
    for frame in (FRAME, pd.concat([FRAME] * 11)):
        text = latex_table(frame, "C", "tab:x", warnings=["Fitted on 100 %."])
        check_structure(text)
        assert text.index(r"\textbf{Warning.} Fitted on 100 \%.") < text.index(r"\toprule")


@pytest.mark.parametrize(("copies", "environment"), [(10, "table"), (11, "longtable")])
def test_a_table_longer_than_a_page_breaks(copies, environment):
    text = latex_table(pd.concat([FRAME] * copies), "C", "tab:x", ["Note."])
    check_structure(text)
    assert rf"\begin{{{environment}}}" in text
    assert text.count("R\\&B") == copies
    assert text.count(r"\label{tab:x}") == 1


def test_headings_of_a_wide_table_are_stacked():
    frame = pd.DataFrame({f"published score_{n}": [n / 2] for n in range(9)})
    text = latex_table(frame, "C", "tab:x")
    column_format, _ = check_structure(text)
    assert column_format == "r" * 9
    assert r"\shortstack[r]{published\\score\_0} &" in text


def test_dashes_and_signs_are_spelt_out():
    assert latex_text(
        "1\N{EN DASH}2 \N{EM DASH} a \N{MINUS SIGN} b \N{MULTIPLICATION SIGN} c ≤ d…"
    ) == (r"1--2 --- a \ensuremath{-} b \ensuremath{\times} c \ensuremath{\leq} d\ldots{}")
    assert latex_text("[x] <y> |z|").isascii()
