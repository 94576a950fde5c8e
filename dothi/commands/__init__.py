"""One module per group of commands; each is thin and calls the rooms."""
