"""Detectors: from readings, many devices at once, to scores and states that staff trust."""
