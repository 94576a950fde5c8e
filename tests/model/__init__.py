"""A model of the way from broker to database, in memory, around the real code of ingest. See machine.py."""
