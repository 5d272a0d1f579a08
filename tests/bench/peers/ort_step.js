#!/usr/bin/env node
/* ONNX Runtime, one sample for each line on stdin: "BATCH THREADS SECONDS" -> {"images_per_s","best_images_per_s"}.
 *   ORT_DIR=FOLDER node ort_step.js MODEL.onnx BATCHES THREADS
 * Sessions are made once; inputs are dense noise at the scale of pixels; denormals are flushed, as imgq does. */
'use strict';
const ort = require(require.resolve('onnxruntime-node', { paths: [process.env.ORT_DIR || '.', process.cwd()] }));
const version = require(require.resolve('onnxruntime-node/package.json', { paths: [process.env.ORT_DIR || '.'] })).version;
const readline = require('readline');

const [model, batches, threads] = process.argv.slice(2);
const now = () => Number(process.hrtime.bigint()) / 1e6;

function noise(n) {
  const values = new Float32Array(n);
  let state = 12345;
  for (let i = 0; i < n; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values[i] = (state / 2147483648 - 1) * 120;
  }
  return values;
}

(async () => {
  const sessions = {}, feeds = {};
  let load = 0, first = 0;
  for (const t of threads.split(',')) {
    const started = now();
    sessions[t] = await ort.InferenceSession.create(model, {
      executionProviders: ['cpu'], intraOpNumThreads: +t, interOpNumThreads: 1, executionMode: 'sequential',
      graphOptimizationLevel: 'all', enableCpuMemArena: true, enableMemPattern: true, logSeverityLevel: 3,
      extra: { session: { intra_op: { allow_spinning: '1' }, set_denormal_as_zero: '1' } },
    });
    load = load || now() - started;
  }
  for (const b of batches.split(',')) {
    feeds[b] = { [Object.values(sessions)[0].inputNames[0]]: new ort.Tensor('float32', noise(b * 3 * 224 * 224), [+b, 3, 224, 224]) };
    for (const t of Object.keys(sessions)) {
      const started = now();
      await sessions[t].run(feeds[b]);
      first = first || now() - started;
      await sessions[t].run(feeds[b]); // memory patterns are settled after the second
    }
  }
  console.log(JSON.stringify({ ready: true, version, load_ms: load, first_run_ms: first }));
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [b, t, seconds] = line.split(' ');
    const started = now();
    let ended = started, runs = 0, best = Infinity;
    do {
      const before = ended;
      await sessions[t].run(feeds[b]);
      ended = now();
      best = Math.min(best, ended - before);
      runs++;
    } while (ended - started < +seconds * 1000);
    console.log(JSON.stringify({ images_per_s: runs * b * 1000 / (ended - started), best_images_per_s: b * 1000 / best }));
  }
})().catch((error) => { console.error(String(error)); process.exit(1); });
