'use strict';

/*
 * What makes this interpreter's randomness its own when it is one of many copies of one snapshot. The kernel's is
 * fresh already; what Node and V8 keep of it in memory is not.
 *
 * - OpenSSL's generator drew from the kernel when Node started: node_random.node has it draw again.
 * - randomUUID() and randomInt() keep drawn bytes: what is left of them is used up.
 * - Math.random() of V8 cannot be seeded by JavaScript, so the global scope has another one: xoshiro128++, whose state
 *   is here. It is as fast, and has the same 53 bits.
 */

const { randomFillSync, randomInt, randomUUID } = require('node:crypto');
const reseedOpenSsl = require('./node_random.node');

const UUIDS_KEPT = 128;
const INTEGERS_KEPT = 1024;
const STATE_SIZE = 16; // bytes

const state = new Uint32Array(STATE_SIZE / 4);

/** The next 32 bits (xoshiro128++ of Blackman and Vigna). */
function next() {
  const sum = (state[0] + state[3]) | 0;
  const result = (((sum << 7) | (sum >>> 25)) + state[0]) >>> 0;
  const shifted = state[1] << 9;
  state[2] ^= state[0];
  state[3] ^= state[1];
  state[1] ^= state[2];
  state[0] ^= state[3];
  state[2] ^= shifted;
  state[3] = (state[3] << 11) | (state[3] >>> 21);
  return result;
}

// A method, as the original: it has no prototype and cannot be called with `new`.
const { random } = {
  random() {
    return ((next() >>> 5) * 0x4000000 + (next() >>> 6)) / 0x20000000000000;
  },
};

function seedMathRandom(bytes) {
  for (let i = 0; i < state.length; i++) state[i] = bytes.readUInt32LE(4 * i);
  state[0] |= 1; // all zero would stay zero
}

/** Puts the Math.random() that can be seeded in the place of V8's. */
function installMathRandom() {
  seedMathRandom(randomFillSync(Buffer.alloc(STATE_SIZE)));
  Object.defineProperty(Math, 'random', { value: random, writable: true, enumerable: false, configurable: true });
}

function useUpKept() {
  for (let i = 0; i < UUIDS_KEPT; i++) randomUUID();
  for (let i = 0; i < INTEGERS_KEPT; i++) randomInt(2);
}

/**
 * Takes fresh random bytes (64) in. `codeRan`: whether the user's code may have used what is kept; otherwise nothing is,
 * and looking would only write to memory that is still shared.
 */
function reseed(bytes, codeRan) {
  seedMathRandom(bytes);
  reseedOpenSsl(bytes.subarray(STATE_SIZE));
  if (codeRan) useUpKept();
}

/** Reseeds as a copy will, so that it finds the way warm; and what was kept is new. */
function rehearse() {
  reseed(randomFillSync(Buffer.alloc(STATE_SIZE + 48)), false);
}

module.exports = { installMathRandom, rehearse, reseed };
