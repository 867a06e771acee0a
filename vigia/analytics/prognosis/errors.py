"""What can go wrong between training data and a prediction."""

from vigia.errors import VigiaError


class PrognosisError(VigiaError):
    """The failure model cannot be made or used."""


class ModelFileError(PrognosisError):
    """The model file is missing, altered or of another version; train it again with `vigia analytics train`."""


class TrainingDataError(PrognosisError):
    """The training histories cannot be learned from; at least 2 machines that failed are needed."""
