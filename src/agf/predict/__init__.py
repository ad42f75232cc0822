"""Genre of new music, by a model folder that ``agf export`` wrote.

Examples
--------
>>> import agf.predict  # doctest: +SKIP
>>> model = agf.predict.load("model/")
>>> prediction = agf.predict.predict_file(model, "track.mp3")
>>> dict(zip(model.genres, prediction.mean()))
"""

from agf.predict.model import Model, load
from agf.predict.track import Prediction, predict_file

__all__ = ["Model", "Prediction", "load", "predict_file"]
