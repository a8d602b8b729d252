"""Sources of GPU and site power."""
