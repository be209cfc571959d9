"""Writes models/: tiny encoders with random weights, and what the reference libraries make of a few texts with them.

Each folder looks like a published model (config, weights or ONNX, tokenizer, sentence-transformers modules) plus
`expected.json`: `texts` with `embeddings`, or `pairs` with `logits`. Weights are large and random, biases and layer
norms too, so that a wrong mask, activation, position or pooling moves the result far.

    OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false python make_models.py [NAME ...]

Made with Python 3.12, torch 2.15.0 (CPU), transformers 5.24.0, sentence-transformers 6.2.0, tokenizers 0.23.3,
onnx 1.23.2, onnxruntime 1.31.1, sentencepiece 0.2.3 (with protobuf), safetensors 0.8.0.
"""
import io
import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
import numpy as np
import onnx
import onnxruntime
import sentencepiece
import torch
import transformers as hf
from safetensors.torch import load_file, save_file
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = Path(__file__).parent / "models"
HIDDEN, LAYERS, HEADS, INNER, POSITIONS, MAX = 32, 2, 4, 64, 64, 48

CORPUS = """
a red mug with a white handle stands on the kitchen table
the blue lantern was sold before the market opened
we bought two wooden chairs and a small round table
our glass vases are blown by hand and packed in straw
please wash the cotton towels at sixty degrees
this umbrella folds into a pocket and weighs very little
children love the tin robot with the turning key
the warehouse counted its boxes twice and found one more
a set of six silver spoons in a velvet case
warm socks for cold evenings knitted from grey wool
the clock on the wall is five minutes slow
she returned the lamp because its switch was broken
he ordered three candles and a box of matches
query passage: which lamp is bright enough for reading
customers who looked at teapots also looked at cups
garden tools made of steel with handles of ash wood
every parcel leaves the shop on the day of the order
prices are listed without tax unless the label says so
café crème brûlée dishes, naïve façade paintings, über Straße
5 pieces for 10.99 or 24 pieces for 45.50, sizes 1 2 3 4 6 7 8 9 0
what is this? it is a mirror! is it large? no: quite small (about a hand's width).
中文 茶 杯 红色
""".strip().split("\n")

LONG = ("The green bottle stood next to the yellow one, and next to that stood the plates, the bowls and the jug. "
        "Nobody had moved them since the spring, when the last visitor asked how much they cost. ") * 2

TEXTS = [
    "",
    " ",
    "mug",
    "A red mug with a white handle",
    "the lamp is bright",
    "The Lamp IS Bright!",
    LONG,
    "红色茶杯 and 未知的字",
    "café crème, CAFÉ CRÈME, cafe\u0301",
    "🎁 emoji ☂ and Ω unknown letters ж",
    "  leading spaces, double  spaces and a tab\there ",
    "incomprehensibilities unhappily reassembled",
    "10.99 for 24 pieces (or 5?)",
    "words [SEP] with </s> and <mask> [MASK] inside",
    "ＦＵＬＬ　ｗｉｄｔｈ… and zero\u200bwidth\u00a0spaces",
]

PAIRS = [
    ["which lamp is bright enough", "a bright lamp for reading in the evening"],
    ["which lamp is bright enough", "six silver spoons in a case"],
    ["", "a wooden chair"],
    ["wooden chair", ""],
    ["", ""],
    [LONG, "small round table"],
    ["small round table", LONG],
    [LONG, LONG[50:]],
    ["茶杯", "red cup, 红色"],
    ["🎁", "the gift"],
    ["the gift", "🎁"],
    ["prices without tax", "Prices are listed without tax, unless the label says so."],
]


# ---- tokenizers ------------------------------------------------------------------------------------------------------

def pieces(special, unknown):
    """A BERT-like WordPiece over the corpus: letters, then the starts and ends of words that cover most of it.

    The trainers of `tokenizers` give another vocabulary each time (hash order), so this counts by itself."""
    tok = Tokenizer(models.WordPiece({unknown: 0}, unk_token=unknown))
    tok.normalizer = normalizers.BertNormalizer()
    tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tok.decoder = decoders.WordPiece()
    words = [w for line in CORPUS for w, _ in tok.pre_tokenizer.pre_tokenize_str(tok.normalizer.normalize_str(line))]
    letters = sorted(set("".join(words)))
    covered = Counter()
    for word in words:
        for cut in range(2, len(word) + 1):
            covered[word[:cut]] += cut
            covered["##" + word[-cut:]] += cut if cut < len(word) else 0
    longer = [p for p, _ in sorted(covered.items(), key=lambda x: (-x[1], x[0])) if p not in letters]
    vocab = list(dict.fromkeys(special + letters + ["##" + c for c in letters if c.isalnum()] + longer))[:300]
    tok.model = models.WordPiece({p: i for i, p in enumerate(vocab)}, unk_token=unknown)
    tok.add_special_tokens(special)
    return tok


def wordpiece():
    """BERT's: lower-cased, accents stripped, Chinese characters split, pieces marked with ##."""
    tok = pieces(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], "[UNK]")
    tok.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(t, tok.token_to_id(t)) for t in ("[CLS]", "[SEP]")])
    names = dict(unk_token="[UNK]", sep_token="[SEP]", pad_token="[PAD]", cls_token="[CLS]", mask_token="[MASK]")
    return tok, dict(names, do_lower_case=True, tokenize_chinese_chars=True, strip_accents=None), names


ROBERTA = dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>", sep_token="</s>", pad_token="<pad>", cls_token="<s>",
               mask_token="<mask>")


def add_mask(tok):
    """RoBERTa's <mask> is the last id and swallows the space before it."""
    tok.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False, special=True)])
    return dict(ROBERTA, mask_token=dict(content="<mask>", lstrip=True, normalized=False, rstrip=False, single_word=False))


def byte_bpe():
    """RoBERTa's: bytes, merged; case and spaces count, a space belongs to the word after it."""
    tok = Tokenizer(models.BPE(unk_token=None))
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=420, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    special = add_mask(tok)
    tok.post_processor = processors.RobertaProcessing(sep=("</s>", 2), cls_token=("<s>", 0), add_prefix_space=False, trim_offsets=True)
    return tok, dict(ROBERTA, add_prefix_space=False, trim_offsets=True), special


def sentencepiece_model():
    """A trained Unigram model with a small normaliser: composes é, narrows full-width letters, drops U+200B."""
    rules = {chr(0xFF01 + i): chr(0x21 + i) for i in range(94)}
    rules |= {"e\u0301": "é", "\u00a0": " ", "\t": " ", "\n": " ", "\u200b": "", "…": "..."}
    code = lambda text: " ".join(f"{ord(c):X}" for c in text)
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder, "rules.tsv")
        table.write_text("".join(f"{code(a)}\t{code(b)}\n" for a, b in sorted(rules.items())))
        out = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(CORPUS), model_writer=out, vocab_size=200, num_threads=1, minloglevel=2,
            normalization_rule_tsv=str(table))
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(out.getvalue())
    return proto


def unigram():
    """XLM-RoBERTa's: compiled normaliser, whitespace split, each word marked with a leading lower one eighth block."""
    proto = sentencepiece_model()
    pieces = [(p.piece, p.score) for p in proto.pieces if p.type == p.NORMAL]
    tok = Tokenizer(models.Unigram([(t, 0.0) for t in ("<s>", "<pad>", "</s>", "<unk>")] + pieces, unk_id=3))
    tok.normalizer = normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap)
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")])
    tok.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tok.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
    special = add_mask(tok)
    tok.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return tok, dict(ROBERTA), special


def mpnet_wordpiece():
    """MPNet's: BERT's pieces between RoBERTa's <s> and </s>."""
    tok = pieces(["<s>", "<pad>", "</s>", "[UNK]"], "[UNK]")
    names = add_mask(tok)
    tok.post_processor = processors.RobertaProcessing(sep=("</s>", 2), cls_token=("<s>", 0), add_prefix_space=False, trim_offsets=True)
    names["unk_token"] = "[UNK]"
    return tok, dict(ROBERTA, unk_token="[UNK]", do_lower_case=True, tokenize_chinese_chars=True, strip_accents=None), names


# ---- weights ---------------------------------------------------------------------------------------------------------

FAMILIES = {
    # family: (config class, tokenizer, tokenizer class, model_max_length, sizes)
    "bert": (hf.BertConfig, wordpiece, "BertTokenizer", POSITIONS, {}),
    "roberta": (hf.RobertaConfig, byte_bpe, "RobertaTokenizer", POSITIONS, dict(type_vocab_size=1, max_position_embeddings=POSITIONS + 2)),
    "xlm-roberta": (hf.XLMRobertaConfig, unigram, "XLMRobertaTokenizer", POSITIONS, dict(type_vocab_size=1, max_position_embeddings=POSITIONS + 2)),
    "mpnet": (hf.MPNetConfig, mpnet_wordpiece, "MPNetTokenizer", POSITIONS, dict(max_position_embeddings=POSITIONS + 2)),
    "distilbert": (hf.DistilBertConfig, wordpiece, "DistilBertTokenizer", POSITIONS, {}),
}
TOKENIZERS = {}


def tokenizer_of(family):
    make = FAMILIES[family][1]
    if make not in TOKENIZERS:
        TOKENIZERS[make] = make()
    return TOKENIZERS[make]


def config_of(family, **more):
    kind, _, _, _, sizes = FAMILIES[family]
    tok = tokenizer_of(family)[0]
    if family == "distilbert":
        base = dict(dim=HIDDEN, n_layers=LAYERS, n_heads=HEADS, hidden_dim=INNER, max_position_embeddings=POSITIONS)
    else:
        base = dict(hidden_size=HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=HEADS, intermediate_size=INNER,
                    max_position_embeddings=POSITIONS, layer_norm_eps=1e-5 if "roberta" in family else 1e-12)
    pad = tok.token_to_id("[PAD]")
    base["pad_token_id"] = tok.token_to_id("<pad>") if pad is None else pad
    return kind(vocab_size=tok.get_vocab_size(), **{**base, **sizes, **more})


def randomise(model, seed):
    """Weights of deviation 0.3, layer norms around 1, biases of deviation 0.2; all from one seed."""
    generator = torch.Generator().manual_seed(seed)
    for name, p in sorted(model.named_parameters()):
        noise = torch.randn(p.shape, generator=generator)
        if p.dim() > 1:
            p.data = noise * (1.0 if "relative_attention_bias" in name else 0.3)
        elif name.lower().endswith("norm.weight"):
            p.data = 1 + 0.3 * noise
        else:
            p.data = 0.2 * noise
    return model.eval()


# ---- folders ---------------------------------------------------------------------------------------------------------

def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def fresh(name):
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def write_tokenizer(folder, family, max_length=None):
    _, _, kind, length, _ = FAMILIES[family]
    tok, config, special = tokenizer_of(family)
    tok.save(str(folder / "tokenizer.json"), pretty=False)
    write_json(folder / "tokenizer_config.json", dict(config, tokenizer_class=kind, model_max_length=max_length or length))
    write_json(folder / "special_tokens_map.json", special)


def write_modules(folder, pooling="mean", normalize=False, max_seq_length=MAX):
    """What sentence-transformers 2 to 5 wrote beside the transformer."""
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")] + [("2_Normalize", "Normalize")] * normalize
    write_json(folder / "modules.json", [
        dict(idx=i, name=str(i), path=path, type=f"sentence_transformers.models.{kind}") for i, (path, kind) in enumerate(modules)])
    write_pooling(folder, pooling)
    write_json(folder / "sentence_bert_config.json", dict(max_seq_length=max_seq_length, do_lower_case=False))


def write_pooling(folder, pooling="mean"):
    write_json(folder / "1_Pooling" / "config.json", dict(
        word_embedding_dimension=HIDDEN, pooling_mode_cls_token=pooling == "cls", pooling_mode_mean_tokens=pooling == "mean",
        pooling_mode_max_tokens=pooling == "max", pooling_mode_mean_sqrt_len_tokens=False))


def numbers(array):
    """The shortest decimals that read back as the same float32."""
    return [[float(str(v)) for v in row] for row in np.asarray(array, dtype=np.float32)]


def embed(folder, normalize=False, **options):
    """Each text alone, in float32; and a padded batch must agree, and the bare tokenizer.json with the library's."""
    model = SentenceTransformer(str(folder), device="cpu", model_kwargs=dict(dtype=torch.float32))
    one = np.concatenate([model.encode([t], normalize_embeddings=normalize, **options) for t in TEXTS])
    all_ = model.encode(TEXTS, normalize_embeddings=normalize, batch_size=len(TEXTS), **options)
    assert one.dtype == np.float32 and np.isfinite(one).all()
    assert np.abs(one - all_).max() < 1e-4, np.abs(one - all_).max()
    bare = Tokenizer.from_file(str(folder / "tokenizer.json"))
    bare.enable_truncation(model.max_seq_length)
    for text in TEXTS:
        got = model.preprocess([text])["input_ids"]
        got = got[0] if isinstance(got, list) else got[0].tolist()
        assert bare.encode(text).ids == got, (folder.name, text, bare.encode(text).tokens, got)
    return one, model.max_seq_length


def expect(folder, normalize=False, **more):
    embeddings, length = embed(folder, normalize)
    write_json(folder / "expected.json", dict(max_length=length, texts=TEXTS, embeddings=numbers(embeddings), **more))
    spread = np.abs(embeddings[:, None] - embeddings[None]).max(-1)
    print(f"{folder.name}: max_length {length}, norm {np.linalg.norm(embeddings, axis=1)[3]:.3f}, nearest distinct pair differs by {spread[spread > 0].min():.3f}")


def encoder(name, family, pooling="mean", normalize=False, seed=1, max_seq_length=MAX, **config):
    """A sentence-transformers folder of one family."""
    folder = fresh(name)
    randomise(hf.AutoModel.from_config(config_of(family, **config)), seed).save_pretrained(folder)
    write_tokenizer(folder, family)
    write_modules(folder, pooling, normalize, max_seq_length)
    expect(folder)
    return folder


def bert_five_layers():
    """Five layers; `kept_embeddings` is what the first, the third and the last give without the others."""
    folder = encoder("bert-five-layers", "bert", normalize=True, seed=12, num_hidden_layers=5)
    model = SentenceTransformer(str(folder), device="cpu")
    layers = model[0].auto_model.encoder.layer
    model[0].auto_model.encoder.layer = torch.nn.ModuleList([layers[place] for place in (0, 2, 4)])
    expected = json.loads((folder / "expected.json").read_text())
    expected["kept_embeddings"] = numbers(np.concatenate([model.encode([text]) for text in TEXTS]))
    write_json(folder / "expected.json", expected)


def bert_halved(name, dtype):
    """The weights of bert-mean-normalize, stored in 16 bits; expected from those, read back and computed in 32."""
    folder = fresh(name)
    model = randomise(hf.AutoModel.from_config(config_of("bert")), 1)
    model.to(dtype).save_pretrained(folder)
    write_tokenizer(folder, "bert")
    write_modules(folder, "mean", True)
    expect(folder)


def bert_prefixed():
    """A masked language model saved whole, no sentence-transformers files: mean pooling, normalised, 64 tokens."""
    folder = fresh("bert-prefixed")
    randomise(hf.BertForMaskedLM(config_of("bert")), 5).save_pretrained(folder)
    write_tokenizer(folder, "bert")
    assert any(k.startswith("bert.encoder") for k in load_file(folder / "model.safetensors"))
    expect(folder, normalize=True)


def bert_old_names():
    """As early checkpoints have it: LayerNorm.gamma and .beta, a stored position_ids, an unbounded model_max_length."""
    folder = fresh("bert-old-names")
    model = randomise(hf.BertForMaskedLM(config_of("bert")), 6)
    model.save_pretrained(folder)
    tensors = {k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v
               for k, v in load_file(folder / "model.safetensors").items()}
    tensors["bert.embeddings.position_ids"] = torch.arange(POSITIONS).unsqueeze(0)
    save_file(tensors, folder / "model.safetensors", metadata=dict(format="pt"))
    write_tokenizer(folder, "bert", max_length=1000000000000000019884624838656)
    expect(folder, normalize=True)
    with torch.no_grad():
        tok = tokenizer_of("bert")[0].encode(TEXTS[3])
        hidden = model.bert(torch.tensor([tok.ids])).last_hidden_state.mean(1)
    want = torch.nn.functional.normalize(hidden)[0].numpy()
    got = json.loads((folder / "expected.json").read_text())["embeddings"][3]
    assert np.abs(want - got).max() < 1e-5


def e5_prompts():
    """Saved by sentence-transformers 6 itself, with prompts: its modules.json and 1_Pooling/config.json are the new form."""
    folder = encoder("e5-prompts", "bert", normalize=True, seed=7)
    model = SentenceTransformer(str(folder), device="cpu", prompts={"query": "query: ", "passage": "passage: "})
    expected = json.loads((folder / "expected.json").read_text())
    expected["query_embeddings"] = numbers(np.concatenate([model.encode([t], prompt_name="query") for t in TEXTS]))
    expected["passage_embeddings"] = numbers(np.concatenate([model.encode([t], prompt_name="passage") for t in TEXTS]))
    folder = fresh("e5-prompts")
    model.save_pretrained(str(folder), create_model_card=False)
    again = SentenceTransformer(str(folder), device="cpu")
    assert again.prompts["query"] == "query: " and again.default_prompt_name is None
    assert np.abs(again.encode(TEXTS, prompt_name="query") - expected["query_embeddings"]).max() < 1e-4
    write_json(folder / "expected.json", expected)


def score(folder):
    """Logits of each pair alone; token type ids and truncation as the tokenizer's own."""
    model = CrossEncoder(str(folder), device="cpu")
    raw = torch.nn.Identity()
    one = np.concatenate([model.predict([p], activation_fn=raw) for p in PAIRS])
    all_ = model.predict(PAIRS, activation_fn=raw, batch_size=len(PAIRS))
    assert one.shape == (len(PAIRS),) and np.abs(one - all_).max() < 1e-4
    bare = Tokenizer.from_file(str(folder / "tokenizer.json"))
    bare.enable_truncation(model.max_seq_length)
    plain = hf.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    for (a, b), logit in zip(PAIRS, one):
        e = bare.encode(a, b)
        types = {} if plain.config.model_type == "distilbert" else dict(token_type_ids=torch.tensor([e.type_ids]))
        with torch.no_grad():
            direct = plain(torch.tensor([e.ids]), attention_mask=torch.tensor([e.attention_mask]), **types).logits
        assert direct.shape == (1, 1) and abs(direct.item() - logit) < 1e-4, (folder.name, a, b, direct.item(), logit)
    scores = np.concatenate([model.predict([p]) for p in PAIRS])
    return one, scores, model.max_seq_length


def cross_encoder(name, family, seed, **config):
    """One logit for a pair. `scores` is what predict() gives with the folder's own activation (sigmoid by default)."""
    folder = fresh(name)
    model = hf.AutoModelForSequenceClassification.from_config(config_of(family, num_labels=1, **config))
    randomise(model, seed).save_pretrained(folder)
    write_tokenizer(folder, family)
    logits, scores, length = score(folder)
    write_json(folder / "expected.json", dict(
        max_length=length, pairs=PAIRS, logits=numbers([logits])[0], scores=numbers([scores])[0]))
    print(f"{name}: max_length {length}, logits {logits.min():.2f} to {logits.max():.2f}")


# ---- ONNX ------------------------------------------------------------------------------------------------------------

class Hidden(torch.nn.Module):
    """last_hidden_state alone."""
    def __init__(self, model, types=True):
        super().__init__()
        self.model, self.types = model, types

    def forward(self, input_ids, attention_mask, token_type_ids=None):
        more = dict(token_type_ids=token_type_ids) if self.types else {}
        return self.model(input_ids=input_ids, attention_mask=attention_mask, **more).last_hidden_state


class Sentence(Hidden):
    """As `optimum-cli export onnx` gives for sentence-transformers: token_embeddings, then the pooled, normalised vector."""
    def forward(self, input_ids, attention_mask, token_type_ids):
        hidden = super().forward(input_ids, attention_mask, token_type_ids)
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
        return hidden, torch.nn.functional.normalize(mean, p=2, dim=1)


class Logits(Hidden):
    def forward(self, input_ids, attention_mask, token_type_ids):
        return self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids).logits


def export(module, path, outputs, types=True):
    path.parent.mkdir(parents=True, exist_ok=True)
    names = ["input_ids", "attention_mask"] + ["token_type_ids"] * types
    ids = torch.tensor([[2, 7, 9, 8, 3], [2, 6, 3, 1, 1]])
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    inputs = (ids, mask, torch.zeros_like(ids))[: len(names)]
    axes = {n: {0: "batch_size", 1: "sequence_length"} for n in names}
    axes |= {n: {0: "batch_size"} if n in ("sentence_embedding", "logits") else {0: "batch_size", 1: "sequence_length"} for n in outputs}
    module.model.config._attn_implementation = "eager"
    torch.onnx.export(module.eval(), inputs, str(path), input_names=names, output_names=outputs, dynamic_axes=axes,
                      opset_version=17, dynamo=False)
    onnx.checker.check_model(str(path))


def run_onnx(path, folder, items, length):
    """The last output for each text or pair alone, by ONNX Runtime; a padded batch must agree."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    tok = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tok.enable_truncation(length)
    wanted = [i.name for i in session.get_inputs()]

    def run(encodings):
        feed = dict(input_ids=[e.ids for e in encodings], attention_mask=[e.attention_mask for e in encodings],
                    token_type_ids=[e.type_ids for e in encodings])
        return session.run(None, {k: np.array(feed[k], dtype=np.int64) for k in wanted})[-1]

    encode = lambda item: tok.encode(item) if isinstance(item, str) else tok.encode(*item)
    alone = [run([encode(item)])[0] for item in items]
    pad = "[PAD]" if tok.token_to_id("[PAD]") is not None else "<pad>"
    tok.enable_padding(pad_id=tok.token_to_id(pad), pad_token=pad)
    padded_batch = run(tok.encode_batch([i if isinstance(i, str) else tuple(i) for i in items]))
    for one, padded in zip(alone, padded_batch):
        assert np.abs(one - (padded[: len(one)] if one.ndim > 1 else padded)).max() < 1e-4
    return alone


def onnx_encoder(name, family, seed, file, external=False, types=True):
    """Only the graph, no safetensors; mean pooling, not normalised. Expected from torch, checked with ONNX Runtime."""
    folder = encoder(name, family, seed=seed)
    model = hf.AutoModel.from_pretrained(folder, attn_implementation="eager")
    export(Hidden(model, types), folder / file, ["last_hidden_state"], types)
    if external:
        graph = onnx.load(folder / file)
        onnx.save_model(graph, folder / file, save_as_external_data=True, all_tensors_to_one_file=True,
                        location=Path(file).name + ".data", size_threshold=256, convert_attribute=False)
        onnx.checker.check_model(str(folder / file))
    check_onnx(folder, file, lambda hidden: hidden.mean(0))


def check_onnx(folder, file, finish):
    (folder / "model.safetensors").unlink()
    expected = json.loads((folder / "expected.json").read_text())
    got = np.stack([finish(v) for v in run_onnx(folder / file, folder, TEXTS, expected["max_length"])])
    assert np.abs(got - expected["embeddings"]).max() < 1e-4, np.abs(got - expected["embeddings"]).max()
    print(f"  {folder.name}/{file}: ONNX Runtime agrees within {np.abs(got - expected['embeddings']).max():.1e}")


def onnx_sentence_embedding():
    folder = encoder("onnx-sentence-embedding", "bert", normalize=True, seed=22)
    model = hf.AutoModel.from_pretrained(folder, attn_implementation="eager")
    export(Sentence(model), folder / "model.onnx", ["token_embeddings", "sentence_embedding"])
    check_onnx(folder, "model.onnx", lambda vector: vector)


def onnx_cross_encoder():
    cross_encoder("onnx-cross-encoder", "bert", 25)
    folder = HERE / "onnx-cross-encoder"
    model = hf.AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager")
    export(Logits(model), folder / "model.onnx", ["logits"])
    (folder / "model.safetensors").unlink()
    expected = json.loads((folder / "expected.json").read_text())
    got = np.concatenate(run_onnx(folder / "model.onnx", folder, PAIRS, expected["max_length"]))
    assert np.abs(got - expected["logits"]).max() < 1e-4


def onnx_escaping():
    """A model whose weights claim to lie outside its folder. It must be refused; there is no such file."""
    folder = fresh("onnx-escaping")
    write_tokenizer(folder, "bert")
    config_of("bert").save_pretrained(folder)
    table = onnx.TensorProto(name="table", data_type=onnx.TensorProto.FLOAT, dims=[300, HIDDEN],
                             data_location=onnx.TensorProto.EXTERNAL)
    for key, value in (("location", "../../outside.bin"), ("offset", "0"), ("length", str(300 * HIDDEN * 4))):
        table.external_data.add(key=key, value=value)
    ids = onnx.helper.make_tensor_value_info("input_ids", onnx.TensorProto.INT64, ["batch_size", "sequence_length"])
    out = onnx.helper.make_tensor_value_info("last_hidden_state", onnx.TensorProto.FLOAT, ["batch_size", "sequence_length", HIDDEN])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])],
                                   "escaping", [ids], [out], [table])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    (folder / "model.onnx").write_bytes(model.SerializeToString())


ALL = {
    "bert-mean-normalize": lambda: encoder("bert-mean-normalize", "bert", normalize=True),
    "bert-cls": lambda: encoder("bert-cls", "bert", "cls", True, seed=2, max_seq_length=64),
    "bert-max": lambda: encoder("bert-max", "bert", "max", seed=3, max_seq_length=None),
    "bert-five-layers": bert_five_layers,
    "bert-fp16": lambda: bert_halved("bert-fp16", torch.float16),
    "bert-bf16": lambda: bert_halved("bert-bf16", torch.bfloat16),
    "bert-prefixed": bert_prefixed,
    "bert-old-names": bert_old_names,
    "bert-gelu-new": lambda: encoder("bert-gelu-new", "bert", seed=8, hidden_act="gelu_new"),
    "bert-relu": lambda: encoder("bert-relu", "bert", seed=9, hidden_act="relu"),
    "roberta-mean": lambda: encoder("roberta-mean", "roberta", seed=10),
    "xlm-roberta-mean": lambda: encoder("xlm-roberta-mean", "xlm-roberta", seed=11),
    "distilbert-mean": lambda: encoder("distilbert-mean", "distilbert", seed=12),
    "mpnet-mean": lambda: encoder("mpnet-mean", "mpnet", normalize=True, seed=13),
    "e5-prompts": e5_prompts,
    "bert-cross-encoder": lambda: cross_encoder("bert-cross-encoder", "bert", 14),
    "roberta-cross-encoder": lambda: cross_encoder("roberta-cross-encoder", "roberta", 15),
    "distilbert-cross-encoder": lambda: cross_encoder("distilbert-cross-encoder", "distilbert", 16),
    "xlm-roberta-cross-encoder": lambda: cross_encoder("xlm-roberta-cross-encoder", "xlm-roberta", 17),
    "onnx-last-hidden": lambda: onnx_encoder("onnx-last-hidden", "bert", 21, "onnx/model.onnx"),
    "onnx-sentence-embedding": onnx_sentence_embedding,
    "onnx-no-token-types": lambda: onnx_encoder("onnx-no-token-types", "roberta", 23, "model.onnx", types=False),
    "onnx-external": lambda: onnx_encoder("onnx-external", "bert", 24, "model.onnx", external=True),
    "onnx-cross-encoder": onnx_cross_encoder,
    "onnx-escaping": onnx_escaping,
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sys.argv[1:] or ALL:
        ALL[name]()
