// Makes elements. Text is set as text: nothing from a log becomes HTML.

const SVG = 'http://www.w3.org/2000/svg';

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) {
      continue;
    }
    if (typeof value === 'function') {
      node.addEventListener(name, value);
    } else {
      node.setAttribute(name, value === true ? '' : String(value));
    }
  }
  for (const child of children) {
    if (child !== null && child !== undefined) {
      node.append(child instanceof Node ? child : String(child));
    }
  }
  return node;
}

// An HTML element. A function among the attributes is an event listener; what
// is no node among the children becomes text.
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

// A table that scrolls, with the keyboard as well.
export function scrolled(label, heads, rows) {
  return el(
    'div',
    {class: 'scroll', tabindex: '0', role: 'region', 'aria-label': label},
    el('table', {}, el('thead', {}, heads), rows)
  );
}

// A name from a log: isolated, so that right-to-left text stays in its place.
export function name(text, attributes = {}) {
  return el('bdi', {class: 'name', title: text, ...attributes}, text);
}
