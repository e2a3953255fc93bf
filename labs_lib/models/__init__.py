"""The catalogue of architectures, and loading a model: bundled, local or from a hub."""
