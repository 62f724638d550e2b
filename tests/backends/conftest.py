import torchvision  # noqa: F401, before TensorFlow: imported after it, it crashes
