"""Who is compared: imgq's engines and other people's, each a process that runs one short sample when asked, and the
rounds in which they take turns."""
import json
import os
import platform
import re
import select
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
START_SECONDS = 90  # until a contender has loaded and run once


class Missing(Exception):
    """Why a contender is not there."""


def model_arguments(args, layout):
    arguments = ["--model", args.model]
    if layout == "v1.5":
        arguments += ["--layout", "v1.5", "--bn-eps", "1e-5", "--profile", "torchvision"]
    return arguments


class Stepper:
    """A process that answers each line with one JSON line."""

    def __init__(self, command, env=None, ready=lambda answer: "ready" in answer):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
                                        env=dict(os.environ, **(env or {})))
        self.hello = []
        while True:
            answer = self.read()
            self.hello.append(answer)
            if ready(answer):
                break

    def read(self):
        if not select.select([self.process.stdout], [], [], START_SECONDS)[0]:
            self.close()
            raise Missing("no answer within %d s" % START_SECONDS)
        line = self.process.stdout.readline()
        if not line:
            said = self.process.stderr.read().decode(errors="replace").strip().splitlines()
            self.close()
            raise Missing(said[-1] if said else "it ended with code %s" % self.process.returncode)
        return json.loads(line)

    def ask(self, line):
        self.process.stdin.write((line + "\n").encode())
        self.process.stdin.flush()
        return self.read()

    def close(self):
        for stream in (self.process.stdin, self.process.stdout):
            try:
                stream.close()
            except OSError:
                pass
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Imgq:
    """Engines and precisions of imgq under one mask, in one process, so that they share their model."""

    def __init__(self, args, engine, precision, isa=None):
        command = [os.path.join(args.build, "bin", "imgq-bench"), "--step", "--format", "json", "--rounds", "1",
                   "--seconds", str(args.seconds), "--batch", ",".join(map(str, args.batch)),
                   "--threads", ",".join(map(str, args.threads)), "--engine", engine,
                   "--precision", precision] + (["--isa", isa] if isa else []) + model_arguments(args, args.layout)
        self.stepper = Stepper(command, ready=lambda answer: "ready" in answer and answer["ready"] is None)
        self.points = {}
        for hello in self.stepper.hello[:-1]:
            # What a precision became counts, not what was asked for: twice the same is one contender.
            name = "imgq %s %s%s" % (hello["engine"], hello["precision"], " " + hello["isa"] if isa else "")
            self.points.setdefault((name, hello["batch"], hello["threads"]), hello["ready"])
        self.names = list(dict.fromkeys(name for name, _, _ in self.points))

    def sample(self, name, batch, threads):
        return self.stepper.ask(str(self.points[name, batch, threads]))

    def close(self):
        """The report of the whole run."""
        self.stepper.process.stdin.close()
        text = self.stepper.process.stdout.read()
        self.stepper.close()
        return json.loads(text)


class StepPeer:
    def __init__(self, args, command, env=None):
        self.seconds = args.seconds
        self.stepper = Stepper(command, env)
        self.about = {key: value for key, value in self.stepper.hello[-1].items() if key != "ready"}

    def sample(self, batch, threads):
        return self.stepper.ask("%d %d %g" % (batch, threads, self.seconds))

    def close(self):
        self.stepper.close()


class RunPeer:
    """A program that is started for each sample and prints "best … img/s … med … img/s"."""

    def __init__(self, args, arguments):
        self.seconds, self.arguments, self.about = args.seconds, arguments, {}
        self.sample(min(args.batch), min(args.threads))

    def sample(self, batch, threads):
        command, env = self.arguments(batch, threads, self.seconds)
        done = subprocess.run(command, env=dict(os.environ, **env), capture_output=True, text=True)
        found = re.search(r"best [0-9.]+ ms ([0-9.]+) img/s +med ([0-9.]+) img/s", done.stdout)
        if done.returncode != 0 and found is None or found is None:
            raise Missing("%s: %s" % (command[0], (done.stdout + done.stderr).strip()[:200]))
        self.about["version"] = done.stdout.split(":")[0].split(" N=")[0]
        return {"images_per_s": float(found.group(2)), "best_images_per_s": float(found.group(1))}

    def close(self):
        pass


def shared(args, *names):
    path = os.path.join(args.shared, *names)
    if not os.path.exists(path):
        raise Missing("%s is not there" % path)
    return path


def compiled(args, source, name, *flags):
    """The program made of a source beside the prototype."""
    path, program = shared(args, "bench", "prototype", source), os.path.join(args.peers, name)
    if not os.path.exists(program) or os.path.getmtime(program) < os.path.getmtime(path):
        done = subprocess.run(["gcc", "-w", "-fopenmp", "-o", program, path] + list(flags) + ["-lm"],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise Missing("it cannot be compiled: " + (done.stderr.strip().splitlines() or ["?"])[0])
    return program


def make_ort(args):
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise Missing("node and npm are not installed")
    folder = os.path.join(args.peers, "ort")
    model = os.path.join(folder, "resnet50_v1.onnx" if args.layout == "v1" else "resnet50_v15.onnx")
    if not os.path.exists(model) or not os.path.isdir(os.path.join(folder, "node_modules", "onnxruntime-node")):
        done = subprocess.run([shared(args, "bench", "ort", "setup"), folder], capture_output=True, text=True)
        if done.returncode != 0 or not os.path.exists(model):
            raise Missing("its setup failed: " + (done.stderr.strip().splitlines() or ["?"])[-1])
    return StepPeer(args, ["node", os.path.join(HERE, "peers", "ort_step.js"), model,
                           ",".join(map(str, args.batch)), ",".join(map(str, args.threads))], {"ORT_DIR": folder})


def make_onednn(args, how):
    program = compiled(args, "onednn.c", "onednn", "-O2", "-ldnnl")
    v15 = str(int(args.layout != "v1"))
    return RunPeer(args, lambda batch, threads, seconds: (
        [program, str(batch), str(threads), v15, "f32", how, "0", str(seconds)], {"OMP_NUM_THREADS": str(threads)}))


def make_torch(args):
    return StepPeer(args, ["/usr/bin/python3", os.path.join(HERE, "peers", "torch_step.py"), args.layout])


def make_prototype(args):
    if "avx512f" not in open("/proc/cpuinfo").read():
        raise Missing("this processor has no AVX-512")
    program = compiled(args, "net4.c", "prototype", "-O3", "-march=native")
    v15 = str(int(args.layout != "v1"))
    return RunPeer(args, lambda batch, threads, seconds: (
        [program, str(batch), str(threads), v15, "106" if batch == 1 else "170", str(seconds)],
        {"ABLK": "1000000", "PERIMG": "2"}))


PEERS = {"ort": make_ort, "onednn-direct": lambda args: make_onednn(args, "direct"),
         "onednn-winograd": lambda args: make_onednn(args, "wino"), "pytorch": make_torch, "prototype": make_prototype}


# ---- a run ----

def machine():
    text = open("/proc/cpuinfo").read()
    name = re.search(r"model name\s*: (.*)", text)
    flags = set((re.search(r"flags\s*: (.*)", text) or re.match("()", "")).group(1).split())
    return {"cpu": name.group(1) if name else platform.machine(), "cores": os.cpu_count(),
            "kernel": platform.release(), "load": os.getloadavg()[0],
            "features": [f for f in ("avx2", "fma", "avx512f", "avx512_bf16", "avx512_fp16", "amx_bf16") if f in flags]}


def common_arguments(parser):
    parser.add_argument("--without", action="append", default=[], choices=sorted(PEERS), help="a peer to leave out")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--peers", default=os.environ.get("IMGQ_PEERS"),
                        help="the folder of `./dev peers` (environment IMGQ_PEERS; default: build/peers)")
    parser.add_argument("--model", help="default: the shared folder's Keras weights")


def complete(args):
    """Folders that were not said."""
    args.shared = os.environ.get("IMGQ_SHARED", os.path.join(os.path.dirname(ROOT), "shared"))
    args.peers = args.peers or os.path.join(args.build, "peers")
    args.model = args.model or os.path.join(args.shared, "models", "resnet50_keras.h5")
    os.makedirs(args.peers, exist_ok=True)
    return args


def open_peers(args, missing):
    peers = {}
    for name, make in PEERS.items():
        if name in args.without:
            missing[name] = "left out by --without"
            continue
        try:
            peers[name] = make(args)
        except (Missing, OSError) as why:
            missing[name] = str(why)
    return peers


def measure(args, imgqs, peers, samples, rounds, first=0, until=None):
    """Rounds in turns. @param until: no round begins that would end after this time.monotonic() @return rounds done"""
    who = {name: imgq for imgq in imgqs for name in imgq.names}
    contenders, longest = list(who) + list(peers), 0
    for turn in range(first, first + rounds):
        started = time.monotonic()
        if until is not None and started + longest > until and turn > first:
            return turn - first
        for batch in args.batch:
            for threads in args.threads:
                # Every other round in the opposite order: who runs after whom must not matter.
                for name in contenders if turn % 2 == 0 else contenders[::-1]:
                    answer = peers[name].sample(batch, threads) if name in peers else who[name].sample(name, batch, threads)
                    samples.setdefault((name, batch, threads), []).append(answer)
        longest = max(longest, time.monotonic() - started)
        print("round %d of %d" % (turn + 1, first + rounds), file=sys.stderr, flush=True)
    return rounds


def figures(samples):
    out = {}
    for (name, batch, threads), answers in samples.items():
        out[name, batch, threads] = {
            "best": max(answer["best_images_per_s"] for answer in answers),
            "median": statistics.median(answer["images_per_s"] for answer in answers),
            "samples": [round(answer["images_per_s"], 4) for answer in answers]}
    return out
