"""Domain of the control plane: frozen data without I/O, clock or chance."""
