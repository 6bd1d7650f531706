"""Users' files: their bytes, and what the kernel sees of them."""
