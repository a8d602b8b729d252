"""Forecasts of demand, price and carbon; pure."""
