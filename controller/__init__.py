"""Control plane of wattroute: measures, plans and moves the precision allocation."""
