"""What precision, batch and arrival shaping do to energy on measured curves."""
