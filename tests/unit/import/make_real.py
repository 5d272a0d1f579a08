#!/usr/bin/python3
"""The real weights in other layouts, for test_import_oracle: make_real.py FOLDER SHARED

resnet50_keras_old.h5  old names under model_weights, by SHARED/models/convert.py
tfjs_real/             a TensorFlow.js layers model with the old names and an epsilon of 1e-3, in shards of 4 MiB
"""
import importlib.util
import os
import sys

sys.dont_write_bytecode = True
import h5py

from make_models import tfjs


def main(folder, shared):
    spec = importlib.util.spec_from_file_location("convert", os.path.join(shared, "models", "convert.py"))
    convert = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(convert)
    old = os.path.join(folder, "resnet50_keras_old.h5")
    convert.old_keras(old, convert.read())
    weights = []
    with h5py.File(old, "r") as f:
        for layer, group in f["model_weights"].items():
            for path in group.attrs["weight_names"]:
                value = group[path][()]
                weights.append(({"name": path.decode().split(":")[0], "shape": list(value.shape), "dtype": "float32"},
                                value.tobytes()))
    tfjs(folder, "tfjs_real", shard=4 << 20, weights=weights)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
