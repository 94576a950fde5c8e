"""`python -m dothi` is the same as `dothi`."""

from dothi.cli import main

main()
