"""What is left of adversarial images when they are saved: as 8 bits, PNG, JPEG, or at another size."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Le

from bench_core.statistics import proportion

from .shared.colour import picture_fault

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from bench_core.types import Examples, Model, Rows, Score
else:
    from bench_core.lazy import torch


def levels(images: Tensor, truncate: bool = False) -> NDArray[np.uint8]:
    """Return the levels 0 to 255 of images [n, c, h, w] as pixels [n, h, w, c].

    Args:
        images: Images in [0, 1].
        truncate: Whether to round down, as `(255 * image).astype(uint8)` does, and not to the nearest level.
    """
    scaled = 255 * images.detach().cpu().permute(0, 2, 3, 1)
    whole = scaled.floor() if truncate else scaled.round()
    return whole.clamp(0, 255).to(torch.uint8).numpy()


def picture(pixels: NDArray[np.uint8]) -> Any:
    """Return a Pillow image of pixels [h, w, 1 or 3]."""
    from PIL import Image

    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def saved(pixels: NDArray[np.uint8], media: str, **options: Any) -> NDArray[np.uint8]:
    """Save pixels [h, w, c] with Pillow in a format such as PNG, and read the file."""
    from PIL import Image

    file = io.BytesIO()
    picture(pixels).save(file, media, **options)
    with Image.open(file, formats=[media]) as opened:
        return np.asarray(opened).reshape(pixels.shape)


def resized(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Scale pixels [h, w, c] to half of their height and width and back, bilinearly with Pillow."""
    from PIL.Image import Resampling

    image = picture(pixels)
    half = image.resize([max(1, (side + 1) // 2) for side in image.size], Resampling.BILINEAR)
    return np.asarray(half.resize(image.size, Resampling.BILINEAR)).reshape(pixels.shape)


@dataclass(frozen=True)
class Persistence:
    """Success of the same adversarial images on the target as floats, and after each way to save them.

    The ways, by the label `saved`: `float`, as they are; `8 bits`, rounded to the nearest level; `8 bits down`, rounded
    down, which many programs do; `PNG`; `JPEG Q` at the quality Q, with Pillow's defaults otherwise; `half size`,
    scaled to half the size and back. PNG, JPEG and the scaling begin with the nearest levels.

    Scores, labelled by `saved`: `success`, the share of images that fool the target; `kept`, the share of those that
    fool it as floats and still do; `clean`, the success of the clean images saved in the same way, which no attack
    has earned. Rows: `fooled` and `clean`, bool [n, ways].

    Attributes:
        jpeg: Qualities of JPEG.
    """

    jpeg: tuple[Annotated[int, Ge(1), Le(100)], ...] = (95, 75, 50)
    scores: ClassVar = ("success", "kept", "clean")
    labels: ClassVar = ("saved",)

    @property
    def ways(self) -> tuple[str, ...]:
        """The names of the ways to save an image, in order."""
        return ("float", "8 bits", "8 bits down", "PNG", *(f"JPEG {quality}" for quality in self.jpeg), "half size")

    @property
    def forwards(self) -> float:
        """Forward passes per image, at most: a PNG has the pixels of the nearest levels, and is not passed again."""
        return 2 * (len(self.ways) - 1)

    def check(self, shape: tuple[int, int, int]) -> str | None:
        """Return why images of shape (c, h, w) are rejected, or None."""
        return picture_fault(shape)

    def observe(self, clean: Examples, adversarial: Tensor, target: Model) -> Mapping[str, Tensor]:
        def fooled(images: Tensor) -> Iterator[Tensor]:
            known: list[tuple[Tensor, Tensor]] = []
            for changed in self._saved(images):
                predicted = next((classes for same, classes in known if torch.equal(same, changed)), None)
                if predicted is None:  # ways that give the same pixels need one pass
                    predicted = target(changed).argmax(1)
                    known.append((changed, predicted))
                yield predicted != clean.labels if clean.targets is None else predicted == clean.targets

        return {
            name: torch.stack(list(fooled(images)), dim=1)
            for name, images in (("fooled", adversarial), ("clean", clean.images))
        }

    def _saved(self, images: Tensor) -> Iterator[Tensor]:
        """Yield the images as each way saves them."""
        nearest = levels(images)

        def read(pixels: NDArray[np.uint8]) -> Tensor:
            return torch.from_numpy(pixels).permute(0, 3, 1, 2).to(images.device, images.dtype).contiguous() / 255

        yield images
        yield read(nearest)
        yield read(levels(images, truncate=True))
        yield read(np.stack([saved(pixels, "PNG") for pixels in nearest]))
        for quality in self.jpeg:
            yield read(np.stack([saved(pixels, "JPEG", quality=quality) for pixels in nearest]))
        yield read(np.stack([resized(pixels) for pixels in nearest]))

    def summarise(self, rows: Rows) -> Iterator[Score]:
        fooled = rows["fooled"].astype(bool)
        as_float = fooled[:, 0]
        for index, way in enumerate(self.ways):
            yield proportion("success", fooled[:, index], {"saved": way})
            yield proportion("kept", fooled[as_float, index], {"saved": way}, as_float)
            yield proportion("clean", rows["clean"][:, index], {"saved": way})


METRIC = Persistence
EXAMPLES = [{}, {"jpeg": [90]}]
DEPENDS = ("pillow",)
