// Elements without HTML strings: whatever a person typed stays text.

type Child = Node | string | null;
type Properties<T> = Partial<Omit<T, 'style' | 'dataset'>> & { aria?: Record<string, string> };

export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Properties<HTMLElementTagNameMap[K]> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  const { aria, ...plain } = properties;
  Object.assign(element, plain);
  for (const [name, value] of Object.entries(aria ?? {})) element.setAttribute(`aria-${name}`, value);
  element.append(...children.filter((child): child is Node | string => child !== null));
  return element;
}

/** Terms and their values; empty values are left out. */
export function facts(rows: [string, string][]): HTMLElement {
  const list = el('dl', { className: 'facts' });
  for (const [term, value] of rows)
    if (value !== '') list.append(el('dt', {}, term), el('dd', {}, value));
  return list;
}
