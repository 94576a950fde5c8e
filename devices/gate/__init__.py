"""Who is let in at the broker: a plugin of mosquitto (gate.c) and the table of credentials that it reads (table.py)."""
