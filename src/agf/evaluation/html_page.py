"""Tables as small pages of HTML, for Snakemake's own report, which else shows a CSV only."""

from html import escape

import pandas as pd

HEAD = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{0}</title>
<style>
  body {{ font: 15px/1.5 system-ui, sans-serif; margin: 1rem; color-scheme: light dark; }}
  table {{ border-collapse: collapse; margin: 1rem 0; }}
  th, td {{ padding: .2rem .8rem; border-bottom: 1px solid #8884; }}
  td {{ white-space: nowrap; }}
</style>
<body><h1>{0}</h1>"""


def html_page(cells, bold, numeric, title, sentences, warnings=()):
    """Return a table as a page of its own.

    Parameters
    ----------
    cells : pandas.DataFrame of str
        The cells by heading.
    bold : pandas.DataFrame of bool
        Which cells are bold.
    numeric : list of bool
        Which columns are aligned to the right.
    title : str
    sentences : sequence of str
        Put under the table.
    warnings : sequence of str
        Put above it.

    Returns
    -------
    str
    """
    styles = pd.DataFrame("text-align: left", cells.index, cells.columns)
    styles.loc[:, numeric] = "text-align: right"
    styles = styles.mask(bold.to_numpy(bool), styles + "; font-weight: bold")
    table = (
        cells.style.format(escape="html")
        .apply(lambda _: styles, axis=None)
        .hide(axis="index")
        .set_uuid("t")
        .to_html()
    )
    paragraphs = [f"<p><strong>Warning.</strong> {escape(text)}</p>" for text in warnings]
    notes = [f"<p>{escape(text)}</p>" for text in sentences]
    return "\n".join([HEAD.format(escape(title)), *paragraphs, table, *notes, "</body>\n"])
