"""What a judge tells of machines before it is calibrated on machines it had not seen."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Raw(NamedTuple):
    """One entry a machine; lives are in the model's life unit."""

    probability: NDArray[np.float64]
    """of a failure within the horizon, not calibrated"""
    life: NDArray[np.float64]
    """mean remaining life"""
    signs: NDArray[np.float64]
    """float64[machines, signs]: what tells how far a life may be from that mean, which is the first of them"""
