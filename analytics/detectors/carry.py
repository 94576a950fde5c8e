"""What a detector remembers, taken over by one that judges other metrics or is of another version."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from analytics.detectors.detector import Detector
from analytics.detectors.rows import WHOLE_DEVICE


def carry_over(detector: Detector, judged: list[str], found: Mapping[str, npt.NDArray[Any]], slots: slice) -> None:
    """Put arrays, of which the columns are these metrics, where they belong; other metrics begin anew, and so does all
    when the detector keeps other things than before."""
    declared, names = detector.declared(), judged_names(detector)
    columns = [names.index(name) for name in judged if name in names]
    kept = [judged.index(names[column]) for column in columns]
    fits = found.keys() == declared.keys() and all(
        np.dtype(state.kind) == found[name].dtype.newbyteorder("=")
        and found[name].shape[1:] == (state.shape if state.per_device else (len(judged), *state.shape))
        for name, state in declared.items()
    )
    for name, state in declared.items() if fits else ():
        if state.per_device:
            detector.state[name][slots] = found[name]
        else:
            detector.state[name][slots, columns] = found[name][:, kept]


def judged_names(detector: Detector) -> list[str]:
    """Of the metrics; empty for the whole device."""
    metrics = detector.family.metrics
    return ["" if place == WHOLE_DEVICE else metrics[place].name for place in detector.judged.tolist()]
