"""The embedded stack: broker and database as private processes on loopback, all of their data in one folder."""
