"""`wattroute quality`: the table of quality losses, and measuring them with lm-eval's harness."""
