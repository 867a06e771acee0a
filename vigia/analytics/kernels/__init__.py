"""Numbers in, numbers out, compiled: no I/O, no clock, NaN means missing. Each kernel's helpers stay in its file."""
