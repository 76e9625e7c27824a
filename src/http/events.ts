/**
 * Live pages: server-sent events. Whoever watches the same thing shares one look at the record a second; nothing is
 * looked at while nobody watches. An event is the whole of what there is to see, so that one that is left out, because
 * a viewer is slow or was away, does no harm.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { messageOf } from "../errors.ts";
import { logger } from "../log.ts";
import { toldOf } from "./envelope.ts";

/** Something to watch. */
export interface Topic {
  /** The same for all who may share an answer. */
  readonly key: string;
  /** Looks once. What is sent is its JSON; `now` alone does not make it another. */
  read(): Promise<{ readonly now?: number }>;
  /** Whether it is still catching up, and looks again as soon as it may. */
  isBehind?(): boolean;
}

/** How events are made. */
export interface EventsOptions {
  readonly clock: Clock;
  /** Ends all streams. */
  readonly stopping: AbortSignal;
  /** Viewers at most. @default 100 */
  readonly mostViewers?: number;
}

/** Milliseconds from one look to the next. */
const PAUSE = 1000;
/** A look that takes long is followed by a pause so many times as long, so that looking costs a tenth at most. */
const REST = 10;
/** Milliseconds after which a silent stream gets a sign of life: what stands between may close it, or has. */
const SIGN_OF_LIFE = 15_000;
/** Milliseconds after which a stream ends, and its viewer comes again: with the rights that it has then. */
const LIFETIME = 10 * 60_000;
/** Milliseconds until a browser comes again. */
const RETRY = 1000;

const encoder = new TextEncoder();

/** See the module. */
export class Events {
  readonly #options: EventsOptions;
  readonly #watched = new Map<string, Watched>();
  readonly #mostViewers: number;

  constructor(options: EventsOptions) {
    this.#options = options;
    this.#mostViewers = options.mostViewers ?? 100;
    options.stopping.addEventListener("abort", () => {
      for (const watched of this.#watched.values()) watched.close();
    });
  }

  /** Streams that are open. */
  get viewers(): number {
    return [...this.#watched.values()].reduce((sum, { viewers }) => sum + viewers, 0);
  }

  /** What there is to see now, as JSON text: what was seen within the last second, else by looking. */
  async latest(topic: Topic): Promise<string> {
    return await this.#watch(topic).latest();
  }

  /** A stream of events; undefined when too many watch already, or all is about to end. */
  stream(topic: Topic): ReadableStream<Uint8Array> | undefined {
    if (this.#options.stopping.aborted || this.viewers >= this.#mostViewers) return undefined;
    return this.#watch(topic).stream();
  }

  #watch(topic: Topic): Watched {
    let watched = this.#watched.get(topic.key);
    if (watched === undefined) {
      const forget = () => {
        if (this.#watched.get(topic.key) === watched) this.#watched.delete(topic.key);
      };
      this.#watched.set(topic.key, watched = new Watched(topic, this.#options.clock, forget));
    }
    return watched;
  }
}

/** One topic that somebody watches, or asked for a moment ago. */
class Watched {
  readonly #topic: Topic;
  readonly #clock: Clock;
  readonly #forget: () => void;
  readonly #viewers = new Set<Viewer>();
  /** The look that is under way, shared by all who ask. */
  #looking: Promise<string> | undefined;
  #seen: { readonly at: number; readonly text: string } | undefined;
  /** What tells one sight from the next: all but `now`, which moves on by itself in a browser. */
  #sight: string | undefined;
  /** The event of the last look: what a viewer who comes is sent. */
  #event: string | undefined;
  /** The sight that viewers were sent last. */
  #told: string | undefined;
  /** No viewer makes it look before this, in monotonic milliseconds. */
  #earliest = -Infinity;
  #cancel: (() => void) | undefined;
  #isClosed = false;

  constructor(topic: Topic, clock: Clock, forget: () => void) {
    this.#topic = topic;
    this.#clock = clock;
    this.#forget = forget;
  }

  get viewers(): number {
    return this.#viewers.size;
  }

  async latest(): Promise<string> {
    const { at, text } = this.#seen ?? { at: -Infinity, text: "" };
    if (this.#clock.monotonic() - at < PAUSE) return text;
    try {
      return await this.#look();
    } finally {
      if (this.#viewers.size === 0) this.#next(PAUSE);
    }
  }

  stream(): ReadableStream<Uint8Array> {
    let viewer: Viewer;
    return new ReadableStream<Uint8Array>({
      start: (controller) => {
        viewer = new Viewer(controller, this.#clock, () => this.#leave(viewer));
        this.#viewers.add(viewer);
        if (this.#event !== undefined) viewer.send(this.#event);
        this.#next(this.#earliest - this.#clock.monotonic());
      },
      pull: () => viewer.drained(),
      cancel: () => viewer.close(),
    }, { highWaterMark: 2 });
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel?.();
    for (const viewer of [...this.#viewers]) viewer.close();
    this.#forget();
  }

  #leave(viewer: Viewer): void {
    this.#viewers.delete(viewer);
    // Forgotten after a pause: whoever loads the page anew is answered from what is known.
    if (this.#viewers.size === 0) this.#next(PAUSE);
  }

  #next(pause: number): void {
    this.#cancel?.();
    if (!this.#isClosed) this.#cancel = this.#clock.after(Math.max(0, pause), () => void this.#tick());
  }

  async #tick(): Promise<void> {
    if (this.#viewers.size === 0) return this.#forget();
    const started = this.#clock.monotonic();
    try {
      await this.#look();
    } catch (error) {
      logger("http").debug("Cannot look", { topic: this.#topic.key, error: messageOf(error) });
      this.#event = `event: trouble\ndata: ${JSON.stringify({ error: toldOf(error).text })}\n\n`;
      this.#sight = this.#event;
    }
    const event = this.#event;
    if (event !== undefined && this.#told !== this.#sight) {
      this.#told = this.#sight;
      for (const viewer of this.#viewers) viewer.send(event);
    }
    const now = this.#clock.monotonic();
    const pause = Math.max(PAUSE, this.#topic.isBehind?.() ? 0 : REST * (now - started));
    this.#earliest = now + pause;
    this.#next(pause);
  }

  #look(): Promise<string> {
    this.#looking ??= this.#topic.read().then((value) => {
      const text = JSON.stringify(value);
      this.#sight = value.now === undefined ? text : JSON.stringify({ ...value, now: 0 });
      this.#seen = { at: this.#clock.monotonic(), text };
      this.#event = `event: snapshot\ndata: ${text}\n\n`;
      return text;
    }).finally(() => this.#looking = undefined);
    return this.#looking;
  }
}

/** One open stream. */
class Viewer {
  readonly #controller: ReadableStreamDefaultController<Uint8Array>;
  readonly #clock: Clock;
  readonly #closed: () => void;
  /** The newest event, while the viewer has not taken those before. */
  #late: string | undefined;
  #isOpen = true;
  #cancelSign: () => void;
  readonly #cancelEnd: () => void;

  constructor(
    controller: ReadableStreamDefaultController<Uint8Array>,
    clock: Clock,
    closed: () => void,
  ) {
    this.#controller = controller;
    this.#clock = clock;
    this.#closed = closed;
    this.#cancelSign = clock.after(SIGN_OF_LIFE, () => this.send(":\n\n"));
    this.#cancelEnd = clock.after(LIFETIME, () => this.close());
    this.#write(`retry: ${RETRY}\n\n`);
  }

  /** Sends an event now, or instead of an older one once the viewer has taken what it was sent. */
  send(event: string): void {
    if (!this.#isOpen) return;
    this.#cancelSign();
    this.#cancelSign = this.#clock.after(SIGN_OF_LIFE, () => this.send(":\n\n"));
    if ((this.#controller.desiredSize ?? 0) > 0) this.#write(event);
    // A sign of life is for who hears nothing.
    else if (!event.startsWith(":")) this.#late = event;
  }

  /** The viewer has taken what it was sent. */
  drained(): void {
    const late = this.#late;
    this.#late = undefined;
    if (late !== undefined) this.send(late);
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#cancelSign();
    this.#cancelEnd();
    try {
      this.#controller.close();
    } catch {
      // The viewer has left, and closed it.
    }
    this.#closed();
  }

  #write(text: string): void {
    this.#controller.enqueue(encoder.encode(text));
  }
}
