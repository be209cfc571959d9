"""Writes tower.json: a few epochs of an encoder trained against users' factors by PyTorch, for src/train/tower/tests.rs.

All items are in one batch, so that their order does not matter. The recipe is that of `train::tower`: AdamW with rates of
their own for encoder and head, decay of matrices, linear warm-up and decay of the rate, clipping. The formulas of the first
values stand in the tests again.

    python make_tower.py

Made with Python 3.12, torch 2.15.0 (CPU), transformers 5.24.0; the model is tests/reference/models/bert-mean-normalize.
"""
import json
from pathlib import Path

import torch
from transformers import AutoTokenizer, BertModel

HERE = Path(__file__).parent
MODEL = HERE / "models" / "bert-mean-normalize"
TEXTS = [
    "white hanging heart t-light holder", "white metal lantern", "cream cupid hearts coat hanger", "red woolly hottie",
    "set 7 babushka nesting boxes", "glass star frosted t-light holder", "hand warmer union jack", "lunch bag red spotty",
    "assorted colour bird ornament", "poppy's playhouse bedroom", "box of vintage jigsaw blocks", "home building block word",
]
USERS, FACTORS, EPOCHS = 7, 4, 12
RATE, HEAD_RATE, DECAY, WARM_UP, CLIP, TEMPERATURE = 1e-3, 5e-3, 0.1, 0.25, 1.0, 0.5


def holders():
    """Item 5 has nobody."""
    return [[u for u in range(USERS) if (item * 5 + u * 3 + item * u) % 7 < 2 and item != 5] for item in range(len(TEXTS))]


def formula(rows, columns, a, b, scale):
    i, j = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return ((((i * a + j * b) % 97) / 97.0 - 0.5) * scale).float()


def rate(step, steps):
    warm_up = round(WARM_UP * steps)
    return (step + 1) / warm_up if step < warm_up else 1 - (step - warm_up) / (steps - warm_up)


def train(normalize, weights):
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    model = BertModel.from_pretrained(MODEL, add_pooling_layer=False).train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    has = holders()
    items = [item for item in range(len(TEXTS)) if has[item]]
    batch = tokenizer([TEXTS[item] for item in items], padding=True, return_tensors="pt")
    center = formula(1, 32, 3, 11, 0.2)[0]
    projection = torch.nn.Parameter(formula(32, FACTORS, 37, 101, 1.0))
    users = torch.nn.Parameter(formula(USERS, FACTORS, 29, 13, 2.0))
    share = torch.zeros(USERS, len(items))
    for column, item in enumerate(items):
        for place, user in enumerate(has[item]):
            share[user, column] = 1.0 + place / 2 if weights else 1.0
    share /= share.sum()
    encoder = [p for n, p in model.named_parameters() if "_embeddings" not in n]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in encoder if p.dim() > 1], "weight_decay": DECAY, "lr": RATE},
            {"params": [p for p in encoder if p.dim() == 1], "weight_decay": 0.0, "lr": RATE},
            {"params": [projection, users], "weight_decay": DECAY, "lr": HEAD_RATE},
        ]
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, EPOCHS))

    def vectors():
        hidden = model(**batch).last_hidden_state
        mask = batch["attention_mask"][:, :, None]
        pooled = (hidden * mask).sum(1) / mask.sum(1)
        return torch.nn.functional.normalize(pooled) if normalize else pooled

    losses = []
    for _ in range(EPOCHS):
        optimizer.zero_grad()
        logits = users @ ((vectors() - center) @ projection).T / TEMPERATURE
        loss = -(share * torch.log_softmax(logits, dim=1)).sum()
        loss.backward()
        losses.append(loss.item())
        torch.nn.utils.clip_grad_norm_([*encoder, projection, users], CLIP)
        optimizer.step()
        schedule.step()
    plain = lambda x: [float(f"{value:.7g}") for value in x.detach().ravel()]
    # What all vectors have in common does not change the loss: its gradient is rounding, of which Adam makes steps.
    first, second = vectors()[:2]
    return {"losses": losses, "projection": plain(projection), "users": plain(users), "between": plain(first - second)}


if __name__ == "__main__":
    result = {"texts": TEXTS, "holders": holders(), "unit": train(True, False), "pooled": train(False, True)}
    with open(HERE / "tower.json", "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
