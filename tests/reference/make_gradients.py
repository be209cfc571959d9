"""Writes gradients.json: what PyTorch's autograd makes of all-MiniLM-L6-v2 under an in-batch contrastive loss.

The loss: embeddings are the mean over the tokens that count, normalised; the softmax of 20 times the cosines of the first
half of the texts with the second half should name the text of the same place. Computed in float64. For each tensor: the
norm and the largest element of its gradient, and 12 elements at fixed places (of embedding tables, in rows that were looked
up). Weights of linear layers are as the graph has them, [inputs, outputs].

    python make_gradients.py --model MINILM_DIR

Made with Python 3.12, torch 2.15.0 (CPU), transformers 5.24.0.
"""
import argparse
import json
from pathlib import Path

import numpy as np
import torch
from transformers import BertModel

PAIRS, TOKENS, SAMPLES = 6, 12, 12


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--model", required=True)
    args.add_argument("--out", default=Path(__file__).with_name("gradients.json"))
    args = args.parse_args()
    model = BertModel.from_pretrained(args.model, attn_implementation="eager", add_pooling_layer=False).eval().double()
    random = np.random.default_rng(1)
    ids = random.integers(1000, 20000, (2 * PAIRS, TOKENS))
    lengths = random.integers(4, TOKENS + 1, 2 * PAIRS)
    mask = (np.arange(TOKENS) < lengths[:, None]).astype(np.int64)
    weights = torch.tensor(mask, dtype=torch.float64)
    hidden = model(input_ids=torch.tensor(ids), attention_mask=torch.tensor(mask)).last_hidden_state
    mean = (hidden * weights[:, :, None]).sum(1) / weights.sum(1, keepdim=True)
    embeddings = torch.nn.functional.normalize(mean)
    logits = embeddings[:PAIRS] @ embeddings[PAIRS:].T * 20
    loss = torch.nn.functional.cross_entropy(logits, torch.arange(PAIRS))
    loss.backward()
    tensors = {}
    for name, parameter in model.named_parameters():
        gradient = parameter.grad.numpy()
        if name.startswith("encoder.") and gradient.ndim == 2:
            gradient = gradient.T
        flat = np.ascontiguousarray(gradient).ravel()
        places = np.flatnonzero(flat) if name.startswith("embeddings.") else np.arange(flat.size)
        chosen = np.sort(random.choice(places, SAMPLES, replace=False))
        tensors[name] = {
            "norm": float(np.linalg.norm(flat)),
            "largest": float(np.abs(flat).max()),
            "places": chosen.tolist(),
            "values": [float(f"{value:.9g}") for value in flat[chosen]],
        }
    document = {"ids": ids.tolist(), "mask": mask.tolist(), "loss": loss.item(), "tensors": tensors}
    lines = json.dumps(document).replace(', "encoder', ',\n"encoder').replace(', "embeddings', ',\n"embeddings')
    args.out.write_text(lines + "\n")
    print(len(tensors), "tensors, loss", loss.item())


if __name__ == "__main__":
    main()
