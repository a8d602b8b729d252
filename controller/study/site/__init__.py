"""Study: a day of one site under the controller's own decisions, with grid events."""
