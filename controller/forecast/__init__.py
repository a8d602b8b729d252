"""Forecasts of demand, price and carbon, each scored against persistence; pure."""
