#!/usr/bin/python3
"""Writes small model files, right and wrong, for test_import: make_models.py FOLDER

The readers know no network, so a layer or two is enough for them; network*.h5 are whole networks of zeros, which HDF5
compresses to almost nothing. Needs python3-h5py python3-numpy.
"""
import hashlib
import json
import os
import struct
import sys

import h5py
import numpy as np

KINDS = ("gamma", "beta", "moving_mean", "moving_variance")
BLOCKS = (3, 4, 6, 3)


def numbers(*shape):
    """0.5, 1.5, 2.5, ...: every float16 and float32 holds them"""
    return (np.arange(np.prod(shape), dtype=np.float32) + 0.5).reshape(shape)


def small():
    """layer -> variable -> array"""
    return {
        "input_1": {},
        "conv1_conv": {"kernel": numbers(2, 2, 3, 4), "bias": numbers(4)},
        "conv1_bn": {kind: numbers(4) for kind in KINDS},
        "probs": {"kernel": numbers(4, 5), "bias": numbers(5)},
    }


def old_names(layers):
    names = {"conv1_conv": "conv1", "conv1_bn": "bn_conv1", "probs": "fc1000"}
    return {names.get(layer, layer): variables for layer, variables in layers.items()}


def put(group, layers, spell=lambda layer, kind: f"{layer}/{kind}:0", texts=lambda t: np.array([x.encode() for x in t]),
        **options):
    """as Keras writes them: texts makes an attribute's value of a list, options go to create_dataset"""
    group.attrs["layer_names"] = texts(list(layers))
    for layer, variables in layers.items():
        inner = group.create_group(layer)
        inner.attrs["weight_names"] = texts([spell(layer, k) for k in variables]) if variables else np.array([])
        for kind, value in variables.items():
            inner.create_dataset(spell(layer, kind), data=value, **options)


def variable_texts(texts):
    return np.array(texts, dtype=h5py.string_dtype())


def config(layers, kind="Model"):
    return json.dumps({"class_name": kind, "config": {"name": "m", "layers": layers}})


def layer(kind, name, **more):
    return {"class_name": kind, "name": name, "config": dict(more, name=name), "inbound_nodes": []}


def stem(eps=1e-3, first=2, second=1, **more):
    return [layer("InputLayer", "input_1", batch_input_shape=[None, 224, 224, 3]),
            layer("BatchNormalization", "bn_conv1", epsilon=eps),
            layer("Conv2D", "res3a_branch2a", strides=[first, first]),
            layer("Conv2D", "res3a_branch2b", strides=[second, second]),
            layer("Dense", "fc1000", activation="softmax")]


def h5(folder, name):
    return h5py.File(os.path.join(folder, name), "w")


def write_good(folder):
    with h5(folder, "flat.h5") as f:
        put(f, small())
    with h5(folder, "whole.h5") as f:
        f.attrs["model_config"] = config(stem())
        put(f.create_group("model_weights"), old_names(small()), texts=variable_texts, chunks=True, compression="gzip",
            shuffle=True, fletcher32=True)
    with h5(folder, "keras1.h5") as f:
        kinds = {"kernel": "W", "bias": "b", "moving_mean": "running_mean", "moving_variance": "running_std"}
        put(f, old_names(small()), spell=lambda layer, kind: f"{layer}_{kinds.get(kind, kind)}:0")
    with h5(folder, "keras3.h5") as f:
        layers = small()
        layers["dropout"] = {"seed_generator_state": np.zeros(2, np.uint32)}
        put(f.create_group("model_weights"), layers, spell=lambda layer, kind: f"{layer}/{kind}")
    with h5(folder, "split.h5") as f:
        put(f, small())
        names = f.attrs["layer_names"]
        del f.attrs["layer_names"]
        f.attrs["layer_names0"], f.attrs["layer_names1"] = names[:3], names[3:]
    with h5(folder, "nested.h5") as f:
        layers = small()
        base = {f"{layer}/{kind}": value for layer, v in layers.items() if layer != "probs" for kind, value in v.items()}
        put(f.create_group("model_weights"), {"resnet50": base, "my_head": layers["probs"]},
            spell=lambda layer, kind: f"{kind}:0" if "/" in kind else f"{layer}/{kind}:0")
        inner = layer("Model", "resnet50", layers=stem(eps=1e-4, first=1, second=2)[:-1])
        f.attrs["model_config"] = config([inner, layer("Dense", "my_head", activation="linear")], "Sequential")
    for dtype in ("f2", "f8", ">f4"):
        with h5(folder, f"{dtype.strip('>')}{'be' if '>' in dtype else ''}.h5") as f:
            put(f, {k: {n: a.astype(dtype) for n, a in v.items()} for k, v in small().items()})
    with h5py.File(os.path.join(folder, "userblock.h5"), "w", userblock_size=1024) as f:
        put(f, small())


def write_bad(folder):
    whole = open(os.path.join(folder, "flat.h5"), "rb").read()
    open(os.path.join(folder, "truncated.h5"), "wb").write(whole[:len(whole) // 2])
    open(os.path.join(folder, "garbage.h5"), "wb").write(whole[:8] + bytes(range(256)) * 16)
    open(os.path.join(folder, "empty.h5"), "wb").close()
    open(os.path.join(folder, "pointer.h5"), "w").write(
        "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 102892512\n")
    open(os.path.join(folder, "page.h5"), "w").write("<!DOCTYPE html>\n<html><body>404</body></html>\n")
    with h5(folder, "no_keras.h5") as f:
        f["x"] = numbers(3)
    with h5(folder, "no_weights.h5") as f:
        put(f, {"input_1": {}, "zero_padding2d": {}})
    with h5(folder, "weights3.h5") as f:
        f.create_group("layers/conv2d/vars")
    with h5(folder, "missing_layer.h5") as f:
        put(f, small())
        del f["conv1_bn"]
    with h5(folder, "missing_tensor.h5") as f:
        put(f, small())
        del f["conv1_conv/conv1_conv/bias:0"]
    with h5(folder, "missing_names.h5") as f:
        put(f, small())
        del f["probs"].attrs["weight_names"]
    with h5(folder, "integers.h5") as f:
        put(f, {"conv1_conv": {"kernel": np.zeros((1, 1, 2, 2), np.int8)}})
    with h5(folder, "external_link.h5") as f:
        put(f, small())
        del f["conv1_conv/conv1_conv/bias:0"]
        f["conv1_conv/conv1_conv/bias:0"] = h5py.ExternalLink("flat.h5", "conv1_conv/conv1_conv/bias:0")
    with h5(folder, "external_bytes.h5") as f:
        put(f, small())
        del f["conv1_conv/conv1_conv/bias:0"]
        f.create_dataset("conv1_conv/conv1_conv/bias:0", (4,), "f4", external=[("flat.h5", 0, 16)])
    with h5(folder, "huge.h5") as f:  # 4 TiB that are nowhere
        f.attrs["layer_names"] = np.array([b"probs"])
        f.create_group("probs").attrs["weight_names"] = np.array([b"probs/kernel:0"])
        f.create_dataset("probs/probs/kernel:0", (1 << 20, 1 << 20), "f4", chunks=(1, 1 << 16))
    with h5(folder, "twice.h5") as f:
        put(f, {"conv1_conv": {"kernel": numbers(4)}, "a": {}})
        f["a"].attrs["weight_names"] = np.array([b"conv1_conv/kernel:0"])
        f["a/conv1_conv/kernel:0"] = numbers(4)
    for name, layers in (
            ("lambda", stem() + [layer("Lambda", "prepare")]),
            ("sigmoid", stem()[:-1] + [layer("Dense", "fc1000", activation="sigmoid")]),
            ("two_eps", stem() + [layer("BatchNormalization", "bn2", epsilon=1e-5)]),
            ("huge_eps", stem(eps=1e300)),
            ("no_eps", stem(eps=-1e-3)),
            ("strides", stem(first=2, second=2)),
            ("side", [layer("InputLayer", "input_1", batch_input_shape=[None, 299, 299, 3])]),
            ("no_layers", [])):
        with h5(folder, f"config_{name}.h5") as f:
            f.attrs["model_config"] = config(layers)
            put(f.create_group("model_weights"), small())
    with h5(folder, "config_broken.h5") as f:
        f.attrs["model_config"] = "{\"class_name\": "
        put(f.create_group("model_weights"), small())


def tfjs(folder, name, shard=40, weights=None, edit=None, shards=None, **top):
    """A layers model of small(), cut into shards of so many bytes"""
    path = os.path.join(folder, name)
    os.makedirs(path)
    if weights is None:
        weights = [({"name": f"{layer}/{kind}", "shape": list(a.shape), "dtype": "float32"}, a.tobytes())
                   for layer, v in old_names(small()).items() for kind, a in v.items()]
    blob = b"".join(data for _, data in weights)
    parts = [blob[at:at + shard] for at in range(0, len(blob), shard)]
    names = [f"group1-shard{i + 1}of{len(parts)}.bin" for i in range(len(parts))]
    for file, part in zip(names, parts):
        open(os.path.join(path, file), "wb").write(part)
    model = {"format": "layers-model", "modelTopology": {"model_config": json.loads(config(stem()))},
             "weightsManifest": [{"paths": names, "weights": [w for w, _ in weights]}]}
    model.update(top)
    if edit:
        edit(model, path)
    open(os.path.join(path, "model.json"), "w").write(json.dumps(model))


def write_tfjs(folder):
    def set_path(value):
        return lambda model, path: model["weightsManifest"][0]["paths"].__setitem__(1, value)

    def shard_path(path):
        return os.path.join(path, [f for f in sorted(os.listdir(path)) if "shard2of" in f][0])

    def cut_last(model, path):
        last = os.path.join(path, model["weightsManifest"][0]["paths"][-1])
        data = open(last, "rb").read()
        open(last, "wb").write(data[:-4])

    def one(**more):
        return [(dict({"name": "conv1/kernel", "shape": [4], "dtype": "float32"}, **more), numbers(4).tobytes())]

    tfjs(folder, "tfjs")
    tfjs(folder, "tfjs_one_shard", shard=1 << 20)
    tfjs(folder, "tfjs_many_shards", shard=4096, weights=[
        ({"name": "conv1/kernel", "shape": [1, 1, 300, 1024], "dtype": "float32"}, numbers(300 * 1024).tobytes())])
    tfjs(folder, "tfjs_quantised", weights=[
        ({"name": "conv1/kernel", "shape": [2, 2], "dtype": "float32",
          "quantization": {"dtype": "uint8", "min": -1.5, "scale": 0.25}}, bytes([0, 1, 4, 255])),
        ({"name": "conv1/bias", "shape": [3], "dtype": "float32",
          "quantization": {"dtype": "uint16", "min": 1, "scale": 0.5}}, struct.pack("<3H", 0, 3, 65535)),
        ({"name": "bn_conv1/gamma", "shape": [2], "dtype": "float32",
          "quantization": {"dtype": "float16", "original_dtype": "float32"}}, struct.pack("<2e", 1.5, -2)),
        ({"name": "bn_conv1/beta", "shape": [1], "dtype": "float32"}, struct.pack("<f", 7.25))], shard=7)
    tfjs(folder, "tfjs_missing", edit=lambda model, path: os.remove(shard_path(path)))
    tfjs(folder, "tfjs_short", edit=cut_last)
    tfjs(folder, "tfjs_long", edit=lambda model, path: open(shard_path(path), "ab").write(bytes(1000)))
    tfjs(folder, "tfjs_pointer", edit=lambda model, path: open(shard_path(path), "w").write(
        "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 4194304\n"))
    tfjs(folder, "tfjs_parent", edit=set_path("../flat.h5"))
    tfjs(folder, "tfjs_hidden_parent", edit=set_path("a/../../flat.h5"))
    tfjs(folder, "tfjs_root", edit=set_path("/etc/hostname"))
    tfjs(folder, "tfjs_number", edit=set_path(7))
    tfjs(folder, "tfjs_lines", edit=set_path("/a\nb\x1b[31m"))
    tfjs(folder, "tfjs_graph", format="graph-model")
    tfjs(folder, "tfjs_no_manifest", edit=lambda model, path: model.pop("weightsManifest"))
    tfjs(folder, "tfjs_empty", weights=[])
    tfjs(folder, "tfjs_integers", weights=one(dtype="int32"))
    tfjs(folder, "tfjs_odd", weights=one(quantization={"dtype": "uint4", "min": 0, "scale": 1}))
    tfjs(folder, "tfjs_no_scale", weights=one(quantization={"dtype": "uint8"}))
    tfjs(folder, "tfjs_shape", weights=one(shape=[2.5]))
    tfjs(folder, "tfjs_huge", weights=one(shape=[1 << 30, 1 << 30]))
    tfjs(folder, "tfjs_lambda", modelTopology=json.loads(config([layer("Lambda", "prepare")])))
    os.makedirs(os.path.join(folder, "tfjs_page"))
    open(os.path.join(folder, "tfjs_page", "model.json"), "w").write("<html>not found</html>")
    os.makedirs(os.path.join(folder, "nothing"))


def network():
    """the whole of ResNet-50 v1 with 4 classes, every weight 0, every variance 1"""
    layers = {}

    def pair(name, side, channels, filters):
        layers[name + "_conv"] = {"kernel": np.zeros((side, side, channels, filters), np.float32),
                                  "bias": np.zeros(filters, np.float32)}
        layers[name + "_bn"] = {kind: np.full(filters, kind == "moving_variance", np.float32) for kind in KINDS}

    pair("conv1", 7, 3, 64)
    channels = 64
    for stage, count in enumerate(BLOCKS):
        width = 64 << stage
        for block in range(count):
            name = f"conv{stage + 2}_block{block + 1}_"
            if block == 0:
                pair(name + "0", 1, channels, 4 * width)
            pair(name + "1", 1, channels, width)
            pair(name + "2", 3, width, width)
            pair(name + "3", 1, width, 4 * width)
            channels = 4 * width
    layers["probs"] = {"kernel": np.zeros((2048, 4), np.float32), "bias": np.array([0, 1, 2, 3], np.float32)}
    return layers


def write_networks(folder):
    options = dict(chunks=True, compression="gzip", compression_opts=1)
    layers = network()
    with h5(folder, "network.h5") as f:
        put(f, layers, **options)
    with h5(folder, "network_nan.h5") as f:
        bad = dict(layers, conv3_block2_1_bn=dict(layers["conv3_block2_1_bn"], gamma=np.full(128, np.nan, np.float32)))
        put(f, bad, **options)
    with h5(folder, "network_shape.h5") as f:
        bad = dict(layers, conv3_block2_2_conv={"kernel": np.zeros((3, 3, 128, 64), np.float32),
                                                "bias": np.zeros(64, np.float32)})
        put(f, bad, **options)
    with h5(folder, "network_missing.h5") as f:
        put(f, {k: v for k, v in layers.items() if k != "conv4_block6_3_bn"}, **options)
    with h5(folder, "network_extra.h5") as f:
        put(f, dict(layers, conv6_conv={"kernel": numbers(1, 1, 2, 2)}), **options)


def write_expected(folder):
    def text(name, value):
        open(os.path.join(folder, "expected", name), "w").write(value)

    def content(name):
        return open(os.path.join(folder, name), "rb").read()

    os.makedirs(os.path.join(folder, "expected"))
    text("truncated", f"<>/truncated.h5 is truncated: {len(content('truncated.h5'))} of {len(content('flat.h5'))} "
                      "bytes are there")
    text("flat_sha256", hashlib.sha256(content("flat.h5")).hexdigest())
    paths = json.loads(content("tfjs/model.json"))["weightsManifest"][0]["paths"]
    text("tfjs_sha256", hashlib.sha256(b"".join(content(f"tfjs/{n}") for n in ["model.json"] + paths)).hexdigest())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    os.makedirs(sys.argv[1], exist_ok=True)
    write_good(sys.argv[1])
    write_bad(sys.argv[1])
    write_tfjs(sys.argv[1])
    write_networks(sys.argv[1])
    write_expected(sys.argv[1])
