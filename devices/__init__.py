"""What a device is: families and metrics, profiles, codecs, registry, areas and units."""
