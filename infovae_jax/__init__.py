"""Information-maximising variational autoencoders in JAX and Flax.

Importing the package touches no device and neither TensorFlow nor torch.
"""

__version__ = "0.1.0"
