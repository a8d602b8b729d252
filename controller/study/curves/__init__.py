"""`wattroute curves`: the map from quantization to power, for the built-in curves or a configured fleet."""
