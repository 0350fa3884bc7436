'use strict';

/*
 * The Node driver of hearth-agent: runs code in one global scope and answers with the frames of
 * common/agent_protocol.h on descriptor 3. docs/agent.md describes the protocol. node_rewrite.js makes the code
 * runnable, node_reader.js reads the socket in a thread of its own.
 *
 * The code shares this process, so all that the driver needs later is fetched here, before the code can change it.
 */

const fs = require('node:fs');
const path = require('node:path');
const util = require('node:util');
const v8 = require('node:v8');
const vm = require('node:vm');
const { builtinModules, createRequire } = require('node:module');
const { Worker } = require('node:worker_threads');
const { rewrite, describeSyntaxError, prefixLength, RewriteError } = require('./node_rewrite.js');
const unique = require('./node_unique.js');

const { setImmediate, setTimeout } = globalThis;
const { Buffer } = globalThis;

const READY = 16;
const DISPLAY = 20;
const RESULT = 21;
const DONE = 22;
const SETTLED = 23;
const OK = 0;
const ERROR = 1;

// Flags of an execution.
const FRESH = 1;
const ERROR_DATA = 4;

const CONTROL_FD = 3;
const SCALAR = 'application/vnd.hearth.scalar+json';
const ERROR_TYPE = 'application/vnd.hearth.error+json';
const TEXT_MAX = 1 << 20; // characters of text/plain, and of a string as a scalar
const BUNDLE_MAX = 12 << 20;
const ENTRIES_MAX = 32;
const TRACEBACK_LINES_MAX = 5000;

// What keeps a script alive in Node, but not an execution: it may serve the ones after it.
const BACKGROUND = new Set(['TCPServerWrap', 'PipeServerWrap', 'MessagePort', 'TTYWrap', 'SignalWrap']);

const running = new Int32Array(new SharedArrayBuffer(12)); // shared with node_reader.js, which explains it
const reallyExit = process.reallyExit.bind(process);
const idleArray = new Int32Array(new SharedArrayBuffer(4));
const FORGET_MS = 50; // for Node's watchdog to act on a SIGINT that it kept
const outputs = [1, 2].map((fd) => ({ fd, inode: fs.fstatSync(fd).ino }));
const stdoutWrite = process.stdout.write;
const stderrWrite = process.stderr.write;
const environment = process.env;

/** Thrown by process.exit(), which ends the execution and not the interpreter. */
class ProcessExit extends Error {}

class Interrupted extends Error {}

let execution = null; // the one that runs: { number, request, flags, settle, exiting }
let count = 0;
let codeRan = false; // the user's
let firstGlobals; // descriptors of the global scope before any code, by their keys

v8.setFlagsFromString('--expose-gc');
const collectGarbage = vm.runInNewContext('gc');
v8.setFlagsFromString('--no-expose-gc');

// ---- frames ---------------------------------------------------------------------------------------------------------

/** Writes all of it, in order with everything else; the socket is non-blocking because the reader thread polls it. */
function writeAll(buffer) {
  for (let at = 0; at < buffer.length; ) {
    try {
      at += fs.writeSync(CONTROL_FD, buffer, at);
    } catch (error) {
      if (error.code !== 'EAGAIN') reallyExit(1);
      Atomics.wait(idleArray, 0, 0, 1);
    }
  }
}

function send(type, request, body) {
  const header = Buffer.alloc(16);
  header.writeUInt32LE(body.length, 0);
  header.writeUInt16LE(type, 4);
  header.writeBigUInt64LE(request, 8);
  writeAll(Buffer.concat([header, body]));
}

function encodeEntry(type, data) {
  if (ArrayBuffer.isView(data)) return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  if (typeof data !== 'string') return Buffer.from(JSON.stringify(data) ?? 'null');
  return /^(image\/(?!svg)|application\/pdf)/.test(type) ? Buffer.from(data, 'base64') : Buffer.from(data.toWellFormed());
}

function encodeBundle(bundle) {
  const parts = [];
  let entries = 0;
  let size = 0;
  for (const [type, value] of Object.entries(bundle)) {
    const data = encodeEntry(type, value);
    if (!/^[!-~]{1,255}$/.test(type)) throw new TypeError(`${util.inspect(type)} is not a MIME type`);
    if (size + data.length > BUNDLE_MAX || entries === ENTRIES_MAX) throw new RangeError(`${type} is too large to be shown`);
    const head = Buffer.alloc(2 + type.length + 4);
    head.writeUInt16LE(type.length, 0);
    head.write(type, 2, 'latin1');
    head.writeUInt32LE(data.length, 2 + type.length);
    parts.push(head, data);
    size += data.length;
    entries++;
  }
  const countBytes = Buffer.alloc(2);
  countBytes.writeUInt16LE(entries, 0);
  return entries ? Buffer.concat([countBytes, ...parts]) : null;
}

// ---- values and errors ----------------------------------------------------------------------------------------------

const cut = (text) =>
  text.length <= TEXT_MAX ? text : `${text.slice(0, TEXT_MAX)}… [${text.length - TEXT_MAX} more characters were cut]`;

function scalarJson(value) {
  switch (typeof value) {
    case 'number':
      return Number.isFinite(value) ? JSON.stringify(value) : 'null';
    case 'bigint':
      return value.toString();
    case 'boolean':
      return String(value);
    case 'string':
      return JSON.stringify(cut(value).toWellFormed());
    default:
      return null;
  }
}

function inspect(value) {
  return util.inspect(value, { colors: false, breakLength: 80, maxStringLength: TEXT_MAX });
}

/** Takes the driver and what is below it out of every stack in the text. */
function trimStacks(text) {
  let below = false;
  const kept = text.split('\n').filter((line) => {
    const isFrame = /^ +at /.test(line);
    below = isFrame && (below || line.includes(__dirname));
    return !below || /[{\]]$/.test(line);
  });
  return kept.map((line) => (line.includes(__dirname) ? '    at … {' : line)).join('\n');
}

/** As much of a thrown value as it lets be seen. */
function describeError(error) {
  try {
    return `Uncaught ${trimStacks(interruptible(() => inspect(error)))}\n`;
  } catch {
    return 'Uncaught value that cannot be shown\n';
  }
}

function complain(text) {
  if (!execution || !execution.exiting) stderrWrite.call(process.stderr, text);
}

/** What the error says of itself, if that is a text. */
function textOf(error, key, otherwise) {
  try {
    const text = interruptible(() => error[key]);
    return typeof text === 'string' ? cut(text).toWellFormed() : otherwise;
  } catch {
    return otherwise;
  }
}

/** Tells why the code failed: as data, if that is wanted, else by the text on stderr. */
function fail(text, ename, evalue) {
  if (!execution || !(execution.flags & ERROR_DATA)) {
    complain(text);
    return;
  }
  const traceback = cut(text).trimEnd().split('\n').slice(0, TRACEBACK_LINES_MAX);
  send(DISPLAY, execution.request, encodeBundle({ [ERROR_TYPE]: { ename, evalue, traceback } }));
}

// ---- calling user code so that SIGINT ends it -----------------------------------------------------------------------

const SCRIPT_OPTIONS = {
  importModuleDynamically: vm.constants?.USE_MAIN_CONTEXT_DEFAULT_LOADER ?? ((name) => import(name)),
};
const RUN_OPTIONS = { breakOnSigint: true, displayErrors: false };

const guardScript = new vm.Script('__hearth_call()', { filename: __filename });

/** Calls a function of the driver that may call back into user code, an inspect method for example. */
function interruptible(call) {
  let result;
  Object.defineProperty(globalThis, '__hearth_call', { value: () => (result = call()), configurable: true });
  try {
    guardScript.runInThisContext(RUN_OPTIONS);
  } finally {
    delete globalThis.__hearth_call;
  }
  return result;
}

let interruptsSeen = 0;

/**
 * Forgets a SIGINT that came just when its code ended anyway: the watchdog of Node 24 keeps it for the next script that
 * runs long enough, which would then be interrupted for nothing. An interrupt that is meant for this execution and
 * comes now is not lost: the reader thread insists.
 */
function forgetStaleInterrupt() {
  const interrupts = Atomics.load(running, 1);
  if (interrupts === interruptsSeen) return;
  interruptsSeen = interrupts;
  for (let tries = 0; tries < 10; tries++) {
    try {
      interruptible(() => Atomics.wait(idleArray, 0, 0, FORGET_MS));
      return;
    } catch {
      // That was it; there may be another.
    }
  }
}

/** Makes a name assignable: some globals (crypto, navigator) are accessors that ignore an assignment. */
function defineGlobal(name) {
  const present = Object.getOwnPropertyDescriptor(globalThis, name);
  if (present && 'value' in present) return;
  Object.defineProperty(globalThis, name, { value: undefined, writable: true, enumerable: true, configurable: true });
}

/** The code broke what the driver itself stands on, Array.prototype for example: only a fresh interpreter helps. */
function giveUp(error) {
  try {
    stderrWrite.call(process.stderr, `The interpreter no longer works: ${error.message}\n`);
  } finally {
    reallyExit(70);
  }
}

function parse(code) {
  try {
    return rewrite(code);
  } catch (error) {
    if (error instanceof RewriteError || error instanceof RangeError) throw error;
    return giveUp(error);
  }
}

/** Starts the code; the promise of its value. */
function start(code, filename) {
  const rewritten = interruptible(() => parse(code));
  const script = new vm.Script(rewritten.code, { filename, columnOffset: -prefixLength, ...SCRIPT_OPTIONS });
  const functions = rewritten.functions.map(
    (one) =>
      new vm.Script(one.text, { filename, lineOffset: one.line - 1, columnOffset: one.column, ...SCRIPT_OPTIONS }),
  );
  rewritten.names.forEach(defineGlobal);
  functions.forEach((one) => one.runInThisContext(RUN_OPTIONS));
  const body = script.runInThisContext(RUN_OPTIONS);
  return interruptible(body);
}

// ---- when an execution is over --------------------------------------------------------------------------------------

function activeResources() {
  const counts = new Map();
  for (const type of process.getActiveResourcesInfo()) {
    if (!BACKGROUND.has(type)) counts.set(type, (counts.get(type) || 0) + 1);
  }
  return counts;
}

function hasMoreThan(before) {
  for (const [type, number] of activeResources()) if (number > (before.get(type) || 0)) return true;
  return false;
}

/** Resolves when Node would end a script: no timer, request or child of this execution is left. */
function untilQuiet(before) {
  return new Promise((resolve) => {
    let pauseMs = 1;
    const look = () => {
      if (!hasMoreThan(before)) {
        resolve();
        return;
      }
      pauseMs = Math.min(pauseMs * 2, 50);
      setTimeout(look, pauseMs).unref();
    };
    setImmediate(look);
  });
}

function sendResult(request, value) {
  if (value === undefined) return;
  const bundle = { 'text/plain': cut(interruptible(() => inspect(value))) };
  const scalar = scalarJson(value);
  if (scalar !== null) bundle[SCALAR] = scalar;
  send(RESULT, request, encodeBundle(bundle));
}

/** Runs the code to its end. Returns whether it succeeded; has written why not. */
async function run(code, filename, stopped) {
  const before = activeResources();
  try {
    const value = await Promise.race([start(code, filename), stopped]);
    await Promise.race([untilQuiet(before), stopped]);
    sendResult(execution.request, value);
    return true;
  } catch (error) {
    // An interrupt has done its work: the reader thread must not stop what follows.
    if (isInterrupt(error)) Atomics.store(running, 0, 0);
    return explain(error, code, filename);
  }
}

/** By the reader thread's message, or by SIGINT in code that runs to its end. */
function isInterrupt(error) {
  if (util.types.isProxy(error) || !util.types.isNativeError(error)) return false;
  if (error instanceof Interrupted) return true;
  return Object.getOwnPropertyDescriptor(error, 'code')?.value === 'ERR_SCRIPT_EXECUTION_INTERRUPTED';
}

/** Writes why the code failed. True if it did not: process.exit(0). */
function explain(error, code, filename) {
  if (util.types.isProxy(error) || !util.types.isNativeError(error)) {
    fail(describeError(error), 'Error', 'a value that is no error was thrown');
  } else if (error instanceof ProcessExit) {
    if (execution.exitCode === 0) return true;
    const text = `process.exit(${execution.exitCode})\n`;
    if (execution.flags & ERROR_DATA) fail(text, 'ProcessExit', String(execution.exitCode));
    else stderrWrite.call(process.stderr, text);
  } else if (error instanceof RewriteError) {
    fail(describeSyntaxError(error.cause, code, filename), 'SyntaxError', textOf(error.cause, 'message', ''));
  } else if (isInterrupt(error)) {
    fail('Uncaught Interrupted\n', 'Interrupted', '');
  } else {
    fail(describeError(error), textOf(error, 'name', 'Error'), textOf(error, 'message', ''));
  }
  return false;
}

/** An output descriptor that the code closed cannot be had again, but a fresh interpreter can. */
function checkOutputs() {
  for (const { fd, inode } of outputs) {
    try {
      if (fs.fstatSync(fd).ino === inode) continue;
    } catch {
      // closed
    }
    reallyExit(1);
  }
}

/** Takes the session's names out of the global scope. Returns what puts them back. */
function emptyGlobals() {
  const take = () => new Map(Reflect.ownKeys(globalThis).map((key) => [key, Object.getOwnPropertyDescriptor(globalThis, key)]));
  const makeLike = (wanted) => {
    for (const key of Reflect.ownKeys(globalThis)) {
      // A function's name can be emptied, but not taken away.
      if (!wanted.has(key) && !Reflect.deleteProperty(globalThis, key)) Reflect.set(globalThis, key, undefined);
    }
    for (const [key, descriptor] of wanted) Reflect.defineProperty(globalThis, key, descriptor);
  };
  const before = take();
  makeLike(firstGlobals);
  return () => makeLike(before);
}

async function execute(request, codeBytes, flags) {
  const number = ++count;
  let settle;
  const stopped = new Promise((_, reject) => (settle = reject));
  stopped.catch(() => {});
  execution = { number, request, flags, settle, exiting: false, exitCode: 0 };
  Atomics.store(running, 0, number);
  if (request !== REHEARSAL_REQUEST) Atomics.add(running, 2, 1);
  restoreProcess();
  forgetStaleInterrupt();
  const putBack = flags & FRESH ? emptyGlobals() : null;
  const succeeded = await run(Buffer.from(codeBytes).toString('utf8'), `execution-${number}.js`, stopped);
  Atomics.store(running, 0, 0);
  if (putBack) putBack();
  execution = null;
  const body = Buffer.alloc(28);
  body[0] = succeeded ? OK : ERROR;
  send(DONE, request, body);
  checkOutputs();
}

// ---- what the code sees ---------------------------------------------------------------------------------------------

function exit(code) {
  if (!execution) return;
  if (!execution.exiting) execution.exitCode = Number(code ?? process.exitCode ?? 0) || 0;
  execution.exiting = true; // from here on its output is dropped, should it catch the exception
  const error = new ProcessExit('process.exit');
  execution.settle(error);
  throw error;
}

/** Shows a MIME bundle: display({ 'image/png': buffer }). */
function display(bundle) {
  if (bundle === null || typeof bundle !== 'object') bundle = { 'text/plain': inspect(bundle) };
  const encoded = encodeBundle(bundle);
  if (encoded && execution) send(DISPLAY, execution.request, encoded);
}

function quietable(write) {
  return function (chunk, encoding, callback) {
    if (!execution || !execution.exiting) return write.call(this, chunk, encoding, callback);
    const done = typeof encoding === 'function' ? encoding : callback;
    if (done) process.nextTick(done);
    return true;
  };
}

/** Undoes what the code before may have done to the process and this one does not expect. */
function restoreProcess() {
  process.exit = exit;
  process.exitCode = undefined;
  process.stdout.write = quietable(stdoutWrite);
  process.stderr.write = quietable(stderrWrite);
  if (!process.listeners('SIGINT').includes(onSigint)) process.on('SIGINT', onSigint);
}

function onSigint() {
  // Only there so that the signal does not end the process: the reader thread is told in a frame.
}

function onUncaught(error) {
  if (error instanceof ProcessExit) return;
  if (execution) execution.settle(error);
  else complain(describeError(error));
}

/** Node's own modules by their names, as in `node -e`; loaded when they are first used. */
function installBuiltinModules() {
  for (const name of builtinModules) {
    if (/^_|\//.test(name) || name in globalThis) continue;
    const set = (value) =>
      Object.defineProperty(globalThis, name, { value, writable: true, enumerable: true, configurable: true });
    Object.defineProperty(globalThis, name, { get: () => require(name), set, configurable: true });
  }
}

function installGlobals() {
  process.argv = [process.execPath, path.join(process.cwd(), 'execution.js')];
  const userModule = { exports: {}, id: '.', filename: null, loaded: false, children: [], paths: [] };
  const globals = {
    require: createRequire(path.join(process.cwd(), 'execution.js')),
    module: userModule,
    exports: userModule.exports,
    display,
  };
  globals.require.main = userModule;
  for (const [name, value] of Object.entries(globals)) {
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
  }
  Object.defineProperty(globalThis, '__dirname', { get: () => process.cwd(), configurable: true });
  Object.defineProperty(globalThis, '__filename', {
    get: () => path.join(process.cwd(), `execution-${count}.js`),
    configurable: true,
  });
}

/** Runs what every execution runs, so that the first one finds it loaded; and the loader's one-time warning is said. */
async function warmUp() {
  const listeners = process.listeners('warning');
  process.removeAllListeners('warning');
  await start("await import('node:path'); await 0", 'warm-up.js');
  inspect({ warm: [1] });
  await new Promise((resolve) => setImmediate(resolve));
  listeners.forEach((one) => process.on('warning', one));
}

// What a first request does, so that a copy finds it done: output, values, an error.
const REHEARSALS = ['console.log(1)', 'console.error(1)', "'1'", '1 + 1', 'await 1', "throw new Error('rehearsal')"];
const REHEARSE_TIMES = 3;
const REHEARSAL_REQUEST = 0n;

/** Runs executions whose answers go nowhere, and takes back what they leave. */
async function rehearse() {
  const names = new Set(Reflect.ownKeys(globalThis));
  for (let i = 0; i < REHEARSE_TIMES; i++) {
    unique.rehearse();
    for (const code of REHEARSALS) await execute(REHEARSAL_REQUEST, Buffer.from(code), 0);
  }
  for (const name of Reflect.ownKeys(globalThis)) if (!names.has(name)) delete globalThis[name];
  count = 0;
}

/** Gets ready for being copied: a copy shall find warm whatever its first execution needs. */
async function settle() {
  // A collection throws away the bytecode of what has not run for a while.
  v8.setFlagsFromString('--no-flush-bytecode');
  if (!codeRan) await rehearse();
  collectGarbage();
  send(SETTLED, 0n, Buffer.alloc(0));
}

/** NAME=VALUE, each followed by NUL; those without a value go. */
function setEnvironment(variables) {
  for (const variable of variables.split('\0').slice(0, -1)) {
    const at = variable.indexOf('=');
    const name = variable.slice(0, at);
    if (at + 1 < variable.length) environment[name] = variable.slice(at + 1);
    else delete environment[name];
  }
}

function main() {
  const reader = new Worker(path.join(__dirname, 'node_reader.js'), {
    workerData: { running: running.buffer },
    resourceLimits: { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 64 },
  });
  process.on('SIGINT', onSigint);
  process.on('uncaughtException', onUncaught);
  process.on('unhandledRejection', onUncaught);
  unique.installMathRandom();
  installGlobals();
  installBuiltinModules();
  firstGlobals = new Map(
    Reflect.ownKeys(globalThis).map((key) => [key, Object.getOwnPropertyDescriptor(globalThis, key)]),
  );
  reader.on('exit', () => reallyExit(1));
  reader.on('message', (message) => {
    if (message.randomness) unique.reseed(Buffer.from(message.randomness), codeRan);
    if (message.environment) setEnvironment(message.environment);
    if (message.code) {
      execute(message.request, message.code, message.flags).catch(giveUp);
      codeRan = true;
    } else if (message.settle) settle().catch(giveUp);
    else if (message.interrupt && execution) execution.settle(new Interrupted());
    else if (message.ready) warmUp().then(() => send(READY, 0n, Buffer.alloc(0)));
  });
}

main();
