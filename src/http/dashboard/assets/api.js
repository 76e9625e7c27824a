/**
 * Requests to this server, and to no other.
 *
 * @module
 */

/** An answer that says no. */
export class ApiError extends Error {
  /**
   * @param {number} status 0 when there was no answer
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Leaves for the sign-in page, and comes back here afterwards. */
export function signIn() {
  location.assign(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
}

/**
 * Asks for JSON.
 *
 * @param {string} path
 * @param {{ method?: string, body?: unknown, signal?: AbortSignal }} [options]
 * @returns {Promise<any>}
 */
export async function request(path, { method = "GET", body, signal } = {}) {
  /** @type {Response} */
  let response;
  try {
    response = await fetch(path, {
      method,
      credentials: "same-origin",
      ...(signal === undefined ? {} : { signal }),
      ...(body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "tq does not answer. Is it running?");
  }
  const answer = await response.json().catch(() => undefined);
  if (response.ok && answer !== undefined) return answer;
  if (response.status === 401) signIn();
  throw new ApiError(response.status, answer?.error ?? `tq answered with ${response.status}`);
}

/** Milliseconds until a server that is away is asked again; twice as long each time. */
const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 30_000;

/**
 * Asks for JSON, again and again while nobody answers or the answer is to try again later.
 *
 * @param {string} path
 * @param {{ signal: AbortSignal, away(message: string): void }} options `away` hears why there is no answer yet
 * @returns {Promise<any>}
 */
export async function requestPatiently(path, { signal, away }) {
  for (let pause = FIRST_PAUSE;; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
    try {
      return await request(path, { signal });
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 0 && error.status !== 503) throw error;
      away(error.message);
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
    signal.throwIfAborted();
  }
}

/** Requests at once when many tasks are acted on. */
const AT_ONCE = 6;

/**
 * Cancels tasks or runs them again.
 *
 * @param {readonly number[]} ids
 * @param {"cancel" | "retry_now"} action
 * @returns {Promise<{ done: number[], refused: { id: number, error: string }[] }>}
 */
export async function act(ids, action) {
  /** @type {number[]} */
  const done = [];
  /** @type {{ id: number, error: string }[]} */
  const refused = [];
  const left = [...ids];
  const work = async () => {
    for (let id = left.shift(); id !== undefined; id = left.shift()) {
      try {
        await request(`/rpc/taskqueue/task/${id}`, { method: "POST", body: { action } });
        done.push(id);
      } catch (error) {
        refused.push({ id, error: error instanceof Error ? error.message : String(error) });
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return { done, refused };
}
