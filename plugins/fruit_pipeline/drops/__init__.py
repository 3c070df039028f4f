"""Photos that arrive: the watched queue, the quiet time after a drop, and the run that it starts."""
