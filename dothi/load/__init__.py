"""A simulated city's run against a stack: what the database has of it, what it cost, and the report about it."""
