// The primes below a limit, by the sieve of Eratosthenes.
function primesBelow(limit) {
  const composite = new Uint8Array(limit);
  const primes = [];
  for (let n = 2; n < limit; n++) {
    if (composite[n]) continue;
    primes.push(n);
    for (let multiple = n * n; multiple < limit; multiple += n) composite[multiple] = 1;
  }
  return primes;
}

const primes = primesBelow(100_000);
console.log(`${primes.length} primes below 100000`);
primes.slice(-5);
