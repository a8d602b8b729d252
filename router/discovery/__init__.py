"""Where engines are found."""
