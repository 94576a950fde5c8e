"""From stored readings to decisions: newest values, rollups, indices, detectors, alarms."""
