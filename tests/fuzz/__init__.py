"""Fuzzing of everything that parses bytes from outside: `python -m tests.fuzz` (docs/reliability.md)."""
