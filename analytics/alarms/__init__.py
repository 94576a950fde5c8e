"""Alarms: from what is found, said and not heard to one alarm per cause. Rules are data, see rules.py."""
