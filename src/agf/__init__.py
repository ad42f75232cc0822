"""Music genre recognition by transfer from artist group factors (AGF).

Stages, each reading the files of the stage before: :mod:`agf.corpus`, :mod:`agf.features`,
:mod:`agf.targets`, :mod:`agf.networks`, :mod:`agf.transfer`, :mod:`agf.evaluation`.
"""

__version__ = "0.1.0"
