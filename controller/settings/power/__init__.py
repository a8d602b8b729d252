"""The section `signals` of the configuration file as far as power goes: sources, meter and the ladder between them."""
