"""Where kernels get their packages from: environments, and what is added to them."""
