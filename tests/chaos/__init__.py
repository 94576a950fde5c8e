"""Faults on purpose: a seeded load, a nemesis, and a checker that counts what was promised and is missing."""
