"""The city as load: fleet, behaviour, scenarios, load reports."""
