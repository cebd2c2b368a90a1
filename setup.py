"""Package definition; tool settings stand in pyproject.toml."""

import pathlib
import re

import setuptools

HERE = pathlib.Path(__file__).parent
VERSION = re.search(
    r'^__version__ = "(.+)"$',
    (HERE / "infovae_jax" / "__init__.py").read_text(),
    re.MULTILINE,
).group(1)

EXTRAS = {
    # TFDS imports importlib_resources without declaring it; OpenCV decodes PNG.
    "tfds": [
        "tensorflow-datasets>=4.9.7,<5",
        "importlib_resources",
        "opencv-python-headless",
    ],
    # Preparing a TFDS dataset (not reading it) runs on TensorFlow.
    "tfds-prepare": [
        "tensorflow-datasets>=4.9.7,<5",
        "importlib_resources",
        "tensorflow-cpu",
    ],
    "images": ["pillow>=10"],
    "tables": ["pandas>=2.2", "pyarrow>=15"],
    # Models are saved as safetensors; without it as .npz.
    "export": ["safetensors>=0.5"],
    "onnx": ["onnx>=1.17", "onnxruntime>=1.20"],
    "hub": ["huggingface_hub>=0.30", "safetensors>=0.5"],
    "wandb": ["wandb>=0.18"],
    "trackio": ["trackio>=0.2"],
    "mlflow": ["mlflow-skinny>=2.18"],
    # What `python -m infovae_jax.benchmark --peers` measures beside us.
    "peers": ["torch>=2.4", "pythae>=0.1.2"],
    "tensorboard": ["tensorboard>=2.16"],
    "tpu": ["jax[tpu]"],
    "gpu": ["jax[cuda12]"],
}
EXTRAS["cuda"] = EXTRAS["gpu"]
# The site: sphinx-build -W docs docs/_build
EXTRAS["docs"] = ["sphinx>=8", "myst-parser>=4", "furo>=2024.8.6"]
EXTRAS["test"] = [
    "pytest>=8",
    "pytest-xdist>=3.6",
    "beartype>=0.19",
    "ruff>=0.8",
    *EXTRAS["images"],
    *EXTRAS["tfds"],
    *EXTRAS["export"],
    *EXTRAS["onnx"],
    *EXTRAS["hub"],
    *EXTRAS["tables"],
    "build>=1.2",
    "polars>=1.20",
]
EXTRAS["dev"] = [*EXTRAS["test"], "pyright>=1.1.390", "pre-commit>=4", "torch>=2.4"]

setuptools.setup(
    name="infovae_jax",
    version=VERSION,
    description="Information-maximising variational autoencoders in JAX and Flax",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    keywords="variational autoencoder, clustering, mutual information, jax",
    # The configs stand in a folder of their own, and in a wheel inside the package.
    packages=[
        *setuptools.find_packages(include=["infovae_jax", "infovae_jax.*"]),
        "infovae_jax.configs",
    ],
    package_dir={"infovae_jax.configs": "configs"},
    package_data={
        "infovae_jax": ["py.typed"],
        "infovae_jax.report": ["templates/*.j2", "templates/*.js"],
    },
    entry_points={"console_scripts": ["infovae = infovae_jax.__main__:main"]},
    python_requires=">=3.11",
    install_requires=[
        "absl-py>=2.1",
        "chex>=0.1.89",
        "flax>=0.11,<0.13",
        "jinja2>=3.1",
        "jax>=0.7.2,<0.12",
        "jaxtyping>=0.2.36",
        "matplotlib>=3.8",
        "ml_collections>=1.0,<2",
        "numpy>=1.26",
        "optax>=0.2.5,<0.3",
        "orbax-checkpoint>=0.11.20,<0.13",
        "packaging>=23",
        "psutil>=5.9.8",
        "scikit-learn>=1.6",
        "scipy>=1.12",
        "threadpoolctl>=3.1",
        "tqdm>=4.66",
    ],
    extras_require=EXTRAS,
)
