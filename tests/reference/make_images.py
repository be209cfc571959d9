"""Writes images/: small pictures in every format that is read, and expected.json: what Pillow and the image processors of
transformers make of them.

For each picture its upright RGB (`rgb`), and for each processor the levels after resizing and cropping (`levels`) and the
numbers that stand for some levels (`numbers`); bytes are in base64.

    python make_images.py

Made with Python 3.11, transformers 5.24.0, Pillow 13.0.0, numpy as printed into the file.
"""
import base64
import io
import json
import struct
from pathlib import Path

import numpy as np
import PIL
import transformers as hf
from PIL import Image, ImageOps, ImageSequence
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
from transformers.models.efficientnet.image_processing_pil_efficientnet import EfficientNetImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

FOLDER = Path(__file__).parent / "images"
FOLDER.mkdir(exist_ok=True)
rng = np.random.default_rng(15)


def scene(width, height):
    """Slopes, edges, a disc and some noise."""
    y, x = np.mgrid[0:height, 0:width] / np.array([height, width]).reshape(2, 1, 1)
    disc = (x - 0.4) ** 2 + (y - 0.6) ** 2 < 0.06
    stripes = (np.floor(x * 9) + np.floor(y * 4)) % 2
    channels = [0.9 * x + 0.1 * stripes, np.where(disc, 0.9, 0.2 + 0.5 * y), np.where(disc, 0.1, 1 - x * y)]
    noise = rng.normal(0, 0.01, (height, width, 3))
    return Image.fromarray((np.clip(np.stack(channels, 2) + noise, 0, 1) * 255).astype(np.uint8), "RGB")


def png16(array, color):
    """A PNG of 16 bits a channel, which Pillow does not write in every colour."""
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = array.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    header = struct.pack(">IIBBBBB", width, height, 16, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def saved(image, form, **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def exif(orientation):
    tags = Image.Exif()
    tags[0x112] = orientation
    return tags


wide, tall, small = scene(61, 40), scene(31, 47), scene(17, 13)
alpha = small.copy()
alpha.putalpha(Image.fromarray(np.linspace(0, 255, 17 * 13).reshape(13, 17).astype(np.uint8)))
deep = np.asarray(small).astype(np.uint16) * 257 + 100
others = [small.transpose(Image.Transpose.ROTATE_180), ImageOps.invert(small)]
cmyk = Image.fromarray(np.dstack([255 - np.asarray(small), np.full((13, 17), 30, np.uint8)]), "CMYK")
pictures = {
    "wide.png": saved(wide, "PNG"),
    "tall.png": saved(tall, "PNG"),
    "tiny.png": saved(scene(3, 2), "PNG"),
    "line.png": saved(scene(90, 1), "PNG"),
    "alpha.png": saved(alpha, "PNG"),
    "palette.png": saved(small.quantize(32), "PNG"),
    "palette-alpha.png": saved(small.quantize(16), "PNG", transparency=3),
    "grey.png": saved(small.convert("L"), "PNG"),
    "grey-alpha.png": saved(alpha.convert("LA"), "PNG"),
    "black-white.png": saved(small.convert("1"), "PNG"),
    "grey-16.png": png16(np.arange(13 * 17).reshape(13, 17) * 3, 0),
    "rgb-16.png": png16(deep, 2),
    "rgba-16.png": png16(np.dstack([deep, deep[:, :, :1]]), 6),
    "animated.png": saved(small, "PNG", save_all=True, append_images=others),
    "wide-444.jpg": saved(wide, "JPEG", quality=90, subsampling=0),
    "tall-422.jpg": saved(tall, "JPEG", quality=90, subsampling=1),
    "wide-420.jpg": saved(wide, "JPEG", quality=90, subsampling=2),
    "progressive.jpg": saved(tall, "JPEG", quality=80, progressive=True, subsampling=2),
    "restarts.jpg": saved(tall, "JPEG", quality=85, restart_marker_blocks=2),
    "grey.jpg": saved(small.convert("L"), "JPEG", quality=85),
    "cmyk.jpg": saved(cmyk, "JPEG", quality=90),
    "lossy.webp": saved(tall, "WEBP", quality=85),
    "lossless.webp": saved(tall, "WEBP", lossless=True),
    "alpha.webp": saved(alpha, "WEBP", lossless=True, exact=True),
    "animated.webp": saved(small, "WEBP", save_all=True, append_images=others, lossless=True),
    "still.gif": saved(small, "GIF"),
    "animated.gif": saved(small, "GIF", save_all=True, append_images=others),
    **{f"turned-{o}.jpg": saved(small, "JPEG", quality=95, subsampling=0, exif=exif(o)) for o in range(1, 9)},
    "turned-6.png": saved(small, "PNG", exif=exif(6)),
    "turned-8.webp": saved(small, "WEBP", lossless=True, exif=exif(8)),
}

def on_a_canvas(data, width, height, left, top):
    """A GIF of one frame on a larger canvas."""
    frame = data.index(b",\0\0\0\0" + data[6:10])
    place = struct.pack("<HH", left, top)
    return data[:6] + struct.pack("<HH", width, height) + data[10:frame + 1] + place + data[frame + 5:]


pictures["small-frame.gif"] = on_a_canvas(pictures["still.gif"], 30, 20, 5, 4)
pictures["small-frame-clear.gif"] = on_a_canvas(saved(small.quantize(16), "GIF", transparency=7), 30, 20, 13, 7)
# The canvas is smaller than the frame.
pictures["large-frame.gif"] = on_a_canvas(pictures["still.gif"], 9, 5, 2, 1)

# The same bytes under the other colour space that Adobe's marker names.
marker = pictures["cmyk.jpg"].index(b"Adobe") + 11
pictures["ycck.jpg"] = pictures["cmyk.jpg"][:marker] + b"\x02" + pictures["cmyk.jpg"][marker + 1 :]

processors = {
    "vit": ViTImageProcessorPil(size={"height": 20, "width": 24}),
    "clip": CLIPImageProcessorPil(size={"shortest_edge": 22}, crop_size={"height": 18, "width": 20}),
    "clip-larger-crop": CLIPImageProcessorPil(size={"shortest_edge": 12}, crop_size={"height": 17, "width": 30}),
    "convnext": ConvNextImageProcessorPil(size={"shortest_edge": 21}, crop_pct=0.875),
    "efficientnet": EfficientNetImageProcessorPil(
        size={"height": 19, "width": 19}, rescale_factor=1 / 127.5, rescale_offset=True, include_top=True
    ),
    "efficientnet-lite": EfficientNetImageProcessorPil(
        size={"height": 24, "width": 24}, resample=2, include_top=False, image_mean=[127 / 255] * 3, image_std=[128 / 255] * 3
    ),
    "siglip": SiglipImageProcessorPil(size={"height": 23, "width": 23}),
    "bit": BitImageProcessorPil(size={"shortest_edge": 25}, crop_size={"height": 16, "width": 16}),
    "nearest": ViTImageProcessorPil(size={"height": 15, "width": 33}, resample=0),
    "lanczos": ViTImageProcessorPil(size={"height": 15, "width": 33}, resample=1),
    "box": ViTImageProcessorPil(size={"height": 15, "width": 33}, resample=4),
    "hamming": ViTImageProcessorPil(size={"height": 15, "width": 33}, resample=5),
}
# Through every processor; the others are decoded only.
resized = ["tall.png", "tiny.png", "line.png", "wide-420.jpg"]


def base(array):
    return base64.b64encode(np.ascontiguousarray(array)).decode()


expected = {"numpy": np.__version__, "pillow": PIL.__version__, "transformers": hf.__version__, "pictures": {}, "films": {}, "processors": {}}
for name, data in pictures.items():
    (FOLDER / name).write_bytes(data)
    rgb = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    expected["pictures"][name] = {"width": rgb.shape[1], "height": rgb.shape[0], "rgb": base(rgb)}
for name in ["animated.gif", "animated.png", "animated.webp"]:
    film = Image.open(FOLDER / name)
    expected["films"][name] = [base(np.asarray(frame.convert("RGB"))) for frame in ImageSequence.Iterator(film)]
for name, processor in processors.items():
    outputs = {}
    for picture in resized:
        image = ImageOps.exif_transpose(Image.open(FOLDER / picture)).convert("RGB")
        plain = {"do_rescale": False, "do_normalize": False}
        if name.startswith("efficientnet"):
            plain["include_top"] = False
        levels = np.asarray(processor(image, **plain)["pixel_values"][0])
        outputs[picture] = base(levels.astype(np.uint8))
    numbers = {}
    for level in [0, 1, 100, 255]:
        image = Image.new("RGB", (40, 40), (level,) * 3)
        values = np.asarray(processor(image)["pixel_values"][0])
        numbers[level] = [float(f"{v:.9g}") for v in values[:, values.shape[1] // 2, values.shape[2] // 2]]
    config = json.loads(processor.to_json_string())
    expected["processors"][name] = {"config": config, "levels": outputs, "numbers": numbers}
(FOLDER / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
