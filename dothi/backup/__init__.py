"""Backup and restore of the database with PostgreSQL's own tools: base backups, and the WAL archived since."""
