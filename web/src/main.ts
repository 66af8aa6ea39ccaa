// Routes: #/ lists the records, #/records/{id} opens one.
import './style.css';
import { getStatus } from './api';
import { counted } from './format';
import { followEvents } from './events';
import { RecordList } from './record_list';
import { RecordPage } from './record_page';

function byId(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (!element) throw new Error(`index.html lacks #${id}`);
  return element;
}

let page: RecordList | RecordPage | null = null;

// What stands in the address may be anything: "%" alone is no text.
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function open(): void {
  page?.close();
  const id = /^#\/records\/([^/]+)$/.exec(location.hash)?.[1];
  page = id === undefined ? new RecordList() : new RecordPage(decoded(id));
  byId('main').replaceChildren(page.element);
  void page.load();
}

async function refreshStatus(): Promise<void> {
  try {
    const status = await getStatus();
    document.title = `Records · ${status.clinic_name}`;
    byId('clinic').textContent = status.clinic_name;
    byId('counts').textContent = `${counted(status.records, 'record', 'records')} · ${counted(status.tickets_open, 'open ticket', 'open tickets')}`;
  } catch {
    byId('counts').textContent = ''; // the page below says what is wrong
  }
}

function refreshList(): void {
  void refreshStatus();
  if (page instanceof RecordList) void page.refresh();
}

window.addEventListener('hashchange', () => {
  open();
  window.scrollTo(0, 0);
  byId('main').focus({ preventScroll: true });
});

followEvents(
  (event) => (event.type === 'record-added' ? refreshList() : void refreshStatus()),
  (up, again) => {
    byId('link').hidden = up || !again;
    byId('link').textContent = 'Not connected';
    if (up && again) refreshList();
  },
);
void refreshStatus();
open();
