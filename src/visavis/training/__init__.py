"""Train a Siamese model; the modules are imported by name, as most of them load Keras."""
