"""Random calls to draw less, by the hundred, on random simulated fleets under the controller's own tick."""
