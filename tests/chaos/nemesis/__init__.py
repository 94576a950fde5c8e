"""The faults, by name."""

from tests.chaos.nemesis import database, network, processes, surroundings
from tests.chaos.nemesis.fault import FAULTS, Fault

__all__ = ["FAULTS", "Fault", "database", "network", "processes", "surroundings"]
