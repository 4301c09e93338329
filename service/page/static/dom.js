// Makes elements. Data goes in as text or as the value of an attribute, never as markup.

export const byId = (id) => document.getElementById(id);

// An element with these properties (`class`, `text`, `data`, anything else is an attribute) and children.
export function el(tag, { class: className, text, data = {}, ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  Object.assign(element.dataset, data);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// Write only a text that differs: an unchanged element keeps its selection, and screen readers do not read it again.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

const calm = matchMedia("(prefers-reduced-motion: reduce)");

// Show a ring around the element that fades in and out; nothing if the system asks for reduced motion.
export function glow(element) {
  if (calm.matches) return;
  const frames = [{ boxShadow: "0 0 0 0 var(--glow)" }, { boxShadow: "0 0 0 5px var(--glow)", offset: 0.25 }, { boxShadow: "0 0 0 0 var(--glow)" }];
  element.animate(frames, { duration: 2400, easing: "ease-out" });
}
