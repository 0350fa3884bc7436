'use strict';

/*
 * The thread of the Node driver that reads the control socket, because the main thread may be in an endless loop. It
 * hands executions over, and makes the main thread stop if an interrupt does not reach it otherwise.
 */

const inspector = require('node:inspector');
const net = require('node:net');
const { parentPort, workerData } = require('node:worker_threads');

const EXECUTE = 1;
const INTERRUPT = 2;
const SETTLE = 3;
const ADOPT = 4;
const ENVIRONMENT = 13;
const HEADER_SIZE = 16;
const PREFIX_SIZE = 16; // of AGENT_EXECUTE's body before the code
const FLAGS_AT = 1; // in it
// How long an interrupt may take to reach the main thread: more on a machine on which the start took long, too.
const PATIENCE_MS = Math.min(Math.max(2 * performance.now(), 250), 2000);
const DETACH_MS = 1000;
const BEGIN_MS = 20; // between two looks whether the main thread has begun

// [0]: the execution that runs, 0 if none does; [1]: how many interrupts came so far; [2]: how many executions that were
// handed over the main thread has begun
const running = new Int32Array(workerData.running);
let handedOver = 0;
let received = [];
let receivedBytes = 0;
let randomness = null; // of AGENT_ADOPT, for the main thread

/*
 * Ends whatever the main thread executes: a promise job or a timer in a loop. Terminating at once would only end the
 * inspector's own call, so the thread is paused first.
 */
function terminate(execution) {
  const session = new inspector.Session();
  session.connectToMainThread();
  session.on('Debugger.paused', () => {
    if (Atomics.load(running, 0) === execution) session.post('Runtime.terminateExecution');
    session.post('Debugger.resume');
    session.post('Debugger.disable', () => session.disconnect());
  });
  session.post('Debugger.enable');
  session.post('Debugger.pause');
  setTimeout(() => session.disconnect(), DETACH_MS);
}

function interrupt() {
  const execution = Atomics.load(running, 0);
  if (execution === 0) {
    // It has ended, or the main thread has yet to begin it.
    if (Atomics.load(running, 2) !== handedOver) setTimeout(interrupt, BEGIN_MS);
    return;
  }
  parentPort.postMessage({ interrupt: true });
  setTimeout(() => {
    if (Atomics.load(running, 0) === execution) terminate(execution);
  }, PATIENCE_MS);
}

/** A message to the main thread. Randomness goes with the code that follows it: a message less. */
function post(message) {
  parentPort.postMessage(randomness ? { randomness, ...message } : message);
  randomness = null;
}

function onFrame(type, request, body) {
  if (type === EXECUTE) {
    handedOver = (handedOver + 1) | 0;
    post({ request, flags: body[FLAGS_AT], code: body.subarray(PREFIX_SIZE) });
  } else if (type === SETTLE) post({ settle: true });
  else if (type === ADOPT) randomness = body;
  else if (type === ENVIRONMENT) post({ environment: Buffer.from(body).toString() });
  else if (type === INTERRUPT) {
    Atomics.add(running, 1, 1);
    interrupt();
  }
}

function takeFrames() {
  while (receivedBytes >= HEADER_SIZE) {
    const all = received.length === 1 ? received[0] : Buffer.concat(received);
    const size = HEADER_SIZE + all.readUInt32LE(0);
    received = [all];
    if (receivedBytes < size) return;
    received = [all.subarray(size)];
    receivedBytes -= size;
    onFrame(all.readUInt16LE(4), all.readBigUInt64LE(8), all.subarray(HEADER_SIZE, size));
  }
}

const control = new net.Socket({ fd: 3, readable: true, writable: false });
let wanted = HEADER_SIZE;
control.on('data', (chunk) => {
  received.push(chunk);
  receivedBytes += chunk.length;
  // Joining what has come costs its length: not for each chunk of a large frame.
  if (receivedBytes < wanted) return;
  takeFrames();
  if (randomness) post({});
  wanted = receivedBytes < HEADER_SIZE ? HEADER_SIZE : HEADER_SIZE + received[0].readUInt32LE(0);
});
control.on('close', () => process.exit());
control.on('error', () => process.exit());
parentPort.postMessage({ ready: true });
