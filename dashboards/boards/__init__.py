"""The boards, one module each; the docstring of each is its picture."""
