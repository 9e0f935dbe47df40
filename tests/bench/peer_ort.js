// ONNX Runtime's side of compare.py: peer_ort.js FOLDER THREADS.
//
// Commands, a line each, answered by a line; KIND is "batch" or "identity", a network that does nothing:
//
//     run KIND BATCH N          microseconds of N runs
//     output KIND BATCH PATH    the output to PATH, as floats
'use strict';
const fs = require('fs');
const path = require('path');
const readline = require('readline');
const ort = require('onnxruntime-node'); // found by NODE_PATH

const [folder, threads] = process.argv.slice(2);
const shape = JSON.parse(fs.readFileSync(path.join(folder, 'spec.json'))).inputs[0].shape.slice(1);
const images = new Float32Array(new Uint8Array(fs.readFileSync(path.join(folder, 'images'))).buffer);
const sessions = new Map();

async function session(kind, batch) {
    const file = path.join(folder, `${kind}${batch}.onnx`);
    if (!sessions.has(file)) {
        sessions.set(file, await ort.InferenceSession.create(file, {
            graphOptimizationLevel: 'all',
            executionMode: 'sequential',
            intraOpNumThreads: Number(threads),
            interOpNumThreads: 1,
        }));
    }
    return sessions.get(file);
}

async function answer(line) {
    const [command, kind, batch, argument] = line.split(' ');
    const net = await session(kind, batch);
    const size = shape.reduce((a, b) => a * b, Number(batch));
    const name = net.inputNames[0];
    const feeds = {[name]: new ort.Tensor('float32', images.subarray(0, size), [Number(batch), ...shape])};
    if (command === 'output') {
        const result = (await net.run(feeds))[net.outputNames[0]].data;
        fs.writeFileSync(argument, new Uint8Array(result.buffer, result.byteOffset, result.byteLength));
        return 'ok';
    }
    const times = [];
    for (let i = 0; i < Number(argument); i++) {
        const start = process.hrtime.bigint();
        await net.run(feeds);
        times.push((Number(process.hrtime.bigint() - start) / 1e3).toFixed(2));
    }
    return times.join(' ');
}

(async () => {
    for await (const line of readline.createInterface({input: process.stdin})) console.log(await answer(line));
})();
