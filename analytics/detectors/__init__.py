"""Detectors: what is found in the readings of single devices as they come. One module each; see detector.py."""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from analytics.detectors.detector import Detector
from devices.family import Family


@cache
def all_detectors() -> tuple[type[Detector], ...]:
    """Every class that a module of this folder names in its `DETECTORS`, by name."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    found = [detector for module in modules for detector in getattr(module, "DETECTORS", ())]
    return tuple(sorted(found, key=lambda detector: detector.name))


def detectors_of(family: Family) -> list[Detector]:
    """New detectors for a family: all that have something to judge in it."""
    return [detector(family) for detector in all_detectors() if detector.judges(family)]
