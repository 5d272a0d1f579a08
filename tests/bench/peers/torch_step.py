#!/usr/bin/env python3
"""PyTorch, frozen and optimised for inference; one sample for each line on stdin.
"BATCH THREADS SECONDS" -> {"images_per_s", "best_images_per_s"}; usage: torch_step.py v1|v1.5"""
import json
import sys
import time

import torch
import torchvision


def network(layout):
    model = torchvision.models.resnet50()
    if layout == "v1":  # the stride in the first 1x1 of a stage, as Keras has it
        for module in model.modules():
            if isinstance(module, torchvision.models.resnet.Bottleneck):
                module.conv1.stride, module.conv2.stride = module.conv2.stride, (1, 1)
    for module in model.modules():  # statistics of one batch: random weights decay into no denormals
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    model.train()
    with torch.no_grad():
        model(torch.randn(4, 3, 224, 224))
    return model.eval()


torch.manual_seed(1)
torch.set_flush_denormal(True)
started = time.monotonic()
with torch.no_grad():
    traced = torch.jit.trace(network(sys.argv[1]), torch.randn(1, 3, 224, 224))
    traced = torch.jit.optimize_for_inference(torch.jit.freeze(traced))
print(json.dumps({"ready": True, "version": torch.__version__, "load_ms": 1e3 * (time.monotonic() - started)}), flush=True)
inputs = {}
for line in sys.stdin:
    batch, threads, seconds = int(line.split()[0]), int(line.split()[1]), float(line.split()[2])
    torch.set_num_threads(threads)
    with torch.no_grad():
        if batch not in inputs:
            inputs[batch] = torch.randn(batch, 3, 224, 224)
            for _ in range(2):
                traced(inputs[batch])
        best, runs, started = float("inf"), 0, time.monotonic()
        ended = started
        while runs == 0 or ended - started < seconds:
            before = ended
            traced(inputs[batch])
            ended = time.monotonic()
            best = min(best, ended - before)
            runs += 1
    print(json.dumps({"images_per_s": runs * batch / (ended - started), "best_images_per_s": batch / best}), flush=True)
