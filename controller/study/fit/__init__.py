"""`wattroute fit`: curves of power and time from a file of measurements, with their errors."""
