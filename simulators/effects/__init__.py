"""What may happen in a city, one module per sort of happening; each is an `Effect` of `simulators.scenario`."""
