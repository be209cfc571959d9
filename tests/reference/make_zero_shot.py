"""Writes a small tokenizer.json beside the models of two towers in vision/, and zero_shot.json: the probabilities that
transformers gives labels of pictures of images/, with no template around the labels.

CLIP's come from the pipeline for zero-shot image classification. Its way with SigLIP fills texts up to 64 tokens, and the small
model has positions for 12: there the same is done by hand, the sigmoid of `logits_per_image`.

    python make_zero_shot.py

Made with Python 3.11, torch 2.15.0 (CPU), transformers 5.24.0, tokenizers 0.23.3, Pillow 13.0.0.
"""
import json
from pathlib import Path

import torch
import transformers as hf
from PIL import Image
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

HERE = Path(__file__).parent
WORDS = "a photo of red mug blue lamp shoe bag shirt wide tall grey picture small large dress sandals watch black".split()
PICTURES = ["wide.png", "tall.png", "palette.png", "rgb-16.png", "still.gif", "lossless.webp"]
LABELS = ["a red mug", "a wide picture", "shoe", "a tall grey lamp", "something unknown"]


def tokenizer(begins):
    """Words by number: the end is 23, padding 3, what is not known 0, and the begin, if there is one, 1."""
    free = [number for number in range(24) if number not in (0, 1, 3, 23)]
    vocabulary = {"<unk>": 0, "<s>": 1, "<pad>": 3, "</s>": 23, **dict(zip(WORDS, free))}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    single, special = ("<s> $A </s>", [("<s>", 1), ("</s>", 23)]) if begins else ("$A </s>", [("</s>", 23)])
    made.post_processor = processors.TemplateProcessing(single=single, special_tokens=special)
    return made


def open_picture(name):
    return Image.open(HERE / "images" / name).convert("RGB")


def write(folder, probabilities):
    rows = {name: [float(f"{value:.7g}") for value in row] for name, row in zip(PICTURES, probabilities)}
    (folder / "zero_shot.json").write_text(json.dumps(dict(labels=LABELS, probabilities=rows), indent=1) + "\n")
    print(folder.name, rows)


def prepare(name, begins):
    folder = HERE / "vision" / name
    made = tokenizer(begins)
    made.save(str(folder / "tokenizer.json"), pretty=False)
    return folder, hf.PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="</s>", model_max_length=12)


def clip():
    folder, words = prepare("clip", True)
    model = hf.CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
    pipe = hf.pipeline("zero-shot-image-classification", model=model, tokenizer=words,
                       image_processor=CLIPImageProcessorPil.from_pretrained(folder))
    rows = []
    for name in PICTURES:
        scores = {found["label"]: found["score"] for found in pipe(open_picture(name), LABELS, hypothesis_template="{}")}
        rows.append([scores[label] for label in LABELS])
    write(folder, rows)


def siglip():
    folder, words = prepare("siglip", False)
    model = hf.SiglipModel.from_pretrained(folder, dtype=torch.float32).eval()
    pictures = SiglipImageProcessorPil.from_pretrained(folder)([open_picture(name) for name in PICTURES], return_tensors="pt")
    ids = words(LABELS, padding="max_length", max_length=12, truncation=True, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        logits = model(input_ids=ids, pixel_values=pictures["pixel_values"]).logits_per_image
    write(folder, torch.sigmoid(logits).tolist())


clip()
siglip()
