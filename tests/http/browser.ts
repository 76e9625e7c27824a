/**
 * A person in front of the dashboard: a real Chromium, of which everything that goes wrong is noted down.
 *
 * @module
 */

import assert from "node:assert/strict";
import { type Browser, chromium, type Page } from "npm:playwright-core@1.65.1";
import { chromiumBinary } from "../support/binaries.ts";

/** How a visitor looks at it. */
export interface VisitorOptions {
  readonly theme?: "light" | "dark";
  /** Of the window, in CSS pixels. @default 1280 */
  readonly width?: number;
  /** @default 800 */
  readonly height?: number;
  /** Physical pixels for one of CSS. @default 1 */
  readonly scale?: number;
}

/** A browser on this machine. `await using browser = await startBrowser()`. */
export async function startBrowser(): Promise<Browser> {
  const executablePath = chromiumBinary();
  assert.ok(executablePath !== undefined, "no Chromium");
  return await chromium.launch({ executablePath, args: ["--no-sandbox"] });
}

/** See the module. */
export class Visitor implements AsyncDisposable {
  readonly page: Page;
  /** Errors and warnings of the console, and of scripts. */
  readonly complaints: string[] = [];
  /** Everything that was asked for. */
  readonly requests: string[] = [];
  readonly #origin: string;

  private constructor(page: Page, origin: string) {
    this.page = page;
    this.#origin = origin;
    page.setDefaultTimeout(15_000);
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) {
        this.complaints.push(`${message.text()} (${message.location().url})`);
      }
    });
    page.on("pageerror", (error) => this.complaints.push(String(error.stack ?? error)));
    page.on("request", (request) => this.requests.push(request.url()));
  }

  /** Opens a window of its own: no cookies, no storage. */
  static async arrive(browser: Browser, origin: string, options: VisitorOptions = {}): Promise<Visitor> {
    const { theme = "light", width = 1280, height = 800, scale = 1 } = options;
    const context = await browser.newContext({
      baseURL: origin,
      colorScheme: theme,
      viewport: { width, height },
      deviceScaleFactor: scale,
      locale: "en-GB",
      timezoneId: "UTC",
    });
    return new Visitor(await context.newPage(), origin);
  }

  /** Signs in with a token, by the keyboard, at the address that it wanted to see. */
  async signIn(path: string, token: string): Promise<void> {
    await this.page.goto(path);
    await this.page.waitForURL(/\/sign-in/);
    await this.tabTo("Token");
    await this.page.keyboard.type(token);
    await this.page.keyboard.press("Enter");
    await this.page.waitForURL((url) => !url.pathname.startsWith("/sign-in"));
    await this.page.locator("h1").waitFor();
  }

  /** Presses Tab until what has this name has the focus. */
  async tabTo(name: string | RegExp): Promise<void> {
    const passed: string[] = [];
    for (let presses = 0; presses < 200; presses++) {
      await this.page.keyboard.press("Tab");
      const focused = await this.focused();
      if (typeof name === "string" ? focused === name : name.test(focused)) return;
      passed.push(focused);
    }
    throw new Error(`Tab does not lead to ${name}: ${passed.slice(0, 40).join(" | ")}`);
  }

  /** What a screen reader would call what has the focus. */
  focused(): Promise<string> {
    // As text, since these tests are checked without the names of a browser.
    return this.page.evaluate(`(() => {
      const element = document.activeElement;
      const label = element.getAttribute("aria-label") ?? element.labels?.[0]?.textContent ?? element.textContent;
      return (label ?? "").trim();
    })()`);
  }

  /** Waits until an element that the selector finds has this text in it. */
  async sees(selector: string, text: string | RegExp): Promise<void> {
    await this.page.locator(selector).filter({ hasText: text }).first().waitFor();
  }

  /** Fails if anything went wrong, or went to another host. */
  assertClean(): void {
    assert.deepEqual(this.complaints, []);
    const elsewhere = this.requests.filter((url) => !url.startsWith(`${this.#origin}/`));
    assert.deepEqual(elsewhere, []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.page.context().close();
  }
}
