"""Rollups: readings per device and area by minute, hour and local day, right whatever the order of arrival."""
