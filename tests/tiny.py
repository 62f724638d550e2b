"""A shrunken study."""

# A study that takes about a minute: every rule for real, on a hundred-odd drawn images.
TINY = {
    "study": "tiny",
    "dataset": {
        "name": "tiny",
        "source": "synthetic",
        "synthetic": {"train_images": 120, "test_images": 100},
        "validation_fraction": 0.2,
    },
    "weights": {"proxy": {"images": 100, "epochs": 1, "batch_size": 32}},
    # Rate and angle are those that tests change.
    "training": {
        "epochs": 1,
        "batch_size": 32,
        "learning_rate": 0.0007,
        "augmentation": {"rotation_degrees": 15},
    },
    "runs": {
        "pytorch-pretrained": {"weights": "proxy", "input_size": 64, "head": {"epochs": 0}},
        "tensorflow-pretrained": {
            "weights": "proxy",
            "input_size": 32,
            "progressive_resizing": {"epochs": 0},
            "head": {"epochs": 0},
        },
    },
}
