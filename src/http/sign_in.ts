/**
 * How a person's browser gets a session: by a link that `tq dashboard` prints, or by a token.
 *
 * @module
 */

import { z } from "npm:zod@4.6.7";
import { deleteCookie, setCookie } from "npm:hono@4.13.19/cookie";
import { CODE_SECONDS, type Right, SESSION_SECONDS, suffices } from "./access.ts";
import { readFields } from "./body.ts";
import { HttpError, one } from "./envelope.ts";
import { requires, SESSION_COOKIE } from "./guard.ts";
import { type Html, html, page } from "./html.ts";
import type { HttpApp, HttpContext, HttpParts } from "./parts.ts";
import { BASE } from "./route.ts";

/** Where a session starts; `?code=` uses a one-time code up. */
export const SIGN_IN = "/sign-in";

const linkBody = z.object({ right: z.enum(["view", "manage"]).optional() });

/** Serves them. */
export function mountSignIn(app: HttpApp, parts: HttpParts): void {
  const { access } = parts;

  // For `tq dashboard`, which shows a token.
  app.post(`${BASE}/sign-in-link`, requires("view"), async (c) => {
    const asked = linkBody.safeParse(await readFields(c, parts));
    if (!asked.success) throw new HttpError(400, "right is no right: give view or manage");
    const own = c.get("right") as Right;
    const right = asked.data.right ?? own;
    if (!suffices(own, right)) throw new HttpError(403, `a token for ${own} starts no session for ${right}`);
    return c.json(one({ path: `${SIGN_IN}?code=${access.makeCode(right)}`, right, seconds: CODE_SECONDS }));
  });

  app.get(SIGN_IN, async (c) => {
    const { code, next } = c.req.query();
    // Whoever looks ahead at links, as mail programs do, must not use the code up.
    if (code === undefined || c.req.raw.method === "HEAD") {
      return c.html(page("tq: sign in", form({ next })));
    }
    const right = access.useCode(code);
    if (right === undefined) {
      return c.html(
        page(
          "tq: sign in",
          form({ problem: "This link was used already, or is too old. Run tq dashboard again." }),
        ),
        401,
      );
    }
    return await start(c, parts, right);
  });

  app.post(SIGN_IN, async (c) => {
    if (c.req.header("origin") === undefined) {
      throw new HttpError(403, "this form is sent by its own page alone");
    }
    const { token, next } = await readFields(c, parts);
    const right = typeof token === "string" ? await access.rightOf(token.trim()) : undefined;
    if (right === undefined) {
      return c.html(page("tq: sign in", form({ problem: "This token is wrong.", next })), 401);
    }
    return await start(c, parts, right, next);
  });

  app.post("/sign-out", (c) => {
    if (c.req.header("origin") === undefined) {
      throw new HttpError(403, "a session ends from its own pages alone");
    }
    deleteCookie(c, SESSION_COOKIE, { path: "/" });
    return c.redirect(SIGN_IN, 303);
  });
}

/**
 * Sends the cookie with a page that leads on, not with a redirect: after a click in another site's page a browser
 * keeps a strict cookie from the request that a redirect makes.
 */
async function start(c: HttpContext, parts: HttpParts, right: Right, next?: unknown): Promise<Response> {
  setCookie(c, SESSION_COOKIE, await parts.access.startSession(right), {
    path: "/",
    httpOnly: true,
    sameSite: "Strict",
    maxAge: SESSION_SECONDS,
    // Whoever makes the header up changes a cookie of their own alone.
    secure: (c.req.header("x-forwarded-proto") ?? new URL(c.req.url).protocol).startsWith("https"),
  });
  const target = isOwnPath(next) ? next : "/";
  c.header("refresh", `0; url=${target}`);
  return c.html(page("tq", html`<p>Signed in. <a href="${target}">Go to the dashboard</a></p>`));
}

/** A path on this host, and nothing that ends a header. */
function isOwnPath(next: unknown): next is string {
  return typeof next === "string" && /^\/(?![/\\])[\x21-\x7e]{0,1000}$/.test(next);
}

function form({ problem = "", next }: { problem?: string; next?: unknown } = {}): Html {
  return html`
        <h1>tq: sign in</h1>
        ${problem === "" ? html`` : html`<p role="alert">${problem}</p>`}
        <p>Run <code>tq dashboard</code> on the server for a link, or give a token: one of <code>TQ_API_TOKENS</code>, else the
        text in <code>var/api_token</code>.</p>
        <form method="post" action="${SIGN_IN}">
          <label for="token">Token</label>
          <input id="token" name="token" type="password" autocomplete="current-password" required>
    ${isOwnPath(next) ? html`<input type="hidden" name="next" value="${next}">` : html``}
          <button>Sign in</button>
        </form>
  `;
}
