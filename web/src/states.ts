// What the page says when it has nothing else to show.
import { ApiError } from './api';
import { el } from './dom';

export function message(title: string, text: string, action?: HTMLElement): HTMLElement {
  return el(
    'section',
    { className: 'message' },
    el('h1', {}, title),
    el('p', {}, text),
    action ?? null,
  );
}

export function failure(problem: unknown, retry: () => void): HTMLElement {
  const status = problem instanceof ApiError ? problem.status : -1;
  const again = el('button', { type: 'button', onclick: retry }, 'Try again');
  if (status === 401) {
    const box = message(
      'This page has lost its key',
      'The store shows records only to those who hold its token. On the store’s computer, this prints the address to open:',
    );
    box.append(el('pre', {}, 'cusp-records address'), again);
    return box;
  }
  if (status === 404)
    return message('There is no such record', 'The address names a record that this store does not have.',
      el('a', { href: '#/', className: 'button' }, 'All records'));
  const text = problem instanceof Error ? problem.message : 'Something went wrong.';
  return message(status === 0 ? 'The store is away' : 'That did not work', text, again);
}
