/**
 * A server that says it is some Redis: it answers INFO with what it is given, and OK to all else.
 *
 * @module
 */

/** See the module. */
export class FakeRedis implements AsyncDisposable {
  readonly #info: string;
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #connections = new Set<Deno.TcpConn>();
  readonly #running: Promise<void>[] = [];

  /** @param info the text of INFO, its lines ended by CR LF. */
  constructor(info: string) {
    this.#info = info;
    this.#running.push(this.#accept());
  }

  get url(): string {
    return `redis://127.0.0.1:${this.#listener.addr.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const connection of this.#connections) connection.close();
    await Promise.all(this.#running);
  }

  async #accept(): Promise<void> {
    for await (const connection of this.#listener) {
      this.#connections.add(connection);
      this.#running.push(
        this.#serve(connection).catch(() => {}).finally(() => this.#connections.delete(connection)),
      );
    }
  }

  async #serve(connection: Deno.TcpConn): Promise<void> {
    let text = "";
    for await (const chunk of connection.readable.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      for (let command = take(text); command !== undefined; command = take(text)) {
        text = command.rest;
        const isInfo = command.words[0]?.toLowerCase() === "info";
        const answer = isInfo ? `$${this.#info.length}\r\n${this.#info}\r\n` : "+OK\r\n";
        await connection.write(new TextEncoder().encode(answer));
      }
    }
  }
}

/** The first whole command of what was received: `*2\r\n$4\r\nINFO\r\n$3\r\nall\r\n`. */
function take(text: string): { words: string[]; rest: string } | undefined {
  const count = /^\*(\d+)\r\n/.exec(text);
  if (count === null) return undefined;
  const words: string[] = [];
  let rest = text.slice(count[0].length);
  while (words.length < Number(count[1])) {
    const length = /^\$(\d+)\r\n/.exec(rest);
    const end = (length?.[0].length ?? 0) + Number(length?.[1]) + 2;
    if (length === null || rest.length < end) return undefined;
    words.push(rest.slice(length[0].length, end - 2));
    rest = rest.slice(end);
  }
  return { words, rest };
}
