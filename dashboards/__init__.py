"""What people see: Grafana dashboards, data source and alert rules as code."""
