"""One page that shows a whole run: ``report.html``, which needs no other file and no network.

A module per concern: each turns files of the run into what one section of the page shows, and the
templates say how. Sections whose files are not there are left out, or say why.
"""
