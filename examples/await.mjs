// Top-level await, and an import: both work in a session.
import { setTimeout as sleep } from "node:timers/promises";

const start = performance.now();
const answers = await Promise.all([30, 20, 10].map((ms) => sleep(ms, `${ms} ms`)));
console.log(`waited for ${answers.join(", ")}: together, not one after the other`);
performance.now() - start < 1000;
