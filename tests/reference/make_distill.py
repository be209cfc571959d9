"""distill.json: steps of torch.optim.SparseAdam on 1 - cosine of sums of vectors, as src/train/distill/student.rs takes them."""

import json
import pathlib

import torch

torch.manual_seed(5)
features, dimension, texts, rate = 12, 5, 9, 0.05
bags = [torch.randint(features, (1 + text % 4,)).tolist() for text in range(texts)]
bags[3] = [2, 2, 7]  # one twice
targets = torch.nn.functional.normalize(torch.randn(texts, dimension), dim=1)
batches = [[0, 1, 2], [3, 4, 5, 6], [7, 8], [3, 0, 8], [6, 5]]
table = torch.nn.EmbeddingBag(features, dimension, mode="sum", sparse=True)
first = table.weight.detach().clone()
optimizer = torch.optim.SparseAdam(table.parameters(), lr=rate)
losses = []
for batch in batches:
    flat = torch.tensor([feature for text in batch for feature in bags[text]])
    starts = torch.tensor([sum(len(bags[text]) for text in batch[:place]) for place in range(len(batch))])
    sums = torch.nn.functional.normalize(table(flat, starts), dim=1)
    loss = (1 - (sums * targets[batch]).sum(1)).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
numbers = lambda tensor: [round(float(value), 7) for value in tensor.flatten()]
case = {
    "dimension": dimension,
    "rate": rate,
    "bags": bags,
    "targets": numbers(targets),
    "batches": batches,
    "first": numbers(first),
    "losses": [round(loss, 7) for loss in losses],
    "last": numbers(table.weight.detach()),
}
pathlib.Path(__file__).with_name("distill.json").write_text(json.dumps(case) + "\n")
