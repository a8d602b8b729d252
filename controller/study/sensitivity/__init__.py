"""What the savings of a fleet hang on."""
