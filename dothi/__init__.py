"""What joins the rooms: the command line, settings, migrations' order, the embedded stack."""

__version__ = "0.1.0"
