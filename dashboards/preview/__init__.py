"""Dashboards without a Grafana: the same definitions and the live database, drawn into one self-contained page."""
