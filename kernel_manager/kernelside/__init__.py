"""What runs inside the zygote, the init and the kernels.

This package is executed by the *kernel environment's* Python under the name ``kernelside``, not as a part of
``kernel_manager``. It imports nothing of ours but itself, and :mod:`protocol` and :mod:`spool`, which both sides
read, need only the standard library.
"""
