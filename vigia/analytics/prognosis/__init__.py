"""Failure prognosis: causal features of a machine's readings in; failure probability, remaining life, health and reasons out.

Pure: nothing here knows a database or a broker. `train.train` makes a `model.Prognosis`, `model.save` and `model.load` keep it.
"""
