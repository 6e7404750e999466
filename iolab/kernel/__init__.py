"""What the kernel offers and Python's standard library lacks; the only ctypes of the package."""
