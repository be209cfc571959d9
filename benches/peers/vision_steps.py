"""A training step of a network of pictures in PyTorch, and the same network for Debut; for benches/vision.rs.

  pip install torch timm safetensors
  vision_steps.py export MODEL FOLDER: writes its random weights and what timm says of it
  vision_steps.py time MODEL BATCH STEPS THREADS: prints the milliseconds of a step (median), 16 classes, AdamW, fp32

Steps are timed with batch normalisation in inference form (`eval`), as Debut trains it, and as PyTorch trains it by default
(`train`). Random pictures from a fixed seed.
"""

import json
import pathlib
import statistics
import sys
import time

import timm
import torch

command, name = sys.argv[1:3]
torch.manual_seed(0)
if command == "export":
    from safetensors.torch import save_file

    folder = pathlib.Path(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    model = timm.create_model(name, pretrained=False, num_classes=0)
    save_file(model.state_dict(), folder / "model.safetensors")
    said = {"input_size": [3, 224, 224], "interpolation": "bilinear", "mean": [0.5] * 3, "std": [0.5] * 3}
    (folder / "config.json").write_text(json.dumps({"architecture": name, "num_classes": 0, "pretrained_cfg": said}))
    sys.exit()

batch, steps, threads = map(int, sys.argv[3:])
torch.set_num_threads(threads)
for mode in ["eval", "train"]:
    model = timm.create_model(name, pretrained=False, num_classes=16)
    model.train(mode == "train")
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5, fused=True)
    pictures = torch.randn(batch, 3, 224, 224)
    labels = torch.arange(batch) % 16
    times = []
    for _ in range(steps + 2):
        begun = time.time()
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(pictures), labels).backward()
        optimizer.step()
        times.append((time.time() - begun) * 1e3)
    print(f"{mode} {statistics.median(times[2:]):.0f}", flush=True)
