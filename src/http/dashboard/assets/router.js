/**
 * Pages by their address, without loading the document anew.
 *
 * @module
 */

/**
 * @typedef {object} Page
 * @property {HTMLElement} element
 * @property {string} title
 * @property {() => void} close ends what it watches
 * @property {(url: URL) => boolean} [moved] takes another address of the same page; false when it is another page's
 */

/**
 * Shows pages in `main`, and follows links.
 *
 * @param {HTMLElement} main
 * @param {(url: URL) => Page} open makes the page of an address
 */
export function startRouter(main, open) {
  /** @type {Page | undefined} */
  let page;

  /** @param {boolean} isFirst */
  const show = (isFirst) => {
    const url = new URL(location.href);
    if (page?.moved?.(url)) return;
    page?.close();
    page = open(url);
    main.replaceChildren(page.element);
    document.title = `${page.title} · tq`;
    for (const link of document.querySelectorAll(".top nav a")) {
      const isHere = link.getAttribute("href") === `/${url.pathname.split("/")[1]}` ||
        link.getAttribute("href") === "/tasks" && url.pathname.startsWith("/task/");
      if (isHere) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    if (isFirst) return;
    scrollTo(0, 0);
    // So that the keyboard goes on from here, and a screen reader tells where it is.
    main.querySelector("h1")?.focus();
  };

  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
    if (!(link instanceof HTMLAnchorElement) || link.target !== "" || link.origin !== location.origin) return;
    if (link.hash !== "" || !isPage(link.pathname)) return;
    event.preventDefault();
    if (link.href !== location.href) history.pushState(null, "", link.href);
    show(false);
  });
  addEventListener("popstate", () => show(false));
  show(true);

  return {
    /**
     * Goes to another address.
     *
     * @param {string} path
     * @param {{ replace?: boolean }} [how] `replace` leaves no step to go back to
     */
    go(path, { replace = false } = {}) {
      if (replace) history.replaceState(null, "", path);
      else history.pushState(null, "", path);
      show(false);
    },
  };
}

/** @param {string} path */
function isPage(path) {
  return /^\/(tasks|handlers|task\/\d+)?$/.test(path);
}
