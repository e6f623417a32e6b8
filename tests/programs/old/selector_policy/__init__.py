"""A program that is run as `python -m selector_policy`."""
