"""Writes state_dicts/: what `torch.save` makes of a few tensors, in its two formats, and one with code in it.

    python make_state_dicts.py

Made with Python 3.11, torch 2.15.0 (CPU).
"""
import os
from collections import OrderedDict
from pathlib import Path

import torch

HERE = Path(__file__).parent / "state_dicts"


class Code:
    def __reduce__(self):
        return os.system, ("echo this must never be printed",)


def tensors():
    """Counting from 0 in every type; `turned` is a view with other strides, `tail` one that begins inside its storage."""
    count = torch.arange(6, dtype=torch.float32)
    grid = count.reshape(2, 3)
    tensors = OrderedDict(
        f32=grid, f16=grid.half(), bf16=grid.bfloat16(), f64=grid.double(), i64=grid.long(), i32=grid.int(),
        u8=grid.to(torch.uint8), bool=grid > 2, parameter=torch.nn.Parameter(grid), turned=grid.t(), tail=count[4:],
        scalar=torch.tensor(7.0), empty=torch.zeros(0, 3))
    return tensors


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    torch.save(tensors(), HERE / "archive.pth")
    torch.save(tensors(), HERE / "sequence.pth", _use_new_zipfile_serialization=False)
    torch.save({"epoch": 3, "optimizer": {"step": torch.tensor(5)}, "state_dict": tensors()}, HERE / "training.pth")
    torch.save({"epoch": 3, "optimizer": {"step": torch.tensor(5)}, "state_dict": tensors()},
               HERE / "training-sequence.pth", _use_new_zipfile_serialization=False)
    # A folder that could be imported if there were tensors only.
    folder = HERE / "code"
    folder.mkdir(exist_ok=True)
    torch.save(OrderedDict(f32=torch.ones(2), code=Code()), folder / "code.pth")
    (folder / "config.json").write_text('{"architecture": "resnet18"}\n')
    (folder / "preprocessor_config.json").write_text('{"size": {"height": 32, "width": 32}, "resample": 2, "do_normalize": false}\n')
    torch.save(torch.nn.Linear(2, 2), HERE / "module.pth")
    torch.save({"f32": torch.ones(2), "epoch": 3}, HERE / "number.pth")
