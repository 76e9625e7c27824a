/**
 * A port for a server that will go away and come back.
 *
 * @module
 */

/**
 * A free port on 127.0.0.1, below those that the system gives to outgoing connections (32768 and up on Linux,
 * 49152 on macOS). Port 0 would choose among those, and while the server is down somebody's connection could be
 * given its port; worse, a client that keeps trying to reach it may be given that port itself, and TCP then
 * connects it to itself.
 */
export function freePort(): number {
  for (let tries = 0; tries < 100; tries++) {
    const port = 15_000 + Math.floor(Math.random() * 17_000);
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
  throw new Error("no free port between 15000 and 32000 in 100 tries");
}
