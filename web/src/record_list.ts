// All records, newest first, in pages; new ones appear by themselves.
import { getRecords, thumbnailUrl, type RecordSummary } from './api';
import { el } from './dom';
import { count, day, kindName, moment, stageName } from './format';
import { failure, message } from './states';

function picture(record: RecordSummary): HTMLElement {
  const frame = el('div', { className: 'thumb' });
  if (record.has_thumbnail)
    frame.append(
      el('img', { src: thumbnailUrl(record.id), alt: '', loading: 'lazy', onerror: (event) => {
        if (event instanceof Event) (event.target as HTMLElement).remove();
      } }),
    );
  return frame;
}

function card(record: RecordSummary): HTMLElement {
  const ticket = [kindName(record.kind), record.case_type, record.visit_type].filter((text) => text !== '').join(' · ');
  const who = record.patient
    ? [el('h2', {}, record.patient.name), el('p', { className: 'born' }, `born ${day(record.patient.date_of_birth)}`)]
    : [el('h2', { className: 'unassigned' }, 'Unassigned'), el('p', { className: 'born' }, 'not filed under a patient yet')];
  return el(
    'li',
    {},
    el(
      'a',
      { href: `#/records/${record.id}`, className: 'card' },
      picture(record),
      el(
        'div',
        { className: 'card-text' },
        ...who,
        el('p', { className: 'ticket' }, ticket),
        el('p', { className: 'quiet' }, [record.doctor, moment(record.visiting_time)].filter((text) => text !== '').join(' · ')),
        el(
          'p',
          { className: 'chips' },
          ...record.stages.map((stage) => el('span', { className: 'chip' }, stageName(stage))),
          record.revision > 1 ? el('span', { className: 'chip strong' }, `Revision ${record.revision}`) : null,
          el('span', { className: 'quiet' }, `${count(record.triangles)} triangles`),
        ),
      ),
    ),
  );
}

export class RecordList {
  readonly element = el('div', { className: 'page' });
  private readonly abort = new AbortController();
  private readonly cards = el('ul', { className: 'cards' });
  private readonly more = el('button', { type: 'button', onclick: () => void this.loadMore() }, 'Older records');
  private readonly shown = new Set<string>();
  private next: number | null = null;

  // From the start: the newest page alone.
  async load(): Promise<void> {
    if (!this.element.hasChildNodes()) this.element.replaceChildren(el('p', { className: 'loading', role: 'status' }, 'Loading records…'));
    try {
      const page = await getRecords(null, this.abort.signal);
      this.next = page.next;
      this.shown.clear();
      this.cards.replaceChildren(...this.fresh(page.records));
      this.element.replaceChildren(
        el('h1', { className: 'page-title' }, 'Records'),
        page.records.length > 0
          ? this.cards
          : message('No records yet', 'When a station delivers a finished scan, it appears here by itself.'),
        this.more,
      );
      this.more.hidden = this.next === null;
    } catch (problem) {
      if (this.abort.signal.aborted) return;
      this.shown.clear();
      this.element.replaceChildren(failure(problem, () => void this.load()));
    }
  }

  // New records go in front; the older pages that were loaded stay. After a gap of more than a page
  // (the connection was away), or when nothing is shown yet, it starts over.
  async refresh(): Promise<void> {
    if (this.shown.size === 0) return this.load();
    try {
      const page = await getRecords(null, this.abort.signal);
      const known = page.records.some((record) => this.shown.has(record.id));
      if (!known) return this.load();
      this.cards.prepend(...this.fresh(page.records));
    } catch {
      // What is shown stays; the next event, or the connection's return, tries again.
    }
  }

  close(): void {
    this.abort.abort();
  }

  // Cards of those that are not shown yet.
  private fresh(records: RecordSummary[]): HTMLElement[] {
    const unseen = records.filter((record) => !this.shown.has(record.id));
    for (const record of unseen) this.shown.add(record.id);
    return unseen.map(card);
  }

  private async loadMore(): Promise<void> {
    this.more.disabled = true;
    try {
      const before = this.next;
      const page = await getRecords(before, this.abort.signal);
      if (this.next !== before) return; // the list started over meanwhile
      this.next = page.next;
      this.cards.append(...this.fresh(page.records));
      this.more.hidden = this.next === null;
    } catch (problem) {
      if (!this.abort.signal.aborted) this.element.append(failure(problem, () => void this.load()));
    } finally {
      this.more.disabled = false;
    }
  }
}
