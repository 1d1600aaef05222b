"""Where requests are answered: in this process, or by workers of a Ray cluster."""
