"""Indices: published formulas on numpy arrays, one module each, without input or output."""
