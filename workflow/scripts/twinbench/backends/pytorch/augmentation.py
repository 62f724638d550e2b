"""Normalisation, and the affine transform that rotates, shifts, flips and resizes."""

import torch
from torch.nn import functional

from twinbench.config.training import Augmentation
from twinbench.recipe.normalisation import Normalisation

INTERPOLATION = "bilinear"
PADDING = {"nearest": "border", "zeros": "zeros"}  # zero is the mean colour after normalisation


class Normaliser:
    """Normalisation with its constants on the device, so that a step copies nothing to it."""

    def __init__(self, normalisation: Normalisation, device: torch.device) -> None:
        self._mean = torch.as_tensor(normalisation.mean, dtype=torch.float32, device=device)
        self._std = torch.as_tensor(normalisation.std, dtype=torch.float32, device=device)
        self._channels = torch.tensor(normalisation.channels, device=device)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Images (batch, height, width, 3) as float32, channels in the network's order."""
        return (images.index_select(-1, self._channels).float() - self._mean) / self._std


def transform(
    images: torch.Tensor,
    matrices: torch.Tensor,
    normaliser: Normaliser,
    output_size: int,
    fill: str,
) -> torch.Tensor:
    """The network's input: float32 (batch, 3, output_size, output_size), channels last in memory.

    `images` are uint8 (batch, size, size, 3), `matrices` float32 (batch, 2, 3) as of
    `recipe.augmentation_matrices`. Interpolation is bilinear; `fill` (`nearest` or `zeros`) is what
    lies outside the image.
    """
    normalised = normaliser(images).permute(0, 3, 1, 2)
    positions = _positions(output_size, images.device) @ matrices.transpose(1, 2)
    # grid_sample wants -1 and 1 at the image's outer edges.
    grid = (2 * positions + 1) / images.shape[1] - 1
    grid = grid.reshape(len(images), output_size, output_size, 2)
    transformed = functional.grid_sample(
        normalised, grid, mode=INTERPOLATION, padding_mode=PADDING[fill], align_corners=False
    )
    return transformed.contiguous(memory_format=torch.channels_last)


def transform_natively(
    images: torch.Tensor,
    normaliser: Normaliser,
    output_size: int,
    augmentation: Augmentation | None,
) -> torch.Tensor:
    """As `transform`, the way torchvision does it by default; a plain resize without `augmentation`.

    Each image has its own random numbers, from torch's global generator.
    """
    from torchvision.transforms import v2  # which costs a second of a job's start

    resize = v2.Resize((output_size, output_size))
    images = images.permute(0, 3, 1, 2)
    if augmentation is None:
        prepared = resize(images)
    else:
        shift, scale = augmentation.shift_fraction, augmentation.scale_fraction
        transforms = v2.Compose(
            [
                v2.RandomAffine(
                    augmentation.rotation_degrees,
                    translate=(shift, shift),
                    scale=(1 - scale, 1 + scale),
                ),
                v2.RandomHorizontalFlip(0.5 if augmentation.horizontal_flip else 0.0),
                resize,
            ]
        )
        # On the processor, which is several times as fast as a GPU at one small image after another.
        prepared = torch.stack([transforms(image) for image in images.cpu()]).to(images.device)
    normalised = normaliser(prepared.permute(0, 2, 3, 1))
    return normalised.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def _positions(size: int, device: torch.device) -> torch.Tensor:
    """The output's pixels as rows (x, y, 1): float32 (size * size, 3)."""
    pixels = torch.arange(size, dtype=torch.float32, device=device)
    y, x = torch.meshgrid(pixels, pixels, indexing="ij")
    return torch.stack([x, y, torch.ones_like(x)], dim=-1).reshape(-1, 3)
