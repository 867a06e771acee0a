"""Numbers in, numbers out, compiled: no I/O, no clock, NaN means missing. Each kernel's helpers stay in its file.

A kernel is compiled anew for arrays of another type, of another layout, or that must not be written: `warm_up` of its module, or of
the package that uses it, compiles it for those it is meant for.
"""
