"""A trained model as a folder that needs less than this package.

    folder          the files, written and read back: est.save(dir), infovae_jax.load
    functions       encode, predict, decode and sample of rows as pure functions
    graphs          the same as lists of steps, read off their jaxprs
    numpy_runtime   runs those with NumPy alone; one file, copied into the folder
    stablehlo       the functions by jax.export, for any number of rows
    onnx_files      the steps as ONNX
    hub             the folder to and from a Hugging Face repository

Nothing is imported here: `infovae_jax.export.numpy_runtime` works without JAX.
"""
