"""Embeds the pictures of a Parquet file by peers, as their documentation shows it.

Run by `cargo bench --bench images`: images.py PEER PICTURES.parquet MODEL THREADS, where PEER is `pytorch` (Pillow, torchvision's
transforms by timm and EfficientNet-Lite0 by timm; the weights are random, which costs the same) or `fastembed` (its image path
over MODEL/onnx/model.onnx, the graph that Debut runs). Prints pictures a second; imports and the model's loading do not count.
"""

import io
import json
import os
import shutil
import sys
import tempfile
import time

import pyarrow.parquet

peer, parquet, model, threads = sys.argv[1:]
threads = int(threads)
BATCH = 32
pictures = pyarrow.parquet.read_table(parquet)["image"].to_pylist()


def pytorch():
    import timm
    import torch
    from PIL import Image

    torch.set_num_threads(threads)
    network = timm.create_model("efficientnet_lite0", pretrained=False, num_classes=0).eval()
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=network), is_training=False)

    class Pictures(torch.utils.data.Dataset):
        def __len__(self):
            return len(pictures)

        def __getitem__(self, index):
            return transform(Image.open(io.BytesIO(pictures[index])).convert("RGB"))

    def run():
        # A worker decodes while the network runs.
        for batch in torch.utils.data.DataLoader(Pictures(), batch_size=BATCH, num_workers=1):
            torch.nn.functional.normalize(network(batch), dim=1)

    with torch.inference_mode():
        network(torch.zeros(BATCH, 3, 224, 224))
        return timed(run)


def fastembed():
    from fastembed import ImageEmbedding
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        # Under the name of a model that it knows; its own files would be downloaded. Its processor has other names for the steps.
        shutil.copytree(os.path.join(model, "onnx"), folder, dirs_exist_ok=True)
        with open(os.path.join(folder, "preprocessor_config.json"), "w") as file:
            size = {"height": 224, "width": 224}
            steps = {"do_resize": True, "size": size, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True}
            json.dump({**steps, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}, file)
        network = ImageEmbedding("Qdrant/resnet50-onnx", specific_model_path=folder, threads=threads)
        list(network.embed([Image.new("RGB", (60, 80))]))
        return timed(lambda: list(network.embed([Image.open(io.BytesIO(bytes)) for bytes in pictures], batch_size=BATCH)))


def timed(run):
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


print(len(pictures) / {"pytorch": pytorch, "fastembed": fastembed}[peer]())
