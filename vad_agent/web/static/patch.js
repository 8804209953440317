// One part of a page made what a fresh one is. Patched, not replaced: what has the focus, is open or scrolled
// stays so.

const key = (node) => node.dataset?.key;
const alike = (one, other) => one.nodeName === other.nodeName && key(one) === key(other);

/** Make `old` what `fresh` is, and keep what is alike: rows by their keys, the rest by their places. */
export function patch(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !(old.nodeName === "DETAILS" && name === "open")) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const wanted = new Set([...fresh.children].map(key));
  const known = new Map();
  for (const child of [...old.children]) {
    if (!key(child)) continue;
    if (wanted.has(key(child))) known.set(key(child), child);
    else child.remove();
  }
  let at = old.firstChild;
  for (const node of [...fresh.childNodes]) {
    const kept = key(node) ? known.get(key(node)) : at && alike(at, node) ? at : undefined;
    if (!kept) {
      old.insertBefore(node, at);
      continue;
    }
    if (kept === at) at = at.nextSibling;
    else old.insertBefore(kept, at);
    patch(kept, node);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}
